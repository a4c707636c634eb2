//! Indexes what waits, in small steps: after the response to whoever woke this component, and what the person who searches has said, before they are answered.
//! A host that dies leaves nothing half done, and others go on with what it had taken half a minute later.

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::extract::State;
use domain::Id;
use http::StatusCode;
use platform::sleep;
use search_terms::IndexKey;
use storage::{
    Database, StorageError, Store,
    search_indexing::{IndexedText, NewSearchWord, TakenTexts},
};
use web::{
    Inside,
    inside::Auth,
    log::{Level, log},
};

use crate::{COMPONENT, router::Search};

/// How long an instance works at once. Then whoever wakes it next lets it go on.
const WORK: Duration = Duration::from_secs(10);
/// The shortest pause between two steps. It is as long as the step was, if that is longer: half of the database's time is for others.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// How long somebody who searches waits for what they said to be indexed. Of more than that, they are told that it is missing.
const WAIT: Duration = Duration::from_millis(250);

thread_local! {
    static WORKS: Cell<bool> = const { Cell::new(false) };
}

/// `POST /internal/indexing`: something may wait.
pub(crate) async fn wake<D: Database + 'static>(State(search): State<Search<D>>, _: Inside<Auth>) -> StatusCode {
    (search.soon)(search.clone());
    StatusCode::ACCEPTED
}

/// Has what waits indexed, after the response, unless this instance is at it.
pub(crate) fn soon<D: Database + 'static>(search: Search<D>) {
    if WORKS.replace(true) {
        return;
    }
    platform::spawn(async move {
        if let Err(error) = go_on(&search).await {
            log_failure(&error);
        }
        WORKS.set(false);
    });
}

fn log_failure(error: &StorageError) {
    let cause = BTreeMap::from([("cause", error.to_string())]);
    log(COMPONENT, Level::Error, "texts could not be indexed", cause);
}

async fn go_on<D: Database>(search: &Search<D>) -> Result<(), StorageError> {
    let (began, mut pause) = (Instant::now(), MIN_PAUSE);
    while began.elapsed() < WORK {
        // The response leaves first.
        sleep(pause).await;
        let step_began = Instant::now();
        if !step(search, None).await? {
            break;
        }
        pause = step_began.elapsed().max(MIN_PAUSE);
    }
    Ok(())
}

/// Indexes what a person has said, for a while. If that fails, they are told that something is missing, and what is indexed is found.
pub(crate) async fn catch_up<D: Database>(search: &Search<D>, user_id: Id) {
    let began = Instant::now();
    while began.elapsed() < WAIT {
        match step(search, Some(user_id)).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                log_failure(&error);
                break;
            }
        }
    }
}

/// Indexes the next texts, of a person or of whoever waits longest; or empties the index, if it is turned off. `false`: there is nothing to do.
pub(crate) async fn step<D: Database>(search: &Search<D>, person: Option<Id>) -> Result<bool, StorageError> {
    let store = search.store();
    if !search.config.has_index {
        return store.empty_search_index().await;
    }
    Ok(index_next(store, person).await? || store.take_search_walk_step(person).await?)
}

async fn index_next<D: Database>(store: &Store<D>, person: Option<Id>) -> Result<bool, StorageError> {
    let turn = match store.take_texts_to_index(person).await? {
        TakenTexts::Turn(turn) => turn,
        TakenTexts::KeyUnusable => return Ok(true),
        TakenTexts::Nothing => return Ok(false),
    };
    let key = IndexKey::new(&turn.key.bytes);
    store.keep_indexed_texts(&turn, turn.texts.iter().map(|text| indexed(&text.text, &key))).await?;
    Ok(true)
}

fn indexed(text: &str, key: &IndexKey) -> IndexedText {
    let search_terms::Indexed { length, postings, words } = search_terms::index(text, key);
    let postings = postings.into_iter().map(|posting| (posting.term, posting.count)).collect();
    let word = |word: search_terms::DictionaryWord| NewSearchWord {
        bucket: word.bucket,
        word: word.word,
        term: word.term,
        text: word.text,
    };
    IndexedText { length, postings, words: words.into_iter().map(word).collect() }
}
