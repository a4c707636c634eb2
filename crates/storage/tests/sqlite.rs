//! What the store promises, on a real SQLite file.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{fs, path::Path};

use domain::{Id, Message, MessageRole, Run, RunState, ToolCall, Usage, User};
use futures::executor::block_on;
use native_sqlite::SqliteFile;
use storage::{
    Database, DatabaseError, Outcome, Statement, StorageError, Store,
    messages::{Appended, IncomingMessage, NewMessage, Retried},
    migration::{MIGRATIONS, migrate},
    runs::{Batch, Ending, Leave},
    sessions::Rotation,
    signing_keys::SigningKey,
    users::NewUser,
};

const LEASE_MS: i64 = 60_000;
/// A lease that is over at once: what a dead executor leaves behind.
const LAPSED_MS: i64 = -1;

struct Fixture {
    store: Store<SqliteFile>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = SqliteFile::open(&folder.path().join("sqlite_db.db")).unwrap();
        block_on(migrate(&file)).unwrap();
        Self { store: Store::new(file), folder }
    }

    fn another_connection(&self) -> SqliteFile {
        SqliteFile::open(&self.folder.path().join("sqlite_db.db")).unwrap()
    }

    fn user(&self, email: &str) -> User {
        block_on(self.store.create_user(NewUser { email, name: "", password_hash: "x" })).unwrap().unwrap()
    }

    fn conversation(&self, user: &User) -> Id {
        block_on(self.store.create_conversation(user.id, "", None)).unwrap().id
    }

    fn append(&self, user: &User, conversation_id: Id, content: &str, key: Option<&str>) -> Appended {
        let incoming = IncomingMessage { content, title: "title", default_model: "m", idempotency_key: key };
        block_on(self.store.append_message(user.id, conversation_id, &incoming)).unwrap()
    }

    fn send(&self, user: &User, conversation_id: Id, content: &str) -> (Message, Run) {
        match self.append(user, conversation_id, content, None) {
            Appended::Stored(message, run) => (message, run),
            other => panic!("not stored: {other:?}"),
        }
    }

    /// A claimed run and its executor.
    fn claimed(&self, user: &User, conversation_id: Id) -> (Run, Id) {
        let (_, run) = self.send(user, conversation_id, "hello");
        let owner = Id::new();
        block_on(self.store.claim(run.id, owner, LEASE_MS)).unwrap().unwrap();
        (run, owner)
    }

    fn end(&self, run: &Run, owner: Id, state: RunState, finish_reason: &str) -> bool {
        let message = answer("answer", finish_reason);
        let usage = Some(Usage { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
        let batch = Batch { last_id: 900, frames: "end".into() };
        let ending = Ending { state, failure: None, usage, message: Some(message), batch };
        block_on(self.store.finish_run(run, owner, &ending)).unwrap()
    }

    fn texts(&self, user: &User, conversation_id: Id) -> Vec<String> {
        let page = block_on(self.store.messages(user.id, conversation_id, 0, 200, u64::MAX >> 1)).unwrap();
        page.messages.into_iter().map(|message| message.content).collect()
    }
}

fn answer(content: &str, finish_reason: &str) -> NewMessage {
    NewMessage {
        id: Id::new(),
        role: MessageRole::Assistant,
        content: content.into(),
        tool_calls: Vec::new(),
        tool_call_id: None,
        finish_reason: Some(finish_reason.into()),
    }
}

fn batch(last_id: u64, frames: &str) -> Batch {
    Batch { last_id, frames: frames.into() }
}

#[test]
fn every_migration_file_is_in_the_list_and_the_other_way_round() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
        .collect();
    files.sort();
    let listed: Vec<String> = MIGRATIONS.iter().map(|migration| migration.name.to_owned()).collect();
    assert_eq!(files, listed);
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        assert_eq!(migration.version, index as i64 + 1);
        assert!(migration.name.starts_with(&format!("{:04}_", migration.version)), "{}", migration.name);
    }
}

#[test]
fn migrating_twice_applies_nothing_the_second_time() {
    let fixture = Fixture::new();
    assert!(block_on(migrate(&fixture.another_connection())).unwrap().is_empty());
}

#[test]
fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let fixture = Fixture::new();
    let other = fixture.another_connection();
    block_on(other.query(Statement::new("t", "UPDATE schema_migrations SET sha256 = 'x'", []))).unwrap();
    assert!(matches!(block_on(migrate(&other)), Err(StorageError::MigrationChanged { version: 1 })));
}

#[test]
fn migrating_from_many_connections_at_once_applies_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sqlite_db.db");
    let applied: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| block_on(migrate(&SqliteFile::open(&path).unwrap())).unwrap().len()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(applied, MIGRATIONS.len());
}

#[test]
fn the_first_account_is_the_administrator_and_an_address_is_taken_once() {
    let fixture = Fixture::new();
    assert_eq!(fixture.user("a@example.org").role.as_str(), "admin");
    assert_eq!(fixture.user("b@example.org").role.as_str(), "user");
    let again = NewUser { email: "a@example.org", name: "", password_hash: "y" };
    assert!(block_on(fixture.store.create_user(again)).unwrap().is_none());
    let (user, hash) = block_on(fixture.store.user_by_email("a@example.org")).unwrap().unwrap();
    assert_eq!((user.email.as_str(), hash.as_deref()), ("a@example.org", Some("x")));
}

#[test]
fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let session = Id::new();
    block_on(fixture.store.create_session(session, user.id, "one", LEASE_MS)).unwrap();
    let rotate = |old, new| block_on(fixture.store.rotate_session(session, old, new, LEASE_MS)).unwrap();
    assert!(matches!(rotate("one", "two"), Rotation::Rotated(found) if found.id == user.id));
    assert!(matches!(rotate("one", "three"), Rotation::Reused));
    assert!(matches!(rotate("two", "three"), Rotation::Unknown), "the stolen family is over");
}

#[test]
fn an_ended_or_expired_session_cannot_be_refreshed() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let (ended, expired) = (Id::new(), Id::new());
    block_on(fixture.store.create_session(ended, user.id, "one", LEASE_MS)).unwrap();
    block_on(fixture.store.end_session(ended, "one")).unwrap();
    block_on(fixture.store.create_session(expired, user.id, "one", LAPSED_MS)).unwrap();
    for session in [ended, expired] {
        let rotation = block_on(fixture.store.rotate_session(session, "one", "two", LEASE_MS)).unwrap();
        assert!(matches!(rotation, Rotation::Unknown), "{rotation:?}");
    }
}

#[test]
fn two_instances_that_make_a_first_key_end_up_with_one() {
    let fixture = Fixture::new();
    let key = |id: &str| SigningKey { id: id.into(), public_key: "pub".into(), private_key: Some("priv".into()) };
    block_on(fixture.store.add_first_signing_key(&key("a"))).unwrap();
    block_on(fixture.store.add_first_signing_key(&key("b"))).unwrap();
    assert_eq!(block_on(fixture.store.own_signing_key()).unwrap().unwrap().id, "a");
    let public = block_on(fixture.store.public_keys()).unwrap();
    assert!(public.len() == 1 && public[0].private_key.is_none());
}

#[test]
fn what_is_somebody_elses_is_not_found() {
    let fixture = Fixture::new();
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let conversation = fixture.conversation(&ada);
    let (_, run) = fixture.send(&ada, conversation, "secret");
    let store = &fixture.store;
    assert!(block_on(store.conversation(eve.id, conversation)).unwrap().is_none());
    assert!(block_on(store.update_conversation(eve.id, conversation, Some("x"), None)).unwrap().is_none());
    assert!(!block_on(store.delete_conversation(eve.id, conversation)).unwrap());
    assert!(fixture.texts(&eve, conversation).is_empty());
    assert!(matches!(fixture.append(&eve, conversation, "hi", None), Appended::NotFound));
    assert!(block_on(store.run(eve.id, run.id)).unwrap().is_none());
    assert!(block_on(store.tail(eve.id, run.id, 0)).unwrap().is_none());
    assert!(block_on(store.request_cancel(eve.id, run.id)).unwrap().is_none());
    assert!(matches!(block_on(store.retry_run(eve.id, run.id)).unwrap(), Retried::NotFound));
    assert_eq!(fixture.texts(&ada, conversation), ["secret"]);
}

#[test]
fn a_list_read_page_by_page_has_everything_once_newest_first() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let made: Vec<Id> = (0..25).map(|_| fixture.conversation(&user)).collect();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = block_on(fixture.store.conversations(user.id, after, 10)).unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.updated_at, last.id));
        seen.extend(page.into_iter().map(|conversation| (conversation.updated_at, conversation.id)));
    }
    assert!(seen.is_sorted_by(|a, b| a > b));
    let mut ids: Vec<Id> = seen.into_iter().map(|(_, id)| id).collect();
    ids.sort();
    assert_eq!(ids, made);
}

#[test]
fn a_message_comes_with_its_run_and_names_the_conversation() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (message, run) = fixture.send(&user, conversation, "hello");
    assert_eq!((message.run_id, run.message_id, message.position), (run.id, message.id, 1));
    assert_eq!((run.state, run.model.as_str()), (RunState::Queued, "m"));
    let conversation = block_on(fixture.store.conversation(user.id, conversation)).unwrap().unwrap();
    assert_eq!((conversation.title.as_str(), conversation.active_run_id), ("title", Some(run.id)));
}

#[test]
fn a_second_message_waits_for_the_first_answer() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, owner) = fixture.claimed(&user, conversation);
    assert!(matches!(fixture.append(&user, conversation, "again", None), Appended::RunActive));
    assert_eq!(fixture.texts(&user, conversation), ["hello"]);
    assert!(fixture.end(&run, owner, RunState::Complete, "stop"));
    fixture.send(&user, conversation, "again");
    assert_eq!(fixture.texts(&user, conversation), ["hello", "answer", "again"]);
}

#[test]
fn a_message_sent_again_with_its_key_is_stored_once() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let Appended::Stored(first, run) = fixture.append(&user, conversation, "hello", Some("k")) else { panic!() };
    let Appended::Existing(again, same_run) = fixture.append(&user, conversation, "hello", Some("k")) else { panic!() };
    assert_eq!((first.id, run.id), (again.id, same_run.id));
    assert_eq!(fixture.texts(&user, conversation).len(), 1);
}

#[test]
fn a_page_of_messages_is_cut_by_size_but_never_empty() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, owner) = fixture.claimed(&user, conversation);
    let messages: Vec<NewMessage> = (0..3).map(|_| answer(&"x".repeat(100), "stop")).collect();
    assert!(block_on(fixture.store.finish_step(&run, owner, RunState::Streaming, &messages, &batch(1, "f"))).unwrap());
    let read = |after| block_on(fixture.store.messages(user.id, conversation, after, 200, 110)).unwrap();
    let (first, second) = (read(0), read(2));
    assert_eq!((first.messages.len(), first.next), (3, Some(3)), "5 + 100 bytes, and the one that crosses the line");
    assert_eq!((second.messages.len(), second.next), (2, None));
    assert_eq!(block_on(fixture.store.messages(user.id, conversation, 1, 1, 1)).unwrap().messages.len(), 1);
}

#[test]
fn a_run_is_claimed_by_one_executor_until_its_lease_lapses() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let (first, second) = (Id::new(), Id::new());
    let claim = |owner, lease| block_on(fixture.store.claim(run.id, owner, lease)).unwrap();
    assert_eq!(claim(first, LAPSED_MS).unwrap().attempt, 1);
    assert!(block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().claimable);
    assert_eq!(claim(second, LEASE_MS).unwrap().attempt, 2);
    assert!(claim(first, LEASE_MS).is_none());
    assert!(!block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().claimable);
}

#[test]
fn an_executor_that_lost_its_lease_can_write_nothing() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, run) = fixture.send(&user, conversation, "hello");
    let (dead, alive) = (Id::new(), Id::new());
    block_on(fixture.store.claim(run.id, dead, LAPSED_MS)).unwrap().unwrap();
    block_on(fixture.store.claim(run.id, alive, LEASE_MS)).unwrap().unwrap();
    let store = &fixture.store;
    let state = RunState::Streaming;
    assert_eq!(block_on(store.append_events(run.id, dead, state, &batch(1, "x"))).unwrap(), Leave::LeaseLost);
    assert_eq!(block_on(store.renew_lease(run.id, dead, LEASE_MS)).unwrap(), Leave::LeaseLost);
    assert_eq!(block_on(store.check_lease(run.id, dead)).unwrap(), Leave::LeaseLost);
    assert!(!block_on(store.start_tool_call(run.id, dead, "c", "t")).unwrap());
    assert!(!block_on(store.finish_step(&run, dead, state, &[answer("x", "stop")], &batch(1, "x"))).unwrap());
    assert!(!fixture.end(&run, dead, RunState::Complete, "stop"));
    assert!(block_on(store.log(run.id)).unwrap().is_empty());
    assert_eq!(fixture.texts(&user, conversation), ["hello"]);
    assert_eq!(block_on(store.append_events(run.id, alive, state, &batch(1, "x"))).unwrap(), Leave::Granted);
}

#[test]
fn the_log_tells_the_state_until_the_run_ends() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let (run, owner) = fixture.claimed(&user, fixture.conversation(&user));
    let state = || block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap().state;
    assert_eq!(state(), RunState::Processing);
    block_on(fixture.store.append_events(run.id, owner, RunState::Streaming, &batch(5, "a"))).unwrap();
    block_on(fixture.store.append_events(run.id, owner, RunState::ToolExecution, &batch(9, "b"))).unwrap();
    assert_eq!(state(), RunState::ToolExecution);
    assert!(fixture.end(&run, owner, RunState::Complete, "stop"));
    let run = block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap();
    assert_eq!((run.state, run.usage.unwrap().total_tokens), (RunState::Complete, 7));
    let tail = block_on(fixture.store.tail(user.id, run.id, 5)).unwrap().unwrap();
    assert_eq!(tail.batches, [(9, "b".to_owned()), (900, "end".to_owned())]);
    assert!(!tail.claimable);
}

#[test]
fn cancelling_reaches_the_executor_and_says_when_there_is_none() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, owner) = fixture.claimed(&user, conversation);
    let request = block_on(fixture.store.request_cancel(user.id, run.id)).unwrap().unwrap();
    assert!(!request.claimable);
    assert_eq!(
        block_on(fixture.store.append_events(run.id, owner, RunState::Streaming, &batch(1, "a"))).unwrap(),
        Leave::CancelRequested
    );
    assert!(fixture.end(&run, owner, RunState::Cancelled, "cancelled"));
    let request = block_on(fixture.store.request_cancel(user.id, run.id)).unwrap().unwrap();
    assert_eq!((request.run.state, request.claimable), (RunState::Cancelled, false));

    let (_, queued) = fixture.send(&user, conversation, "again");
    assert!(block_on(fixture.store.request_cancel(user.id, queued.id)).unwrap().unwrap().claimable);
}

#[test]
fn a_broken_off_run_can_be_tried_again_and_the_new_one_does_not_see_the_old_answer() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, owner) = fixture.claimed(&user, conversation);
    let retry = || block_on(fixture.store.retry_run(user.id, run.id)).unwrap();
    assert!(matches!(retry(), Retried::NotRetryable), "it is still at work");
    assert!(fixture.end(&run, owner, RunState::Error, "error"));
    let Retried::Queued(second) = retry() else { panic!() };
    assert_eq!(second.message_id, run.message_id);
    assert!(matches!(retry(), Retried::RunActive));
    let context = block_on(fixture.store.context(&second, 100, 1_000_000)).unwrap();
    assert_eq!(context.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(), ["hello"]);

    let owner = Id::new();
    block_on(fixture.store.claim(second.id, owner, LEASE_MS)).unwrap().unwrap();
    assert!(fixture.end(&second, owner, RunState::Complete, "stop"));
    assert!(matches!(retry(), Retried::NotRetryable), "it has been answered since");
}

#[test]
fn a_run_cannot_be_tried_again_when_the_conversation_has_moved_on() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (failed, owner) = fixture.claimed(&user, conversation);
    assert!(fixture.end(&failed, owner, RunState::Error, "error"));
    let (next, owner) = fixture.claimed(&user, conversation);
    assert!(fixture.end(&next, owner, RunState::Complete, "stop"));
    assert!(matches!(block_on(fixture.store.retry_run(user.id, failed.id)).unwrap(), Retried::NotRetryable));
}

#[test]
fn the_context_has_the_newest_messages_that_fit_and_always_the_question() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    for _ in 0..3 {
        let (run, owner) = fixture.claimed(&user, conversation);
        assert!(fixture.end(&run, owner, RunState::Complete, "stop"));
    }
    let (_, run) = fixture.send(&user, conversation, &"q".repeat(500));
    let lengths = |max_bytes| -> Vec<usize> {
        let context = block_on(fixture.store.context(&run, 100, max_bytes)).unwrap();
        context.iter().map(|message| message.content.len()).collect()
    };
    assert_eq!(lengths(10), [500]);
    assert_eq!(lengths(506), [6, 500]);
    assert_eq!(lengths(10_000).len(), 7);
}

#[test]
fn a_tool_call_is_started_once() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, owner) = fixture.claimed(&user, conversation);
    let call = ToolCall { id: "call_1".into(), name: "clock".into(), arguments: "{}".into() };
    let asked = NewMessage { tool_calls: vec![call.clone()], ..answer("", "tool_calls") };
    let store = &fixture.store;
    assert!(block_on(store.finish_step(&run, owner, RunState::ToolExecution, &[asked], &batch(3, "r"))).unwrap());
    assert!(block_on(store.start_tool_call(run.id, owner, "call_1", "clock")).unwrap());
    assert!(!block_on(store.start_tool_call(run.id, owner, "call_1", "clock")).unwrap());
    let result = NewMessage {
        role: MessageRole::Tool,
        tool_call_id: Some("call_1".into()),
        finish_reason: None,
        ..answer("noon", "")
    };
    assert!(block_on(store.finish_tool_call(&run, owner, &result, false, &batch(4, "s"))).unwrap());
    let page = block_on(store.messages(user.id, conversation, 1, 10, 1_000)).unwrap();
    assert_eq!(page.messages[0].tool_calls, [call]);
    assert_eq!(page.messages[1].tool_call_id.as_deref(), Some("call_1"));
}

#[test]
fn deleting_a_conversation_takes_everything_with_it() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, owner) = fixture.claimed(&user, conversation);
    assert!(fixture.end(&run, owner, RunState::Complete, "stop"));
    assert!(block_on(fixture.store.delete_conversation(user.id, conversation)).unwrap());
    for table in ["messages", "runs", "run_events"] {
        let statement = Statement::new("count", format!("SELECT 1 FROM {table}"), []);
        assert!(block_on(fixture.another_connection().query(statement)).unwrap().is_empty(), "{table}");
    }
}

#[test]
fn a_refused_guard_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let user = fixture.user("a@example.org");
    let file = fixture.another_connection();
    let rename = Statement::new("rename", "UPDATE users SET name = 'changed' WHERE id = ?1", [user.id.into()]);
    let never = Statement::new("never", "SELECT 1 WHERE 1 = 0", []).must_return();
    assert_eq!(block_on(file.transaction(vec![rename, never])).unwrap(), Outcome::Refused(1));
    assert_eq!(block_on(fixture.store.user(user.id)).unwrap().unwrap().name, "");
    let wrong = block_on(file.query(Statement::new("wrong", "SELECT nothing", [])));
    assert!(matches!(wrong, Err(DatabaseError::Refused { query: "wrong", .. })));
}
