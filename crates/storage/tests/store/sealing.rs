//! What people type is sealed: the database alone tells nobody, nothing can be moved, and what earlier releases stored is sealed in the background.

use std::{collections::BTreeSet, sync::Barrier};

use domain::{Id, RunFailure, RunState, ToolCall};
use storage::{
    Database, MasterKey, Statement, StorageError, Store, Value,
    messages::NewMessage,
    runs::{Batch, Ending},
    tool_tasks::{NewTask, Said},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS, answer, lease_of, result_of},
    on_each_database,
    places::{Place, Real, block_on},
};

on_each_database! {
    nothing_that_was_said_is_in_the_database,
    a_text_opens_only_where_it_was_stored,
    many_hosts_that_need_a_first_key_at_once_get_the_same,
    rows_of_an_earlier_release_are_read_and_sealed_by_two_hosts_at_once,
    for_an_hour_after_an_upgrade_everything_is_written_as_hosts_of_before_read_it,
    what_an_earlier_host_still_writes_is_sealed_by_the_second_pass,
    a_key_that_cannot_be_used_keeps_nobody_elses_rows_in_clear,
    after_a_rotation_the_old_key_is_needed_until_all_keys_are_wrapped_again,
    without_its_master_key_nothing_is_read_or_written,
    a_run_that_was_claimed_without_its_key_goes_on_when_the_key_is_back,
}

const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "HxAAAAQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Every place where people, models, tools or providers say something.
const PLANTED: [&str; 10] = [
    "planted-content",
    "planted-title",
    "planted-answer",
    "planted-reasoning",
    "planted-echo",
    "planted-arguments",
    "planted-frames",
    "planted-failure",
    "planted-task",
    "planted-result",
];

pub(crate) fn rows(database: &Real, sql: &str) -> Vec<storage::Row> {
    block_on(database.query(Statement::new("t", sql, []))).unwrap()
}

/// All texts of the tables that hold people's words.
pub(crate) fn stored(database: &Real) -> String {
    let mut texts = String::new();
    for sql in [
        "SELECT title FROM conversations",
        "SELECT content, tool_calls, reasoning, echo, title FROM messages",
        "SELECT frames FROM run_events",
        "SELECT error_message FROM runs",
        "SELECT title, message, result FROM tool_tasks",
    ] {
        for value in rows(database, sql).into_iter().flat_map(|row| row.0) {
            if let Value::Text(text) = value {
                texts.push_str(&text);
                texts.push('\n');
            }
        }
    }
    texts
}

/// A conversation in which everything is said that can be.
pub(crate) fn say_everything(fixture: &Fixture) -> (Id, Id, Id) {
    let (user, store) = (fixture.user("ada@example.org"), &fixture.store);
    let conversation = block_on(store.create_conversation(user.id, "planted-title", None)).unwrap().id;
    let (_, run) = fixture.send(&user, conversation, "planted-content");
    let lease = lease_of(&run);
    block_on(store.claim(lease, LEASE_MS, "")).unwrap().unwrap();
    let said = Said { message: Some("planted-task"), poll_ms: 1, lifetime_ms: 60_000 };
    let task = NewTask {
        call_id: "t",
        name: "x",
        title: "planted-task",
        server: "s",
        tool: "x",
        task_id: "1",
        session: None,
        said,
    };
    block_on(store.keep_tool_task(lease, user.id, task)).unwrap().unwrap();
    assert!(block_on(store.end_tool_task(user.id, run.id, "t", "planted-result", false)).unwrap());
    let calls = vec![ToolCall { id: "c".into(), name: "x".into(), arguments: "planted-arguments".into() }];
    let message = NewMessage {
        tool_calls: calls,
        echo: Some("planted-echo".into()),
        ..NewMessage::answer("planted-answer".into(), "planted-reasoning".into(), "tool_calls")
    };
    let batch = Batch { last_id: 5, frames: "planted-frames".into() };
    assert!(block_on(store.finish_step(lease, RunState::ToolExecution, &message, None, &batch)).unwrap());
    let result = result_of("c", "planted-result", false);
    assert!(block_on(store.finish_tool_call(lease, &result, &Batch::default())).unwrap());
    let failure = Some(RunFailure { code: "e".into(), message: "planted-failure".into() });
    let message = Some(answer("planted-answer", "error"));
    let ending = Ending { state: RunState::Error, failure, usage: None, message, batch: Batch::default() };
    assert!(block_on(store.finish_run(lease, &ending)).unwrap());
    (user.id, conversation, run.id)
}

/// What another instance with this key reads of it.
pub(crate) fn heard(
    store: &Store<Real>,
    (user_id, conversation, run_id): (Id, Id, Id),
) -> Result<String, StorageError> {
    block_on(async {
        let page = store.messages(user_id, conversation, 0, 100, 1_000_000).await?;
        let title = store.conversation(user_id, conversation).await?.unwrap().title;
        let run = store.run(user_id, run_id).await?.unwrap();
        let log = store.log(run_id, 0).await?;
        let tasks = store.tool_tasks(run_id).await?;
        let context = store.context(&run, 100, 1_000_000).await?;
        Ok(format!("{page:?} {title} {run:?} {log:?} {tasks:?} {}", context.len()))
    })
}

pub(crate) fn assert_hears_everything(store: &Store<Real>, ids: (Id, Id, Id)) {
    let heard = heard(store, ids).unwrap();
    for planted in PLANTED {
        assert!(heard.contains(planted), "{planted} is missing in {heard}");
    }
    assert!(!heard.contains("s1:"), "{heard}");
}

fn with_key(fixture: &Fixture, key: &str) -> Store<Real> {
    Store::with_master_key(fixture.another_connection(), MasterKey::new(key.to_owned()))
}

fn nothing_that_was_said_is_in_the_database(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    assert_hears_everything(&fixture.store, ids);
    let stored = stored(&fixture.another_connection());
    assert!(!stored.contains("planted"), "{stored}");
    // Another instance, which knows no key yet, hears the same.
    assert_hears_everything(&Store::new(fixture.another_connection()), ids);
}

fn a_text_opens_only_where_it_was_stored(place: Place) {
    let fixture = Fixture::new(place);
    let (user_id, conversation, _) = say_everything(&fixture);
    let swap = "UPDATE messages SET content = (SELECT other.content FROM messages AS other WHERE other.position = 2
                AND other.conversation_id = messages.conversation_id) WHERE position = 1";
    rows(&fixture.another_connection(), swap);
    let page = block_on(fixture.store.messages(user_id, conversation, 0, 100, 1_000_000)).unwrap();
    assert_eq!(page.messages[0].content, "(This cannot be read: its text is damaged.)");
    assert_eq!(page.messages[1].content, "planted-answer");
}

fn many_hosts_that_need_a_first_key_at_once_get_the_same(place: Place) {
    const HOSTS: usize = 8;
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let (barrier, stores) = (Barrier::new(HOSTS), (0..HOSTS).map(|_| Store::new(fixture.another_connection())));
    let stores: Vec<_> = stores.collect();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                barrier.wait();
                block_on(store.create_conversation(ada.id, "planted-title", None)).unwrap();
            });
        }
    });
    let titles = block_on(fixture.store.conversations(ada.id, None, 50, true)).unwrap();
    assert_eq!(titles.iter().filter(|found| found.title == "planted-title").count(), HOSTS);
    let database = fixture.another_connection();
    let count = |table| rows(&database, &format!("SELECT COUNT(*) FROM {table}"))[0].columns("t").integer().unwrap();
    assert_eq!((count("data_keys"), count("generated_keys")), (1, 1));
}

/// As if an earlier release had written everything, and this one were applied now.
pub(crate) fn unseal(fixture: &Fixture) {
    let database = fixture.another_connection();
    for sql in [
        "UPDATE conversations SET title = 'planted-title'",
        "UPDATE messages SET content = 'planted-content', title = NULL WHERE role = 'user'",
        "UPDATE messages SET content = 'planted-answer', reasoning = 'planted-reasoning', echo = 'planted-echo' WHERE role = 'assistant'",
        "UPDATE messages SET tool_calls = '[{\"id\":\"c\",\"name\":\"x\",\"arguments\":\"planted-arguments\"}]' WHERE tool_calls IS NOT NULL",
        "UPDATE messages SET content = 'planted-result', title = 's1:AAAAAAAAAAAAAAAA:typed' WHERE role = 'tool'",
        "UPDATE run_events SET frames = 'planted-frames'",
        "UPDATE runs SET error_message = 'planted-failure' WHERE error_message IS NOT NULL",
        "UPDATE tool_tasks SET title = 'planted-task', message = 'planted-task', result = 'planted-result'",
        "DELETE FROM data_keys",
    ] {
        rows(&database, sql);
    }
    begin_sealing(fixture);
}

pub(crate) fn begin_sealing(fixture: &Fixture) {
    let database = fixture.another_connection();
    for table in ["conversations", "messages", "run_events", "runs", "tool_tasks"] {
        let total = rows(&database, &format!("SELECT COUNT(*) FROM {table}"))[0].columns("t").integer().unwrap();
        let sql = "INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at) VALUES (?1, 1, '', 0, ?2, now_ms() - 3600000, 0)";
        block_on(database.query(Statement::new("t", sql, [table.into(), total.into()]))).unwrap();
    }
}

fn rows_of_an_earlier_release_are_read_and_sealed_by_two_hosts_at_once(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let eve = fixture.user("eve@example.org");
    for n in 0..100 {
        let conversation = fixture.conversation(&eve);
        fixture.send(&eve, conversation, &format!("planted {n}"));
    }
    rows(&fixture.another_connection(), "UPDATE messages SET content = 'planted-' || id");
    unseal(&fixture);
    let fresh = || Store::new(fixture.another_connection());
    let progress = block_on(fresh().sealing_progress()).unwrap().unwrap();
    assert!(progress.seen == 0 && progress.total > 300, "{progress:?}");
    // One step, by a host that dies before it can say how far it came.
    let killed = fresh();
    assert!(block_on(killed.seal_next_rows()).unwrap());
    rows(&fixture.another_connection(), "UPDATE sealing_progress SET passed = '', seen = 0, due_at = 0");
    let halfway = heard(&fresh(), ids).unwrap();
    assert!(halfway.contains("planted-answer") && halfway.contains("s1:AAAAAAAAAAAAAAAA:typed"), "{halfway}");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let store = fresh();
                while block_on(store.sealing_progress()).unwrap().is_some() {
                    block_on(store.seal_next_rows()).unwrap();
                }
            });
        }
    });
    let stored = stored(&fixture.another_connection());
    assert!(!stored.contains("planted"), "{stored}");
    let heard = heard(&fresh(), ids).unwrap();
    assert!(heard.contains("s1:AAAAAAAAAAAAAAAA:typed"), "what looked sealed is as it was typed: {heard}");
    for planted in PLANTED {
        assert!(heard.contains(planted), "{planted} is missing in {heard}");
    }
    let store = fresh();
    let typed: BTreeSet<String> = block_on(async {
        let mut typed = BTreeSet::new();
        for conversation in store.conversations(eve.id, None, 200, true).await.unwrap() {
            let page = store.messages(eve.id, conversation.id, 0, 10, 1_000_000).await.unwrap();
            typed.extend(page.messages.into_iter().map(|message| message.content));
        }
        typed
    });
    assert_eq!(typed, BTreeSet::from(["planted-content".to_owned()]));
}

fn for_an_hour_after_an_upgrade_everything_is_written_as_hosts_of_before_read_it(place: Place) {
    let fixture = Fixture::new(place);
    let database = fixture.another_connection();
    begin_sealing(&fixture);
    rows(&database, "UPDATE sealing_progress SET began_at = now_ms() - 3500000, due_at = now_ms() + 100000");
    let ids = say_everything(&fixture);
    assert!(!block_on(fixture.store.seal_next_rows()).unwrap(), "it is not due yet");
    let written = stored(&database);
    assert!(!written.contains("s1:") && PLANTED.iter().all(|planted| written.contains(planted)), "{written}");
    let secret = |store: &Store<Real>| block_on(store.secrets_key(ids.0)).unwrap();
    let sealed = secret(&fixture.store).seal("mail", "password", "planted").unwrap();
    assert!(sealed.starts_with("v1."), "{sealed}");
    // The hour is over.
    rows(&database, "UPDATE sealing_progress SET began_at = now_ms() - 3600000, due_at = 0");
    let store = Store::new(fixture.another_connection());
    assert_hears_everything(&store, ids);
    assert_eq!(secret(&store).open("mail", "password", &sealed).unwrap().as_str(), "planted");
    assert!(secret(&store).seal("mail", "password", "planted").unwrap().starts_with("s1:"));
    block_on(store.update_conversation(ids.0, ids.1, Some("planted-title"), None)).unwrap().unwrap();
    assert!(!stored(&database).contains("planted-title"));
    assert_hears_everything(&store, ids);
    while block_on(store.seal_next_rows()).unwrap() {}
    assert!(!stored(&database).contains("planted"));
    assert_hears_everything(&store, ids);
}

fn what_an_earlier_host_still_writes_is_sealed_by_the_second_pass(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    unseal(&fixture);
    let (store, database) = (&fixture.store, fixture.another_connection());
    while block_on(store.seal_next_rows()).unwrap() {}
    assert_eq!(block_on(store.sealing_progress()).unwrap(), None);
    rows(&database, "UPDATE messages SET content = 'planted-content' WHERE role = 'user'");
    assert!(!block_on(store.seal_next_rows()).unwrap(), "it is not due yet");
    assert!(stored(&database).contains("planted-content"));
    rows(&database, "UPDATE sealing_progress SET due_at = 0");
    while block_on(store.seal_next_rows()).unwrap() {}
    assert!(!stored(&database).contains("planted"));
    assert!(rows(&database, "SELECT 1 FROM sealing_progress WHERE finished_at IS NULL").is_empty());
    assert!(heard(store, ids).unwrap().contains("planted-content"));
    // Later still, as docs/runbooks/keys.md says.
    rows(&database, "UPDATE messages SET content = 'planted-content' WHERE role = 'user'");
    assert!(!block_on(store.seal_next_rows()).unwrap());
    rows(&database, "UPDATE sealing_progress SET pass = 1, passed = '', seen = 0, due_at = 0, finished_at = NULL");
    assert!(block_on(store.sealing_progress()).unwrap().is_some());
    while block_on(store.seal_next_rows()).unwrap() {}
    assert!(!stored(&database).contains("planted"));
}

fn a_key_that_cannot_be_used_keeps_nobody_elses_rows_in_clear(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let eve = fixture.user("eve@example.org");
    block_on(fixture.store.create_conversation(eve.id, "", None)).unwrap();
    unseal(&fixture);
    let database = fixture.another_connection();
    let damage = |wrapped: &str| {
        let sql = format!("UPDATE data_keys SET wrapped = '{wrapped}' WHERE user_id = '{}'", eve.id);
        rows(&database, &sql);
    };
    let fresh = || Store::new(fixture.another_connection());
    block_on(fresh().secrets_key(eve.id)).unwrap();
    let sql = format!("SELECT wrapped FROM data_keys WHERE user_id = '{}'", eve.id);
    let wrapped = rows(&database, &sql)[0].columns("t").text().unwrap().to_owned();
    damage("AAAA");
    // Somebody of a task who is gone.
    let gone = Id::new();
    rows(
        &database,
        &format!(
            "INSERT INTO tool_tasks (run_id, call_id, user_id, name, server, tool, task_id, started_at, ask_at, poll_ms, lapses_at, title)
             SELECT run_id, '0', '{gone}', name, server, tool, task_id, started_at, ask_at, poll_ms, lapses_at, '' FROM tool_tasks"
        ),
    );
    let go_on = || {
        while block_on(fresh().seal_next_rows()).unwrap() {}
        rows(&database, "UPDATE sealing_progress SET due_at = 0");
    };
    let clear = || rows(&database, "SELECT 1 FROM conversations WHERE title = 'planted-title'").len();
    let finished = || rows(&database, "SELECT 1 FROM sealing_progress WHERE finished_at IS NOT NULL").len();
    for (pass, done) in [(1, 0), (2, 4), (3, 4)] {
        go_on();
        assert_eq!((clear(), finished(), block_on(fresh().unsealable_rows()).unwrap()), (1, done, 1), "{pass}");
    }
    assert!(heard(&fresh(), ids).unwrap().contains("planted-echo"));
    damage(&wrapped);
    go_on();
    assert_eq!((clear(), finished(), block_on(fresh().unsealable_rows()).unwrap()), (0, 5, 0));
}

fn after_a_rotation_the_old_key_is_needed_until_all_keys_are_wrapped_again(place: Place) {
    let fixture = Fixture::new(place);
    let store = with_key(&fixture, OLD);
    let users: Vec<_> = (0..70).map(|n| fixture.user(&format!("{n}@example.org")).id).collect();
    for user in &users {
        block_on(store.create_conversation(*user, "planted-title", None)).unwrap();
    }
    let both = with_key(&fixture, &format!("{NEW},{OLD}"));
    let uses = |store: &Store<Real>| -> Vec<(bool, bool, i64)> {
        let keys = block_on(store.master_keys()).unwrap();
        keys.iter().map(|key| (key.is_known, key.wraps, key.uses)).collect()
    };
    assert_eq!(uses(&both), [(true, true, 0), (true, false, 70)]);
    // A step at a time: whoever dies between two has lost nothing.
    assert!(block_on(both.rewrap_next_keys()).unwrap());
    assert_eq!(uses(&both), [(true, true, 32), (true, false, 38)]);
    let titled = |store: &Store<Real>, user: Id| -> bool {
        block_on(store.conversations(user, None, 9, true)).unwrap().iter().all(|found| found.title == "planted-title")
    };
    assert!(users.iter().all(|user| titled(&with_key(&fixture, &format!("{NEW},{OLD}")), *user)));
    while block_on(both.rewrap_next_keys()).unwrap() {}
    let only_new = with_key(&fixture, NEW);
    assert_eq!(uses(&only_new), [(true, true, 70)]);
    assert!(users.iter().all(|user| titled(&only_new, *user)));
}

fn without_its_master_key_nothing_is_read_or_written(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let conversation = block_on(with_key(&fixture, OLD).create_conversation(ada.id, "planted-title", None)).unwrap().id;
    let lost = with_key(&fixture, NEW);
    let is_missing = |error: StorageError| matches!(error, StorageError::MasterKeyMissing(_));
    assert!(is_missing(block_on(lost.conversation(ada.id, conversation)).unwrap_err()));
    assert!(is_missing(block_on(lost.update_conversation(ada.id, conversation, Some("x"), None)).unwrap_err()));
    let keys = block_on(lost.master_keys()).unwrap();
    assert_eq!(keys.iter().filter(|key| !key.is_known).map(|key| key.uses).collect::<Vec<_>>(), [1]);
    // A component that gets no key at all is told so.
    let none = Store::with_master_key(fixture.another_connection(), MasterKey::not_granted());
    let read = block_on(none.conversation(ada.id, conversation));
    assert!(matches!(read, Err(StorageError::NoMasterKey)), "{read:?}");
    // Once it is back, everything is.
    let found = block_on(with_key(&fixture, &format!("{NEW},{OLD}")).conversation(ada.id, conversation));
    assert_eq!(found.unwrap().unwrap().title, "planted-title");
}

fn a_run_that_was_claimed_without_its_key_goes_on_when_the_key_is_back(place: Place) {
    let mut fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    fixture.store = with_key(&fixture, OLD);
    let (_, run) = fixture.send(&ada, fixture.conversation(&ada), "planted-content");
    let lost = with_key(&fixture, NEW);
    for _ in 0..12 {
        let claimed = block_on(lost.claim(lease_of(&run), LAPSED_MS, ""));
        assert!(matches!(claimed, Err(StorageError::MasterKeyMissing(_))), "{claimed:?}");
    }
    let claim = block_on(with_key(&fixture, OLD).claim(lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
    assert_eq!((claim.attempt, claim.run.failure), (1, None));
}
