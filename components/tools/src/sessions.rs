//! Clients of servers elsewhere, kept for the next call of the same person: a server need not be asked again how it speaks, and one that keeps
//! sessions keeps one for several calls. The server is told when a session is over, unless a task was made in it.
//!
//! Sessions are one person's: what a server remembers of one is nothing for another.

use std::{cell::RefCell, fmt, ops::Deref, rc::Rc, time::Duration};

use cache::Cache;
use domain::Id;
use mcp::Client;
use tool_catalogue::{Host, Server, close};

/// How long a session waits for its next call: about as long as a model takes between two, and no longer than a host that stops may wait.
const LINGER: Duration = Duration::from_secs(5);
/// How long it is remembered how a server speaks that keeps no sessions: a conversation. It costs nobody anything.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Clients that wait in an instance: more than it serves at once.
const MAX_WAITING: usize = 32;

/// Clients that nobody uses, by person and server. Clones are the same.
pub(crate) struct Sessions<H>(Rc<RefCell<Cache<Key, Rc<Client<H>>>>>);

type Key = (Id, String);

impl<H> Clone for Sessions<H> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<H> Default for Sessions<H> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Cache::new(MAX_WAITING))))
    }
}

impl<H> fmt::Debug for Sessions<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// A client while somebody uses it, and nobody else does. Afterwards it waits for the next call.
pub(crate) struct Lent<H: Host> {
    sessions: Sessions<H>,
    host: H,
    key: Key,
    is_remote: bool,
    client: Rc<Client<H>>,
}

impl<H: Host> Deref for Lent<H> {
    type Target = Client<H>;

    fn deref(&self) -> &Client<H> {
        &self.client
    }
}

impl<H: Host> Sessions<H> {
    /// A client of a server for a call of this person, in this run or request.
    pub(crate) async fn lend(&self, host: &H, server: &Server, user_id: Id, request_id: &str) -> Lent<H> {
        let key = (user_id, server.name.clone());
        let mut known = self.0.borrow_mut().take(&key, host.now());
        // One that proves itself with an older token is not used again.
        if let Some(old) = known.take_if(|client| client.authorization() != server.authorization()) {
            close(host, old);
        }
        let client = match known {
            Some(client) => client,
            None => Rc::new(server.client(host.clone(), Some(user_id), request_id).await),
        };
        Lent { sessions: self.clone(), host: host.clone(), key, is_remote: server.remote, client }
    }

    /// Ends the sessions that have waited for long enough.
    fn expire(&self, host: &H, now: Duration) {
        let idle = self.0.borrow_mut().expire(now);
        for client in idle {
            close(host, client);
        }
    }
}

impl<H: Host> Drop for Lent<H> {
    fn drop(&mut self) {
        // Ours have no sessions, and are known to need none.
        if !self.is_remote {
            return;
        }
        let waits = if self.client.has_session() { LINGER } else { REMEMBERED };
        let until = self.host.now().saturating_add(waits);
        let gone = self.sessions.0.borrow_mut().insert(self.key.clone(), Rc::clone(&self.client), until);
        for client in gone {
            close(&self.host, client);
        }
        if self.client.has_session() {
            let (sessions, host) = (self.sessions.clone(), self.host.clone());
            self.host.spawn(async move {
                cache::Clock::sleep(&host, LINGER).await;
                // A clock may wake a little early.
                sessions.expire(&host, until.max(host.now()));
            });
        }
    }
}
