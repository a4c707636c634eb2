//! A migrated database, and the steps that many tests begin with.

use domain::{Id, Message, Run, RunState, ToolResult, Usage, User};
use storage::{
    Store,
    leases::{Entry, Leave},
    messages::{Appended, IncomingMessage, NewMessage},
    runs::{Batch, Ending, Lease},
    users::{NewUser, Opening},
};

use crate::places::{Place, Real, block_on};

pub(crate) const LEASE_MS: i64 = 60_000;
/// A lease that expires at once, like the lease of a dead executor.
pub(crate) const LAPSED_MS: i64 = -1;

pub(crate) struct Fixture {
    pub(crate) store: Store<Real>,
    place: Place,
}

impl Fixture {
    pub(crate) fn new(place: Place) -> Self {
        let place = place.migrated();
        Self { store: Store::new(place.open()), place }
    }

    pub(crate) fn another_connection(&self) -> Real {
        self.place.open()
    }

    pub(crate) fn user(&self, email: &str) -> User {
        block_on(self.store.create_user(NewUser { email, name: "", password_hash: "x" }, Opening::Open))
            .unwrap()
            .unwrap()
    }

    pub(crate) fn conversation(&self, user: &User) -> Id {
        block_on(self.store.create_conversation(user.id, "", None)).unwrap().id
    }

    pub(crate) fn append(&self, user: &User, conversation_id: Id, content: &str, key: Option<&str>) -> Appended {
        let incoming = IncomingMessage {
            content,
            title: "title",
            default_model: "m",
            idempotency_key: key,
            ..IncomingMessage::default()
        };
        block_on(self.store.append_message(user.id, conversation_id, &incoming)).unwrap()
    }

    pub(crate) fn send(&self, user: &User, conversation_id: Id, content: &str) -> (Message, Run) {
        match self.append(user, conversation_id, content, None) {
            Appended::Stored(message, run, _) => (message, run),
            other => panic!("not stored: {other:?}"),
        }
    }

    /// A claimed run and its executor.
    pub(crate) fn claimed(&self, user: &User, conversation_id: Id) -> (Run, Lease) {
        let (_, run) = self.send(user, conversation_id, "hello");
        let lease = lease_of(&run);
        block_on(self.store.claim(lease, LEASE_MS, "")).unwrap().unwrap();
        (run, lease)
    }

    pub(crate) fn log(&self, lease: Lease, state: RunState, batch: Batch) -> Leave {
        block_on(self.store.append_events(&[Entry { lease, state, batch }])).unwrap()[0]
    }

    pub(crate) fn end(&self, lease: Lease, state: RunState, finish_reason: &str) -> bool {
        let message = answer("answer", finish_reason);
        let usage = Some(Usage { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
        let batch = Batch { last_id: 900, frames: "end".into() };
        let ending = Ending { state, failure: None, usage, message: Some(message), batch };
        block_on(self.store.finish_run(lease, &ending)).unwrap()
    }

    pub(crate) fn texts(&self, user: &User, conversation_id: Id) -> Vec<String> {
        let page = block_on(self.store.messages(user.id, conversation_id, 0, 200, u64::MAX >> 1)).unwrap();
        page.messages.into_iter().map(|message| message.content).collect()
    }
}

pub(crate) fn lease_of(run: &Run) -> Lease {
    Lease { run_id: run.id, owner: Id::new() }
}

pub(crate) fn answer(content: &str, finish_reason: &str) -> NewMessage {
    NewMessage::answer(content.into(), String::new(), finish_reason)
}

/// The result of a call that took a quarter of a second.
pub(crate) fn result_of(call_id: &str, content: &str, is_error: bool) -> NewMessage {
    let (duration_ms, title) = (Some(250), Some("Current time".into()));
    NewMessage::result(content, ToolResult { call_id: call_id.into(), is_error, duration_ms, title })
}

pub(crate) fn batch(last_id: u64, frames: &str) -> Batch {
    Batch { last_id, frames: frames.into() }
}
