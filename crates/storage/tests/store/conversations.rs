//! Conversations and their messages, and their owners.

use std::sync::Barrier;

use domain::{Id, RunState};
use storage::{
    Database, Statement, Store,
    messages::{Appended, IncomingMessage},
    retries::Retried,
};

use crate::{
    fixture::{Fixture, answer, batch},
    places::{Place, block_on},
};

crate::on_each_database! {
    what_is_somebody_elses_is_not_found,
    a_list_read_page_by_page_has_everything_once_newest_first,
    a_message_comes_with_its_run_and_names_the_conversation,
    a_second_message_waits_for_the_first_answer,
    a_message_sent_again_with_its_key_is_stored_once,
    a_message_sent_many_times_at_once_is_stored_once,
    one_of_many_messages_sent_at_once_is_stored_and_the_others_wait,
    a_page_of_messages_is_cut_by_size_but_never_empty,
    messages_are_paged_from_the_newest_to_the_oldest,
    the_context_has_the_newest_messages_that_fit_and_always_the_question,
    deleting_a_conversation_takes_everything_with_it,
}

#[test]
fn what_was_typed_is_never_in_the_file_and_what_was_deleted_is_not_left_there() {
    let place = Place::sqlite();
    let Place::Sqlite(folder) = &place else { panic!("no folder") };
    let path = folder.path().join("sqlite_db.db");
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let (short, long) = ("a word to the wise", "a word to the wise ".repeat(1_000));
    let conversations = [short, long.as_str()].map(|content| {
        let conversation = fixture.conversation(&ada);
        fixture.send(&ada, conversation, content);
        conversation
    });
    let is_in_file = |searched: &str| {
        let checkpoint = Statement::new("checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", []);
        block_on(fixture.another_connection().query(checkpoint)).unwrap();
        let file = std::fs::read(&path).unwrap();
        file.windows(searched.len()).any(|bytes| bytes == searched.as_bytes())
    };
    assert!(!is_in_file(short));
    assert!(conversations.iter().all(|conversation| is_in_file(&conversation.to_string())));
    for conversation in conversations {
        assert!(block_on(fixture.store.delete_conversation(ada.id, conversation)).unwrap());
    }
    assert!(!conversations.iter().any(|conversation| is_in_file(&conversation.to_string())));
}

fn what_is_somebody_elses_is_not_found(place: Place) {
    let fixture = Fixture::new(place);
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
    assert!(block_on(store.request_cancel(eve.id, run.id, false)).unwrap().is_none());
    assert!(matches!(block_on(store.retry_run(eve.id, run.id, None)).unwrap(), Retried::NotFound));
    assert_eq!(fixture.texts(&ada, conversation), ["secret"]);
}

fn a_list_read_page_by_page_has_everything_once_newest_first(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let made: Vec<Id> = (0..25).map(|_| fixture.conversation(&user)).collect();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = block_on(fixture.store.conversations(user.id, after, 10, true)).unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.updated_at, last.id));
        seen.extend(page.into_iter().map(|conversation| (conversation.updated_at, conversation.id)));
    }
    assert!(seen.is_sorted_by(|a, b| a > b));
    let mut ids: Vec<Id> = seen.into_iter().map(|(_, id)| id).collect();
    ids.sort();
    assert_eq!(ids, made);
}

fn a_message_comes_with_its_run_and_names_the_conversation(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (message, run) = fixture.send(&user, conversation, "hello");
    assert_eq!((message.run_id, run.message_id, message.position), (run.id, message.id, 1));
    assert_eq!((run.state, run.model.as_str()), (RunState::Queued, "m"));
    let conversation = block_on(fixture.store.conversation(user.id, conversation)).unwrap().unwrap();
    assert_eq!((conversation.title.as_str(), conversation.active_run_id), ("title", Some(run.id)));
}

fn a_second_message_waits_for_the_first_answer(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, lease) = fixture.claimed(&user, conversation);
    assert!(matches!(fixture.append(&user, conversation, "again", None), Appended::RunActive));
    assert_eq!(fixture.texts(&user, conversation), ["hello"]);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    fixture.send(&user, conversation, "again");
    assert_eq!(fixture.texts(&user, conversation), ["hello", "answer", "again"]);
}

fn a_message_sent_again_with_its_key_is_stored_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let Appended::Stored(first, run, _) = fixture.append(&user, conversation, "hello", Some("k")) else { panic!() };
    let Appended::Existing(again, same_run) = fixture.append(&user, conversation, "hello", Some("k")) else { panic!() };
    assert_eq!((first.id, run.id), (again.id, same_run.id));
    assert_eq!(fixture.texts(&user, conversation).len(), 1);
}

/// The results of eight messages sent at the same moment over separate connections, and the errors.
fn append_at_once(fixture: &Fixture, key: impl Fn(usize) -> String + Sync) -> (Vec<Appended>, Vec<String>) {
    const SENDERS: usize = 8;
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let barrier = Barrier::new(SENDERS);
    let stores: Vec<_> = (0..SENDERS).map(|_| Store::new(fixture.another_connection())).collect();
    let send = &|(index, store): (usize, &Store<_>)| {
        let key = key(index);
        let incoming = IncomingMessage {
            content: "hello",
            title: "",
            default_model: "m",
            idempotency_key: Some(&key),
            ..IncomingMessage::default()
        };
        barrier.wait();
        block_on(store.append_message(user.id, conversation, &incoming)).unwrap()
    };
    let appended = std::thread::scope(|scope| {
        let threads: Vec<_> = stores.iter().enumerate().map(|sender| scope.spawn(move || send(sender))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (appended, fixture.texts(&user, conversation))
}

fn a_message_sent_many_times_at_once_is_stored_once(place: Place) {
    let (appended, texts) = append_at_once(&Fixture::new(place), |_| "k".to_owned());
    assert_eq!(texts, ["hello"]);
    let stored = appended.iter().filter(|appended| matches!(appended, Appended::Stored(..))).count();
    let existing = appended.iter().filter(|appended| matches!(appended, Appended::Existing(..))).count();
    assert_eq!((stored, existing), (1, appended.len() - 1), "{appended:?}");
}

fn one_of_many_messages_sent_at_once_is_stored_and_the_others_wait(place: Place) {
    let (appended, texts) = append_at_once(&Fixture::new(place), |index| index.to_string());
    assert_eq!(texts, ["hello"]);
    let stored = appended.iter().filter(|appended| matches!(appended, Appended::Stored(..))).count();
    let waiting = appended.iter().filter(|appended| matches!(appended, Appended::RunActive)).count();
    assert_eq!((stored, waiting), (1, appended.len() - 1), "{appended:?}");
}

fn a_page_of_messages_is_cut_by_size_but_never_empty(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, lease) = fixture.claimed(&user, conversation);
    for at in 1..=3 {
        let (message, events) = (answer(&"x".repeat(100), "stop"), batch(at, "f"));
        assert!(block_on(fixture.store.finish_step(lease, RunState::Streaming, &message, None, &events)).unwrap());
    }
    let read = |after| block_on(fixture.store.messages(user.id, conversation, after, 200, 110)).unwrap();
    let (first, second) = (read(0), read(2));
    assert_eq!((first.messages.len(), first.next), (3, Some(3)), "5 + 100 bytes, and the one that crosses the line");
    assert_eq!((second.messages.len(), second.next), (2, None));
    assert_eq!(block_on(fixture.store.messages(user.id, conversation, 1, 1, 1)).unwrap().messages.len(), 1);
}

fn messages_are_paged_from_the_newest_to_the_oldest(place: Place) {
    let fixture = Fixture::new(place);
    let (user, stranger) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let conversation = fixture.conversation(&user);
    for _ in 0..3 {
        let (_, lease) = fixture.claimed(&user, conversation);
        assert!(fixture.end(lease, RunState::Complete, "stop"));
    }
    let read = |owner: Id, before, limit, max_bytes| {
        block_on(fixture.store.newest_messages(owner, conversation, before, limit, max_bytes)).unwrap()
    };
    let mut places = Vec::new();
    let mut before = Some(i64::MAX);
    while let Some(place) = before {
        let page = read(user.id, place, 4, 1_000_000);
        places.extend(page.messages.iter().map(|message| message.position));
        before = page.next;
    }
    assert_eq!(places, [6, 5, 4, 3, 2, 1]);
    assert_eq!(read(user.id, i64::MAX, 200, 1).messages.len(), 1, "a page of long messages ends early");
    assert!(read(stranger.id, i64::MAX, 200, 1_000_000).messages.is_empty());
}

fn the_context_has_the_newest_messages_that_fit_and_always_the_question(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    for _ in 0..3 {
        let (_, lease) = fixture.claimed(&user, conversation);
        assert!(fixture.end(lease, RunState::Complete, "stop"));
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

fn deleting_a_conversation_takes_everything_with_it(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, lease) = fixture.claimed(&user, conversation);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    assert!(block_on(fixture.store.delete_conversation(user.id, conversation)).unwrap());
    for table in ["messages", "runs", "run_events"] {
        let statement = Statement::new("count", format!("SELECT 1 FROM {table}"), []);
        assert!(block_on(fixture.another_connection().query(statement)).unwrap().is_empty(), "{table}");
    }
}
