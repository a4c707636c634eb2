//! Work that outlives its reader, stopping, and starting again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::{Host, next_piece, read, until, web};

const STORE: &str = "key_value_stores = [\"default\"]";

#[tokio::test]
async fn a_guests_task_goes_on_after_the_reader_left() {
    let host = Host::start(&web(STORE));
    let mut response = host.open("/background?left").await;
    assert_eq!(next_piece(&mut response).await.unwrap(), "still here\n");
    assert_eq!(host.ok("/key?left").await, "none");
    drop(response);
    until(async || host.ok("/key?left").await == "done").await;
}

#[tokio::test]
async fn stopping_lets_responses_and_background_tasks_end() {
    let mut host = Host::start(&web(STORE));
    let mut left = host.open("/background?drained").await;
    assert!(next_piece(&mut left).await.is_some());
    drop(left);
    let mut streaming = host.open("/stream").await;
    assert_eq!(next_piece(&mut streaming).await.unwrap(), "one\n");
    host.signal("TERM");
    assert_eq!(read(streaming).await.1, "two\nthree\n");
    assert!(host.ended().await.success(), "{}", host.log());
    let database = rusqlite::Connection::open(host.folder.path().join(".spin/sqlite_key_value.db")).unwrap();
    let value: Vec<u8> = database.query_row("SELECT value FROM spin_key_value", [], |row| row.get(0)).unwrap();
    assert_eq!(value, b"done");
}

#[tokio::test]
async fn stopping_without_work_is_at_once_and_a_second_signal_does_not_wait() {
    let mut host = Host::start(&web(""));
    host.ok("/count").await;
    let start = Instant::now();
    host.signal("INT");
    assert_eq!(host.ended().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let mut host = Host::start(&web(STORE));
    let mut streaming = host.open("/background?never").await;
    assert!(next_piece(&mut streaming).await.is_some());
    host.signal("INT");
    host.logged("Stopping").await;
    host.signal("INT");
    assert_eq!(host.ended().await.code(), Some(130));
}

#[tokio::test]
async fn a_second_start_does_not_compile_again() {
    let cache = tempfile::tempdir().unwrap();
    let flags = ["--cache-dir", cache.path().to_str().unwrap()];
    let first = Host::start_with(&web(""), &flags);
    assert_eq!(first.ok("/count").await, "1");
    let start = Instant::now();
    let second = Host::start_with(&web(""), &flags);
    let took = start.elapsed();
    assert_eq!(second.ok("/count").await, "1");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn what_was_compiled_and_then_spoiled_is_compiled_again() {
    let cache = tempfile::tempdir().unwrap();
    let flags = ["--cache-dir", cache.path().to_str().unwrap()];
    let lengths = || -> BTreeMap<_, _> {
        let files = std::fs::read_dir(cache.path()).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.path(), file.metadata().unwrap().len())).collect()
    };
    drop(Host::start_with(&web(""), &flags));
    let whole = lengths();
    assert!(!whole.is_empty());
    for file in whole.keys() {
        std::fs::write(file, "half of it").unwrap();
    }
    assert_eq!(Host::start_with(&web(""), &flags).ok("/count").await, "1");
    assert_eq!(lengths(), whole);
}

#[tokio::test]
async fn what_was_compiled_long_ago_makes_room_and_nothing_else_does() {
    let cache = tempfile::tempdir().unwrap();
    let old = |name| {
        let path = cache.path().join(name);
        let file = std::fs::File::create(&path).unwrap();
        // The file has a length but takes no space.
        file.set_len(2 << 30).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        path
    };
    let (compiled, notes) = (old("old.cwasm"), old("notes.txt"));
    let host = Host::start_with(&web(""), &["--cache-dir", cache.path().to_str().unwrap()]);
    assert_eq!(host.ok("/count").await, "1");
    assert!(!compiled.exists() && notes.exists());
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 2);
}
