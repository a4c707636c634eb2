//! Full-text search: what was said is found by its person and nobody else, ranked, page by page; and what goes leaves nothing in the index. Terms are words here,
//! as numbers: how words become terms is `search-terms`' business.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use domain::{Id, RunState, User};
use storage::{
    Database, Store, Value,
    data_key_rotation::Rotation,
    search::{SearchFilter, SearchPage, SearchPlace, SearchTerm},
    search_indexing::{DocumentKind, IndexedText, IndexingTurn, NewSearchWord, TakenTexts},
};

use crate::{
    fixture::{Fixture, batch, lease_of, result_of},
    master_keys::killed_again_and_again,
    on_each_database,
    places::{Place, Real, block_on},
    plans::{Recorder, reads_whole_only},
    sealing::rows,
};

on_each_database! {
    what_was_said_is_found_by_its_person_and_nobody_else,
    what_says_more_of_it_in_fewer_words_comes_first_and_rare_words_count_more,
    results_come_page_by_page_and_filters_leave_some_out,
    temporary_chats_and_what_tools_said_are_never_indexed,
    what_is_deleted_leaves_nothing_and_words_stay_while_somebody_uses_them,
    a_title_that_changes_while_it_is_indexed_is_indexed_again,
    whoever_is_killed_while_texts_are_indexed_leaves_nothing_half_done,
    an_index_that_is_turned_off_goes_and_one_that_is_turned_on_again_has_everything,
    with_a_new_data_key_everything_is_indexed_anew_and_found_meanwhile,
    an_erased_person_leaves_nothing_in_the_index,
    a_key_that_cannot_be_used_keeps_nobody_elses_texts_from_the_index,
    a_text_that_could_not_be_indexed_waits_longer_each_time_and_then_goes_alone,
    no_statement_of_a_search_or_of_indexing_reads_a_whole_table,
}

/// The tables of the index.
const TABLES: [&str; 4] = ["search_documents", "search_postings", "search_words", "search_backlog"];

/// What a word is stored as: any number will do that is the word's own, and the key's.
fn hash(word: &str, key: &[u8; 32]) -> i64 {
    let bytes = word.bytes().chain(key.iter().take(4).copied());
    bytes.fold(7, |hash: i64, byte| hash.wrapping_mul(1_099_511_628_211).wrapping_add(byte.into()))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

fn indexed(text: &str, key: &[u8; 32]) -> IndexedText {
    let mut counts = BTreeMap::<&str, u32>::new();
    words(text).for_each(|word| *counts.entry(word).or_default() += 1);
    let postings = counts.iter().map(|(word, count)| (hash(word, key), *count)).collect();
    let entry = |word: &&str| NewSearchWord {
        bucket: hash(&word.chars().take(1).collect::<String>(), key),
        word: hash(word, key),
        term: hash(word, key),
        text: (*word).to_owned(),
    };
    IndexedText { length: counts.values().sum(), postings, words: counts.keys().map(entry).collect() }
}

/// Takes texts that wait.
fn take<D: Database>(store: &Store<D>) -> Option<IndexingTurn> {
    match block_on(store.take_texts_to_index(None)).unwrap() {
        TakenTexts::Turn(turn) => Some(turn),
        TakenTexts::KeyUnusable | TakenTexts::Nothing => None,
    }
}

/// Indexes everything that waits. Returns how many texts it was.
fn index<D: Database>(store: &Store<D>) -> Result<usize, storage::StorageError> {
    let mut count = 0;
    loop {
        if block_on(store.take_search_walk_step(None))? {
            continue;
        }
        let turn = match block_on(store.take_texts_to_index(None))? {
            TakenTexts::Turn(turn) => turn,
            TakenTexts::KeyUnusable => continue,
            TakenTexts::Nothing => return Ok(count),
        };
        count += turn.texts.len();
        block_on(store.keep_indexed_texts(&turn, turn.texts.iter().map(|text| indexed(&text.text, &turn.key.bytes))))?;
    }
}

fn page(
    store: &Store<impl Database>,
    user: &User,
    query: &str,
    filter: &SearchFilter,
    after: Option<SearchPlace>,
    limit: u32,
) -> SearchPage {
    let index = block_on(store.search_index(user.id)).unwrap();
    let term =
        |(word, text): (usize, &str), key: &[u8; 32]| SearchTerm { word, term: hash(text, key), weight_percent: 100 };
    let terms: Vec<_> =
        index.keys.iter().flat_map(|key| words(query).enumerate().map(move |word| term(word, &key.bytes))).collect();
    block_on(store.search(user.id, &index, &terms, filter, after, limit)).unwrap()
}

/// The texts that are found.
fn found(store: &Store<impl Database>, user: &User, query: &str) -> Vec<String> {
    page(store, user, query, &SearchFilter::default(), None, 20).hits.into_iter().map(|hit| hit.text).collect()
}

fn count(database: &Real, table: &str) -> usize {
    rows(database, &format!("SELECT 1 FROM {table}")).len()
}

fn say(fixture: &Fixture, user: &User, conversation: Id, texts: &[&str]) {
    for text in texts {
        let (_, run) = fixture.send(user, conversation, text);
        let lease = lease_of(&run);
        block_on(fixture.store.claim(lease, 60_000, "")).unwrap().unwrap();
        assert!(fixture.end(lease, RunState::Complete, "stop"));
    }
}

fn titled(fixture: &Fixture, user: &User, title: &str) -> Id {
    block_on(fixture.store.create_conversation(user.id, title, None)).unwrap().id
}

/// The words of the person's dictionary that begin with a letter.
fn dictionary(store: &Store<impl Database>, user: &User, letter: &str) -> BTreeSet<String> {
    let keys = block_on(store.search_index(user.id)).unwrap().keys;
    let buckets = keys.iter().map(|key| hash(letter, &key.bytes)).collect();
    block_on(store.search_words(user.id, &buckets)).unwrap().into_iter().map(|word| word.text).collect()
}

fn what_was_said_is_found_by_its_person_and_nobody_else(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let conversation = titled(&fixture, &ada, "mountain trip");
    say(&fixture, &ada, conversation, &["where is the cabin"]);
    say(&fixture, &eve, titled(&fixture, &eve, ""), &["the sea"]);
    assert!(block_on(fixture.store.background_work()).unwrap().indexes);
    assert!(block_on(fixture.store.search_index(ada.id)).unwrap().has_backlog);
    assert_eq!(index(&fixture.store).unwrap(), 6, "two titles, two messages and two answers");
    assert!(!block_on(fixture.store.background_work()).unwrap().indexes);
    assert!(!block_on(fixture.store.search_index(ada.id)).unwrap().has_backlog);
    let hit = page(&fixture.store, &ada, "cabin", &SearchFilter::default(), None, 5).hits.remove(0);
    let seen = (hit.kind, hit.conversation_id, hit.title.as_str(), hit.author.as_deref(), hit.position);
    assert_eq!(seen, (DocumentKind::Message, conversation, "mountain trip", Some("user"), Some(1)));
    assert_eq!(hit.text, "where is the cabin");
    let title = page(&fixture.store, &ada, "mountain", &SearchFilter::default(), None, 5).hits.remove(0);
    assert_eq!((title.kind, title.id, title.position), (DocumentKind::Conversation, conversation, None));
    assert_eq!(found(&fixture.store, &ada, "answer"), ["answer"]);
    assert_eq!(dictionary(&fixture.store, &ada, "t"), BTreeSet::from(["the".to_owned(), "trip".to_owned()]));
    assert_eq!(found(&fixture.store, &eve, "cabin"), Vec::<String>::new());
    assert_eq!(found(&fixture.store, &ada, "sea"), Vec::<String>::new());
    // Also not with the other's own hashes.
    let keys = block_on(fixture.store.search_index(ada.id)).unwrap().keys;
    let terms = [SearchTerm { word: 0, term: hash("cabin", &keys[0].bytes), weight_percent: 100 }];
    let of_eve = block_on(fixture.store.search_index(eve.id)).unwrap();
    let all = SearchFilter::default();
    let stolen = fixture.store.search(eve.id, &of_eve, &terms, &all, None, 5);
    assert_eq!(block_on(stolen).unwrap(), SearchPage::default());
    let stored = rows(&fixture.another_connection(), "SELECT sealed FROM search_words");
    assert!(stored.iter().all(|row| matches!(&row.0[0], Value::Text(text) if text.starts_with("s1:"))));
}

fn what_says_more_of_it_in_fewer_words_comes_first_and_rare_words_count_more(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let conversation = fixture.conversation(&ada);
    let long = format!("cabin {}", "filler ".repeat(40));
    say(&fixture, &ada, conversation, &[&long, "cabin cabin sea", "cabin sea sea", "sea", "sea two", "rare sea"]);
    index(&fixture.store).unwrap();
    assert_eq!(found(&fixture.store, &ada, "cabin")[0], "cabin cabin sea");
    assert_eq!(found(&fixture.store, &ada, "cabin").last().unwrap().split(' ').count(), 42);
    assert_eq!(found(&fixture.store, &ada, "sea rare")[0], "rare sea");
    assert_eq!(found(&fixture.store, &ada, "two cabin sea")[..2], ["sea two", "cabin cabin sea"]);
}

fn results_come_page_by_page_and_filters_leave_some_out(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let (first, second) = (titled(&fixture, &ada, "cabin plans"), fixture.conversation(&ada));
    say(&fixture, &ada, first, &["cabin one", "cabin two", "cabin three"]);
    say(&fixture, &ada, second, &["cabin four", "cabin five"]);
    index(&fixture.store).unwrap();
    let (mut texts, mut after) = (BTreeSet::new(), None);
    for pages in 1.. {
        let page = page(&fixture.store, &ada, "cabin", &SearchFilter::default(), after, 2);
        texts.extend(page.hits.into_iter().map(|hit| hit.text));
        after = page.next;
        assert_eq!((texts.len(), after.is_some()), (2 * pages, pages < 3));
        if after.is_none() {
            break;
        }
    }
    let only = |filter: SearchFilter| page(&fixture.store, &ada, "cabin", &filter, None, 20).hits.len();
    assert_eq!(only(SearchFilter { kinds: vec![DocumentKind::Conversation], ..Default::default() }), 1);
    assert_eq!(only(SearchFilter { authors: vec!["user"], ..Default::default() }), 5);
    assert_eq!(only(SearchFilter { authors: vec!["assistant"], ..Default::default() }), 0);
    assert_eq!(only(SearchFilter { conversations: Some([second].into()), ..Default::default() }), 2);
    assert_eq!(only(SearchFilter { conversations: Some([].into()), ..Default::default() }), 0);
    let key = &block_on(fixture.store.search_index(ada.id)).unwrap().keys[0];
    let plans = Some([hash("plans", &key.bytes)].into());
    assert_eq!(only(SearchFilter { title_terms: plans.clone(), ..Default::default() }), 4);
    let either = SearchFilter { title_terms: plans, conversations: Some([second].into()), ..Default::default() };
    assert_eq!(only(either), 6);
    let now = domain::Timestamp::now();
    let (hour, later) = (3_600_000, |ms: i64| Some(domain::Timestamp::from_millis(now.as_millis() + ms)));
    assert_eq!(only(SearchFilter { before: later(-hour), ..Default::default() }), 0);
    assert_eq!(only(SearchFilter { after: later(-hour), before: later(hour), ..Default::default() }), 6);
}

fn temporary_chats_and_what_tools_said_are_never_indexed(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let temporary = block_on(fixture.store.begin_temporary_conversation(ada.id, None)).unwrap().unwrap();
    say(&fixture, &ada, temporary.id, &["nobody finds this"]);
    block_on(fixture.store.update_conversation(ada.id, temporary.id, Some("nor this"), None)).unwrap();
    rows(
        &fixture.another_connection(),
        "INSERT INTO search_walks (user_id, passed, not_before, due_at) SELECT id, 'z', 0, 0 FROM users",
    );
    while block_on(fixture.store.take_search_walk_step(None)).unwrap() {}
    assert_eq!(count(&fixture.another_connection(), "search_backlog"), 0);
    let (_, lease) = fixture.claimed(&ada, fixture.conversation(&ada));
    assert!(block_on(fixture.store.finish_tool_call(lease, &result_of("c", "noon", false), &batch(3, "c"))).unwrap());
    index(&fixture.store).unwrap();
    assert_eq!(found(&fixture.store, &ada, "nobody finds this noon answer"), Vec::<String>::new());
    assert_eq!(found(&fixture.store, &ada, "hello"), ["hello"]);
    assert_eq!(count(&fixture.another_connection(), "search_backlog"), 0);
}

fn what_is_deleted_leaves_nothing_and_words_stay_while_somebody_uses_them(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, database) = (fixture.user("ada@example.org"), fixture.another_connection());
    let (first, second) = (titled(&fixture, &ada, "both"), titled(&fixture, &ada, ""));
    say(&fixture, &ada, first, &["both only"]);
    say(&fixture, &ada, second, &["both"]);
    index(&fixture.store).unwrap();
    say(&fixture, &ada, first, &["not indexed yet"]);
    assert!(block_on(fixture.store.delete_conversation(ada.id, first)).unwrap());
    assert_eq!(dictionary(&fixture.store, &ada, "o"), BTreeSet::new());
    assert_eq!(dictionary(&fixture.store, &ada, "b"), BTreeSet::from(["both".to_owned()]));
    assert_eq!(found(&fixture.store, &ada, "only"), Vec::<String>::new());
    assert_eq!(found(&fixture.store, &ada, "both"), ["both"]);
    let total = rows(&database, "SELECT texts, length FROM search_indexes").remove(0).0;
    assert_eq!(
        total,
        rows(&database, "SELECT COUNT(*), CAST(SUM(length) AS bigint) FROM search_documents").remove(0).0
    );
    assert!(block_on(fixture.store.delete_conversation(ada.id, second)).unwrap());
    index(&fixture.store).unwrap();
    for table in TABLES {
        assert_eq!(count(&database, table), 0, "{table}");
    }
}

fn a_title_that_changes_while_it_is_indexed_is_indexed_again(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let conversation = titled(&fixture, &ada, "before");
    let turn = take(&fixture.store).unwrap();
    assert!(take(&fixture.store).is_none(), "somebody has it");
    block_on(fixture.store.update_conversation(ada.id, conversation, Some("after"), None)).unwrap();
    let texts = || turn.texts.iter().map(|text| indexed(&text.text, &turn.key.bytes));
    for _ in 0..2 {
        block_on(fixture.store.keep_indexed_texts(&turn, texts())).unwrap();
    }
    assert_eq!(index(&fixture.store).unwrap(), 1);
    assert_eq!(found(&fixture.store, &ada, "before"), Vec::<String>::new());
    assert_eq!(found(&fixture.store, &ada, "after"), ["after"]);
    assert_eq!(
        rows(&fixture.another_connection(), "SELECT texts FROM search_indexes").remove(0).0,
        [Value::Integer(1)]
    );
    block_on(fixture.store.update_conversation(ada.id, conversation, Some(""), None)).unwrap();
    index(&fixture.store).unwrap();
    assert_eq!(count(&fixture.another_connection(), "search_documents"), 0);
}

/// Several conversations, so that there are several batches.
fn say_much(fixture: &Fixture, user: &User) {
    for text in ["cabin one", "cabin two", "cabin three", "cabin four", "cabin five", "cabin six"] {
        say(fixture, user, titled(fixture, user, text), &[text]);
    }
}

fn whoever_is_killed_while_texts_are_indexed_leaves_nothing_half_done(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, database) = (fixture.user("ada@example.org"), fixture.another_connection());
    say_much(&fixture, &ada);
    // As what was there before the index was.
    rows(&database, "DELETE FROM search_backlog");
    rows(&database, "INSERT INTO search_walks (user_id, passed, not_before, due_at) SELECT id, 'z', 0, 0 FROM users");
    killed_again_and_again(
        &fixture,
        |host| index(host).map(drop),
        // The turns of the dead are over.
        || drop(rows(&database, "UPDATE search_backlog SET due_at = 0")),
    );
    assert_eq!(found(&fixture.store, &ada, "cabin").len(), 12);
    assert_eq!(found(&fixture.store, &ada, "answer").len(), 6);
    assert_eq!(rows(&database, "SELECT texts FROM search_indexes").remove(0).0, [Value::Integer(18)]);
    assert_eq!(count(&database, "search_walks") + count(&database, "search_backlog"), 0);
}

fn an_index_that_is_turned_off_goes_and_one_that_is_turned_on_again_has_everything(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, database) = (fixture.user("ada@example.org"), fixture.another_connection());
    say_much(&fixture, &ada);
    index(&fixture.store).unwrap();
    say(&fixture, &ada, fixture.conversation(&ada), &["cabin late"]);
    while block_on(fixture.store.empty_search_index()).unwrap() {}
    for table in TABLES.into_iter().chain(["search_indexes"]) {
        assert_eq!(count(&database, table), 0, "{table}");
    }
    assert!(!block_on(fixture.store.background_work()).unwrap().indexes, "nothing is to be done while it is off");
    // Whoever searches first has their own texts walked through.
    assert!(block_on(fixture.store.search_index(ada.id)).unwrap().has_backlog);
    while block_on(fixture.store.take_search_walk_step(Some(ada.id))).unwrap() {}
    index(&fixture.store).unwrap();
    assert_eq!(found(&fixture.store, &ada, "cabin").len(), 13);
}

fn with_a_new_data_key_everything_is_indexed_anew_and_found_meanwhile(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, database) = (fixture.user("ada@example.org"), fixture.another_connection());
    say_much(&fixture, &ada);
    index(&fixture.store).unwrap();
    let rotated = block_on(fixture.store.rotate_data_keys(Some(ada.id), ada.id)).unwrap();
    assert_eq!(rotated, Rotation::Begun { made: 1, skipped: 0 });
    let fresh = || Store::new(fixture.another_connection());
    // While not everybody knows it, the former one is used on.
    say(&fixture, &ada, fixture.conversation(&ada), &["cabin during"]);
    assert_eq!(index(&fresh()).unwrap(), 3);
    assert_eq!(rows(&database, "SELECT DISTINCT key_id FROM search_documents").len(), 1);
    for later in ["data_keys SET created_at = created_at - 300000", "search_walks SET not_before = 0, due_at = 0"] {
        rows(&database, &format!("UPDATE {later}"));
    }
    say(&fixture, &ada, fixture.conversation(&ada), &["cabin after"]);
    assert!(block_on(fresh().take_search_walk_step(None)).unwrap());
    let turn = take(&fresh()).unwrap();
    let store = fresh();
    block_on(store.keep_indexed_texts(&turn, turn.texts.iter().map(|text| indexed(&text.text, &turn.key.bytes))))
        .unwrap();
    assert_eq!(rows(&database, "SELECT DISTINCT key_id FROM search_documents").len(), 2);
    assert_eq!(found(&fresh(), &ada, "cabin").len(), 14, "with either key");
    index(&fresh()).unwrap();
    assert_eq!(found(&fresh(), &ada, "cabin").len(), 14);
    assert_eq!(rows(&database, "SELECT key_id FROM search_indexes WHERE texts > 0").len(), 1);
    assert_eq!(count(&database, "search_words"), 11, "those of the former key are gone");
    // When the key is destroyed, nothing is found any more.
    assert!(block_on(fixture.store.destroy_data_key(ada.id)).unwrap());
    assert!(block_on(fresh().search_index(ada.id)).is_err());
}

fn an_erased_person_leaves_nothing_in_the_index(place: Place) {
    let fixture = Fixture::new(place);
    let (boss, ada) = (fixture.user("boss@example.org"), fixture.user("ada@example.org"));
    say_much(&fixture, &ada);
    index(&fixture.store).unwrap();
    say_much(&fixture, &ada);
    block_on(fixture.store.request_erasure(&ada, boss.id, 0, None)).unwrap();
    block_on(fixture.store.take_erasure_turn()).unwrap().unwrap();
    let mut step = 0;
    while block_on(fixture.store.erase_next(ada.id, &mut step)).unwrap() {}
    let database = fixture.another_connection();
    for table in TABLES.into_iter().chain(["search_indexes", "search_walks"]) {
        assert_eq!(count(&database, table), 0, "{table}");
    }
}

fn a_key_that_cannot_be_used_keeps_nobody_elses_texts_from_the_index(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    say(&fixture, &ada, titled(&fixture, &ada, ""), &["the cabin"]);
    say(&fixture, &eve, titled(&fixture, &eve, ""), &["the sea"]);
    assert!(block_on(fixture.store.destroy_data_key(ada.id)).unwrap());
    assert_eq!(index(&fixture.store).unwrap(), 3, "a title, a message and an answer of the other person");
    assert!(!found(&fixture.store, &eve, "sea").is_empty());
    let waiting = rows(&fixture.another_connection(), "SELECT DISTINCT user_id FROM search_backlog WHERE attempts = 1");
    assert_eq!(waiting.len(), 1, "those of the first are tried again later");
}

fn a_text_that_could_not_be_indexed_waits_longer_each_time_and_then_goes_alone(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, database) = (fixture.user("ada@example.org"), fixture.another_connection());
    say_much(&fixture, &ada);
    let taken = |due: &str| {
        rows(&database, &format!("UPDATE search_backlog SET due_at = due_at - {due}"));
        take(&fixture.store).map_or(0, |turn| turn.texts.len())
    };
    assert_eq!([taken("0"), taken("0")], [18, 0]);
    assert_eq!([taken("31000"), taken("0")], [1, 1]);
    say(&fixture, &ada, fixture.conversation(&ada), &["new"]);
    assert_eq!(taken("0"), 3, "what is new goes first");
}

fn no_statement_of_a_search_or_of_indexing_reads_a_whole_table(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, database) = (fixture.user("ada@example.org"), fixture.another_connection());
    say_much(&fixture, &ada);
    index(&fixture.store).unwrap();
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";
    for insert in [
        // Other people's.
        "INSERT INTO users (id, email, name, role, created_at) SELECT 'u' || i, 'u' || i, '', 'user', 1 FROM n WHERE i <= 500",
        "INSERT INTO conversations (id, user_id, title, created_at, updated_at) SELECT 'c' || i, 'u' || (i % 500 + 1), '', 1, 1 FROM n",
        "INSERT INTO messages (id, conversation_id, run_id, position, role, content, size, created_at)
         SELECT 'm' || i, 'c' || i, '', 1, 'user', 'x', 1, 1 FROM n",
        "INSERT INTO search_documents SELECT -i, 'u' || (i % 500 + 1), 'k', 'message', 'm' || i, 'c' || i, 'user', i, 5 FROM n",
        "INSERT INTO search_postings SELECT i % 997, -i, 5121 FROM n",
        "INSERT INTO search_words SELECT 'u' || (i % 500 + 1), i, i, i, 'x' FROM n",
        "INSERT INTO search_indexes SELECT 'u' || i, 'k', 40, 200 FROM n WHERE i <= 500",
        "INSERT INTO search_walks SELECT 'u' || i, 'z', 0, 9007199254740993 FROM n WHERE i <= 500",
        "INSERT INTO search_backlog SELECT 'm' || i, 'u' || (i % 500 + 1), 1, 0, 0, 9007199254740993 FROM n",
    ] {
        rows(&database, &format!("{numbers} {insert}"));
    }
    rows(&database, "ANALYZE");
    let before = scans(&database);
    let statements = Mutex::new(Vec::new());
    let store = Store::new(Recorder { database: &database, statements: &statements });
    say(&fixture, &ada, titled(&fixture, &ada, "cabin"), &["cabin new"]);
    assert!(block_on(store.background_work()).unwrap().indexes);
    index(&store).unwrap();
    let hour = domain::Timestamp::from_millis(domain::Timestamp::now().as_millis() - 3_600_000);
    let mine = block_on(fixture.store.conversations(ada.id, None, 1, false)).unwrap()[0].id;
    dictionary(&store, &ada, "c");
    for filter in [
        SearchFilter::default(),
        SearchFilter { kinds: vec![DocumentKind::Message], after: Some(hour), ..Default::default() },
        SearchFilter { conversations: Some([mine].into()), title_terms: Some([1].into()), ..Default::default() },
    ] {
        let first = page(&store, &ada, "cabin one", &filter, None, 1);
        page(&store, &ada, "cabin one", &filter, first.next, 5);
    }
    let conversation = block_on(fixture.store.conversations(ada.id, None, 1, false)).unwrap().remove(0);
    assert!(block_on(store.delete_conversation(ada.id, conversation.id)).unwrap());
    rows(&database, "UPDATE search_walks SET due_at = 0 WHERE user_id = 'u7'");
    assert!(block_on(store.take_search_walk_step(None)).unwrap());
    let recorded = std::mem::take(&mut *statements.lock().unwrap_or_else(PoisonError::into_inner));
    let is_ours = |name: &str| name.contains("search") || name.contains("index") || name == "delete_conversation";
    for statement in recorded.into_iter().filter(|statement| is_ours(statement.name)) {
        reads_whole_only(&RESULTS, &database, statement);
    }
    // The plan of a command does not include its trigger. PostgreSQL's statistics count both.
    assert_eq!(scans(&database), before, "a trigger reads whole tables");
}

/// What a statement reads whole is what it has found or was given.
const RESULTS: [&str; 11] =
    ["terms", "steps", "found", "rarities", "counted", "scored", "best", "due", "summed", "next", "one"];

/// How often PostgreSQL has read a whole table of the index.
fn scans(database: &Real) -> Vec<storage::Row> {
    if database.dialect() == storage::Dialect::Sqlite {
        return Vec::new();
    }
    rows(database, "SELECT 1 FROM (SELECT pg_stat_force_next_flush()) AS flushed");
    rows(
        database,
        "SELECT CAST(relname AS text), seq_scan FROM pg_stat_user_tables
         WHERE relname LIKE 'search%' AND relname NOT IN ('search_walks', 'search_indexes') ORDER BY relname",
    )
}
