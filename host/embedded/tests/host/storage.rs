//! SQLite and key-value stores are in the state folder and behave as in Spin.

use std::collections::BTreeSet;

use crate::harness::{Host, private, refused, web};

const GRANTS: &str = "sqlite_databases = [\"default\"]\nkey_value_stores = [\"default\"]";

#[tokio::test]
async fn what_lies_in_the_state_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let manifest = web(GRANTS);
    let mut host = Host::start(&manifest);
    let state = host.folder.path().join(".spin");
    for _ in 0..2 {
        host.ok("/sqlite?note").await;
        host.ok("/sqlite-sync?PRAGMA%20journal_mode=WAL").await;
        assert_eq!(mode(&state), 0o700);
        let mut files: Vec<_> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.extend(std::fs::read_dir(state.join("logs")).unwrap().map(|entry| entry.unwrap().path()));
        assert!(files.len() > 4, "{files:?}");
        for file in files.iter().filter(|path| path.is_file()) {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
        // Files that an earlier version left readable are closed to others.
        host.signal("TERM");
        host.ended().await;
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(state.join("sqlite_db.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let folder = std::mem::replace(&mut host.folder, tempfile::tempdir().unwrap());
        host = Host::start_in(folder, &manifest, &[]);
    }
}

#[tokio::test]
async fn every_kind_of_value_survives_a_round_trip() {
    let host = Host::start(&web(GRANTS));
    let expected = "id,note,size,raw,NULL [RowResult { values: [Value::Integer(1), Value::Text(\"n\"), \
                    Value::Real(1.5), Value::Blob([1, 2]), Value::Null] }] 1 1";
    assert_eq!(host.ok("/sqlite?n").await, expected);
    let counted = host.ok("/sqlite-sync?SELECT%20count(*)%20AS%20n%20FROM%20notes").await;
    assert!(counted.contains("[\"n\"]") && counted.contains("Value::Integer(1)"), "{counted}");
    assert!(host.folder.path().join(".spin/sqlite_db.db").exists());
}

#[tokio::test]
async fn rows_are_streamed() {
    let host = Host::start(&web(GRANTS));
    assert_eq!(host.ok("/rows?5000").await, "5000");
}

#[tokio::test]
async fn a_wrong_statement_is_an_error_that_says_what_is_wrong() {
    let host = Host::start(&web(GRANTS));
    let (status, told) = host.get("/sqlite-sync?SELECT%20*%20FROM%20nowhere").await;
    assert_eq!(status, 502);
    assert!(told.contains("no such table: nowhere"), "{told}");
}

#[tokio::test]
async fn whatever_was_done_on_a_connection_the_next_is_as_new() {
    let host = Host::start(&web(GRANTS));
    let run = async |statement: &str| host.get(&format!("/sqlite-sync?{}", statement.replace(' ', "%20"))).await;
    for pragma in ["foreign_keys", "secure_delete", "synchronous", "query_only", "cache_size"] {
        let asked = format!("PRAGMA {pragma}");
        let at_first = run(&asked).await;
        for value in [0, 1] {
            assert_eq!(run(&format!("{asked} = {value}")).await.0, 200, "{asked}");
            assert_eq!(run(&asked).await, at_first);
        }
    }
    assert_eq!(run("CREATE TEMP TABLE apart (x)").await.0, 200);
    assert!(run("SELECT * FROM apart").await.1.contains("no such table"));
    // What was begun and not committed is undone, and holds nobody up.
    host.ok("/sqlite?first").await;
    assert_eq!(run("BEGIN IMMEDIATE").await.0, 200);
    assert!(host.ok("/sqlite?second").await.ends_with("1 2"));
}

#[tokio::test]
async fn a_write_waits_for_another_connections_transaction() {
    let host = Host::start(&web(GRANTS));
    host.ok("/sqlite?first").await;
    let other = rusqlite::Connection::open(host.folder.path().join(".spin/sqlite_db.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut writing = std::pin::pin!(host.ok("/sqlite?second"));
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut writing).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    other.execute_batch("COMMIT").unwrap();
    assert!(writing.await.ends_with("1 2"));
}

#[tokio::test]
async fn keys_and_values_survive_a_restart() {
    let mut host = Host::start(&web(GRANTS));
    assert_eq!(host.ok("/key?a").await, "none");
    host.ok("/set?a").await;
    host.ok("/set?b").await;
    host.signal("TERM");
    assert!(host.ended().await.success());
    let folder = std::mem::replace(&mut host.folder, tempfile::tempdir().unwrap());
    let host = Host::start_in(folder, &web(GRANTS), &[]);
    assert_eq!(host.ok("/key?a").await, "a");
    let keys = host.ok("/keys").await;
    assert_eq!(keys.split(',').collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b"]));
}

#[tokio::test]
async fn sql_given_at_start_runs_before_the_first_request() {
    let sql = "CREATE TABLE seeded (x); INSERT INTO seeded VALUES (7)";
    let host = Host::start_with(&web(GRANTS), &["--sqlite", sql]);
    let told = host.ok("/sqlite-sync?SELECT%20x%20FROM%20seeded").await;
    assert!(told.contains("Value::Integer(7)"), "{told}");
}

#[tokio::test]
async fn what_guests_print_is_in_the_terminal_and_in_files() {
    let host = Host::start(&web(""));
    host.ok("/print?here").await;
    host.logged("[web] to stderr here").await;
    let read = |name| std::fs::read_to_string(host.folder.path().join(".spin/logs").join(name)).unwrap();
    assert_eq!(read("web_stdout.txt"), "to stdout here\n");
    assert_eq!(read("web_stderr.txt"), "to stderr here\n");
}

#[tokio::test]
async fn only_what_is_followed_is_in_the_terminal_and_all_is_in_files() {
    let manifest = format!("{}\n{}", web(""), private("second", "")).replace("{ private = true }", "\"/second/...\"");
    let host = Host::start_with(&manifest, &["--follow", "second"]);
    host.ok("/print?first").await;
    host.ok("/second/print?second").await;
    host.logged("[second] to stderr second").await;
    assert!(!host.log().contains("to stderr first"), "{}", host.log());
    let file = host.folder.path().join(".spin/logs/web_stderr.txt");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "to stderr first\n");
    let (code, said) = refused(&manifest, &["--follow", "third"]);
    assert!(code == Some(1) && said.contains("there are second, web"), "{said}");
}
