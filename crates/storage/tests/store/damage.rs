//! Damage stays where it is: one text that cannot be opened is told in words, and the rest of the conversation, its list and its runs go on.

use domain::Id;
use storage::{StorageError, Store, provider_sessions::ProviderSession, sessions::TokenHashes};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    on_each_database,
    places::{Place, block_on},
    sealing::{heard, rows, say_everything},
};

on_each_database! {
    one_damaged_text_is_told_in_words_and_nothing_else_is_lost,
    a_run_goes_on_without_what_is_damaged_in_its_history,
    a_damaged_key_is_told_in_words_and_harms_nobody_else,
}

const DAMAGED: &str = "(This cannot be read: its text is damaged.)";

/// Every column that can be damaged, by what is missing then.
const COLUMNS: [(&str, &str, &str); 10] = [
    ("conversations", "title", "planted-title"),
    ("messages", "content", "planted-content"),
    ("messages", "tool_calls", "planted-arguments"),
    ("messages", "reasoning", "planted-reasoning"),
    ("messages", "echo", "planted-echo"),
    ("messages", "title", "Current time"),
    ("run_events", "frames", "planted-frames"),
    ("runs", "error_message", "planted-failure"),
    ("tool_tasks", "title", "planted-task"),
    ("tool_tasks", "result", "planted-result"),
];

/// How a text is damaged: a letter is another one, its end is missing, it is no base64 any more, its key's name is another one.
fn damages(column: &str) -> [String; 4] {
    [
        format!(
            "substr({column}, 1, 30) || CASE substr({column}, 31, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr({column}, 32)"
        ),
        format!("substr({column}, 1, length({column}) - 2)"),
        format!("{column} || '!'"),
        format!("'s1:AAAAAAAAAAAAAAAA' || substr({column}, 20)"),
    ]
}

/// The same row of the table's copy.
fn same_row(table: &str) -> String {
    let key: &[&str] = match table {
        "run_events" => &["run_id", "last_id"],
        "tool_tasks" => &["run_id", "call_id"],
        _ => &["id"],
    };
    key.iter().map(|column| format!("whole.{column} = {table}.{column}")).collect::<Vec<_>>().join(" AND ")
}

fn one_damaged_text_is_told_in_words_and_nothing_else_is_lost(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let database = fixture.another_connection();
    let whole = heard(&Store::new(fixture.another_connection()), ids).unwrap();
    for (table, column, planted) in COLUMNS {
        rows(&database, &format!("CREATE TABLE whole AS SELECT * FROM {table}"));
        for damage in damages(column) {
            rows(&database, &format!("UPDATE {table} SET {column} = {damage} WHERE {column} <> ''"));
            let store = Store::new(fixture.another_connection());
            let told = heard(&store, ids).unwrap_or_else(|error| panic!("{table}.{column}: {error}"));
            assert!(!told.contains("s1:"), "{table}.{column}: {told}");
            assert!(told.matches(planted).count() < whole.matches(planted).count(), "{table}.{column}: {told}");
            for (other_table, other, kept) in COLUMNS {
                let is_same = (other_table, other) == (table, column);
                assert!(is_same || told.contains(kept), "{table}.{column} takes {kept} with it: {told}");
            }
            assert_eq!(block_on(store.conversations(ids.0, None, 9, true)).unwrap().len(), 1);
            let restore =
                format!("UPDATE {table} SET {column} = (SELECT whole.{column} FROM whole WHERE {})", same_row(table));
            rows(&database, &restore);
        }
        rows(&database, "DROP TABLE whole");
    }
    assert_eq!(heard(&Store::new(fixture.another_connection()), ids).unwrap(), whole);
}

fn a_run_goes_on_without_what_is_damaged_in_its_history(place: Place) {
    let fixture = Fixture::new(place);
    let (user_id, conversation, _) = say_everything(&fixture);
    let database = fixture.another_connection();
    let user = block_on(fixture.store.user(user_id)).unwrap().unwrap();
    let (_, run) = fixture.send(&user, conversation, "planted-next");
    for column in ["content", "tool_calls", "echo"] {
        rows(&database, &format!("UPDATE messages SET {column} = {column} || '!' WHERE position < 4"));
    }
    // What opens and is no JSON counts as damaged, too.
    rows(&database, "UPDATE messages SET tool_calls = 'x' WHERE position = 4");
    let store = Store::new(fixture.another_connection());
    let claim = block_on(store.claim(lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
    let context = block_on(store.context(&claim.run, 100, 1_000_000)).unwrap();
    assert_eq!(context.last().unwrap().content, "planted-next");
    assert_eq!(context[0].content, DAMAGED);
    assert!(context.iter().all(|message| message.tool_calls.is_empty() && message.echo.is_none()));
}

fn a_damaged_key_is_told_in_words_and_harms_nobody_else(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let eve = fixture.user("eve@example.org");
    block_on(fixture.store.create_conversation(eve.id, "planted-title", None)).unwrap();
    let sql = format!("UPDATE data_keys SET wrapped = substr(wrapped, 2) WHERE user_id = '{}'", ids.0);
    rows(&fixture.another_connection(), &sql);
    let store = Store::new(fixture.another_connection());
    assert!(matches!(heard(&store, ids), Err(StorageError::KeyDamaged)));
    assert!(matches!(block_on(store.create_conversation(ids.0, "x", None)), Err(StorageError::KeyDamaged)));
    assert_eq!(block_on(store.conversations(eve.id, None, 9, true)).unwrap()[0].title, "planted-title");
    // They get in and out through a provider all the same.
    let (user, session_id) = (block_on(store.user(ids.0)).unwrap().unwrap(), Id::new());
    let hashes = TokenHashes { token: "token".into(), family: "family".into() };
    let (issuer, subject, sid, hint) = ("i".to_owned(), "s".to_owned(), None, Some("a.b.c".to_owned()));
    let session = ProviderSession { issuer, subject, sid, hint };
    assert!(block_on(store.create_provider_session(session_id, &user, &hashes, &session, 60_000)).unwrap());
    let kept = block_on(store.provider_session(session_id, &hashes)).unwrap().unwrap();
    assert_eq!(kept, ProviderSession { hint: None, ..session });
    assert!(block_on(store.api_keys(ids.0)).unwrap().is_empty());
}
