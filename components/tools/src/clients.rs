//! Clients of servers elsewhere, kept for the next call of the same person: a server need not be asked again how it speaks, and one that keeps
//! sessions keeps one for several calls. It is told when a session is over.
//!
//! Sessions are one person's: what a server remembers of one is nothing for another.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ops::Deref,
    rc::Rc,
    time::Duration,
};

use domain::Id;
use mcp::Client;

use crate::servers::{Http, Server};

/// How long a session waits for its next call: about as long as a model takes between two, and no longer than a host that stops may wait.
const LINGER: Duration = Duration::from_secs(5);
/// Clients that wait in an instance: more than it serves at once.
const MAX_WAITING: usize = 32;
/// How long a server may take to hear that a session is over.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

thread_local! {
    static WAITING: RefCell<VecDeque<Waiting>> = const { RefCell::new(VecDeque::new()) };
    static USES: Cell<u64> = const { Cell::new(0) };
}

/// A client that nobody uses.
struct Waiting {
    user_id: Id,
    server: String,
    client: Rc<Client<Http>>,
    /// Its last use; no two have the same.
    used: u64,
}

/// A client while somebody uses it, and nobody else does. Afterwards it waits for the next call.
pub(crate) struct Lent {
    user_id: Id,
    server: Server,
    client: Rc<Client<Http>>,
}

impl Deref for Lent {
    type Target = Client<Http>;

    fn deref(&self) -> &Client<Http> {
        &self.client
    }
}

/// A client of a server for a call of this person.
pub(crate) fn lend(server: &Server, user_id: Id) -> Lent {
    let known = WAITING.with_borrow_mut(|waiting| {
        let at = waiting.iter().position(|waiting| waiting.user_id == user_id && waiting.server == server.name)?;
        waiting.remove(at)
    });
    let client = known.map_or_else(|| Rc::new(server.client(None)), |known| known.client);
    Lent { user_id, server: server.clone(), client }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Ours have no sessions, and are known to need none.
        if !self.server.remote {
            return;
        }
        let used = USES.get().wrapping_add(1);
        USES.set(used);
        let (user_id, server, client) = (self.user_id, self.server.name.clone(), Rc::clone(&self.client));
        let too_many = WAITING.with_borrow_mut(|waiting| {
            waiting.push_back(Waiting { user_id, server, client, used });
            if waiting.len() > MAX_WAITING { waiting.pop_front() } else { None }
        });
        if let Some(Waiting { client, .. }) = too_many {
            close(client);
        }
        if self.client.has_session() {
            platform::spawn(async move {
                platform::sleep(LINGER).await;
                let idle = WAITING.with_borrow_mut(|waiting| {
                    let at = waiting.iter().position(|waiting| waiting.used == used)?;
                    waiting.remove(at)
                });
                if let Some(Waiting { client, .. }) = idle {
                    close(client);
                }
            });
        }
    }
}

/// Ends a client's session, if it has one; nobody waits for that.
pub(crate) fn close(client: Rc<Client<Http>>) {
    if client.has_session() {
        platform::spawn(async move {
            platform::within(CLOSE_LIMIT, client.close()).await;
        });
    }
}
