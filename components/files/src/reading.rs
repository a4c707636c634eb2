//! Reads documents as text: takes the next in turn, sends it to `extract`, and stores its text in sealed pieces (docs/adr/0057). It goes on after a response, or
//! when `auth` sees that there is something. Whoever is killed is followed by another, and a file that takes its readers with it is given up. One at a time in an
//! instance, so nobody's request waits long for another one's file. Must not know what a document is: `extract` does.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderName, StatusCode};
use problem::Problem;
use storage::{
    Database, StorageError,
    file_readings::{ReadText, ReadingFailure, TakenReading},
    files::{PIECE_BYTES, StoredFile},
};
use web::log::{Level, log};

use crate::{
    COMPONENT,
    content::{self, ContentError},
    reader::{self, Answered, Unheard},
    router::Files,
};

/// New files are taken for so long, then the next look goes on.
const WORK: Duration = Duration::from_secs(20);
/// How often a file is tried that ends whoever reads it.
const MAX_ATTEMPTS: i64 = 3;
/// Until a file is tried again that could not be fetched from where it lies.
const AWAY_MS: i64 = 30_000;
/// The same, if its reader broke, after the first time and after the second: the file may be the cause, so there are not many times. But a machine that is too busy
/// breaks readers as well, and is not busy for ever.
const BROKEN_MS: [i64; 2] = [1_000, 60_000];
/// What `extract` answers with is shorter: 4 MiB, and a line for each page.
const MAX_TEXT_BYTES: u64 = 6 * 1024 * 1024;
/// The longest words of a refusal.
const MAX_PROBLEM_BYTES: usize = 16 * 1024;
/// The longest code, or list of codes, that is taken from elsewhere.
const MAX_CODES_CHARS: usize = 200;

thread_local! {
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// Why there is no text of a file now.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// There never is one.
    #[error("{}", .0.code)]
    Failed(ReadingFailure),
    /// Its reader broke, or said nothing.
    #[error("{0}")]
    Broken(String),
    /// What is in the file cannot be had at the moment.
    #[error("{0}")]
    Away(String),
    /// Somebody else has taken it over, or the file is gone.
    #[error("somebody else reads it, or it is gone")]
    Overtaken,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<Unheard> for Unread {
    fn from(unheard: Unheard) -> Self {
        Self::Broken(unheard.0)
    }
}

/// Has documents read, after the response, unless this instance is at it.
pub(crate) fn soon<D: Database + 'static>(files: Files<D>) {
    if IS_READING.replace(true) {
        return;
    }
    platform::spawn(async move {
        if let Err(error) = read_waiting(&files).await {
            log(COMPONENT, Level::Error, "documents could not be read", cause_of(error.to_string()));
        }
        IS_READING.set(false);
    });
}

/// Reads what waits, for a while.
pub(crate) async fn read_waiting<D: Database + 'static>(files: &Files<D>) -> Result<(), StorageError> {
    let began = Instant::now();
    while began.elapsed() < WORK
        && let Some(taken) = files.store().take_reading().await?
    {
        // One that fails keeps no other waiting: its time runs out, and its attempts are counted.
        if let Err(error) = read(files, &taken).await {
            log(COMPONENT, Level::Error, "a document could not be read", cause_of(error.to_string()));
        }
    }
    Ok(())
}

async fn read<D: Database + 'static>(files: &Files<D>, taken: &TakenReading) -> Result<(), StorageError> {
    let store = files.store();
    if taken.attempts > MAX_ATTEMPTS {
        return store.end_reading(taken, Err(&given_up())).await.map(drop);
    }
    // Gone with its reading.
    let Some(file) = store.file(taken.user_id, taken.file_id).await? else { return Ok(()) };
    match text(files, taken, &file).await {
        Ok(text) => store.end_reading(taken, Ok(&text)).await.map(drop),
        Err(Unread::Failed(failure)) => store.end_reading(taken, Err(&failure)).await.map(drop),
        Err(Unread::Broken(cause)) => {
            log(COMPONENT, Level::Warn, "the reader of a document broke", cause_of(cause));
            let place = usize::try_from(taken.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
            match BROKEN_MS.get(place) {
                Some(pause_ms) => store.postpone_reading(taken, *pause_ms, true).await,
                None => store.end_reading(taken, Err(&given_up())).await.map(drop),
            }
        }
        Err(Unread::Away(cause)) => {
            log(COMPONENT, Level::Warn, "a document cannot be fetched to be read", cause_of(cause));
            store.postpone_reading(taken, AWAY_MS, false).await
        }
        Err(Unread::Overtaken) => Ok(()),
        Err(Unread::Storage(error)) => {
            // It was not the file. If the database does not take this either, the attempt counts.
            store.postpone_reading(taken, AWAY_MS, false).await?;
            Err(error)
        }
    }
}

/// Sends a file to its reader, and stores the text that comes back.
async fn text<D: Database + 'static>(
    files: &Files<D>,
    taken: &TakenReading,
    file: &StoredFile,
) -> Result<ReadText, Unread> {
    if !file.is_readable() {
        return Err(Unread::Failed(damaged()));
    }
    // What is wrong with the file, the answer to a request that broke off does not say.
    let fault = Arc::new(OnceLock::new());
    let told = Arc::clone(&fault);
    let pieces = content::pieces(files.clone(), taken.user_id, file.clone(), None);
    let pieces = pieces.map(move |piece| {
        piece.map(Bytes::from).inspect_err(|error| {
            let _ = told.set(unread(error));
        })
    });
    let request = reader::request(file, Box::pin(pieces)).map_err(|error| Unread::Broken(error.to_string()))?;
    let heard = async {
        let answered = (files.reader)(request).await?;
        match answered.status {
            StatusCode::OK => keep(files, taken, file, answered).await,
            status if status.is_client_error() => Err(refused(answered).await?),
            status => Err(Unread::Broken(format!("extract answered {status}"))),
        }
    };
    let heard = heard.await;
    match (heard, fault.get()) {
        (Err(Unread::Overtaken), _) => Err(Unread::Overtaken),
        (_, Some(Some(failure))) => Err(Unread::Failed(failure.clone())),
        (_, Some(None)) => Err(Unread::Away("a piece of it cannot be read now".to_owned())),
        (heard, None) => heard,
    }
}

/// Stores a text while it comes.
async fn keep<D: Database>(
    files: &Files<D>,
    taken: &TakenReading,
    file: &StoredFile,
    mut answered: Answered,
) -> Result<ReadText, Unread> {
    let parts = header(&answered.headers, &reader::PARTS).parse().unwrap_or_default();
    let mut text = ReadText { notes: header(&answered.headers, &reader::NOTES).to_owned(), parts, bytes: 0 };
    let (mut piece, mut number) = (Vec::new(), 0_u64);
    while let Some(chunk) = answered.body.try_next().await? {
        text.bytes = text.bytes.saturating_add(chunk.len() as u64);
        if text.bytes > MAX_TEXT_BYTES {
            let detail = "The file is too complicated to be read: its text is too long.".to_owned();
            return Err(Unread::Failed(ReadingFailure { code: "file_too_complex".to_owned(), detail }));
        }
        let mut rest: &[u8] = &chunk;
        while !rest.is_empty() {
            let room = PIECE_BYTES.saturating_sub(piece.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            piece.extend_from_slice(now);
            rest = later;
            if piece.len() >= PIECE_BYTES {
                store(files, taken, file, number, &piece).await?;
                piece.clear();
                number = number.saturating_add(1);
            }
        }
    }
    if !piece.is_empty() {
        store(files, taken, file, number, &piece).await?;
    }
    Ok(text)
}

async fn store<D: Database>(
    files: &Files<D>,
    taken: &TakenReading,
    file: &StoredFile,
    number: u64,
    piece: &[u8],
) -> Result<(), Unread> {
    let sealed = file.seal_text(number, piece)?;
    if files.store().keep_text(taken, number, &sealed).await? { Ok(()) } else { Err(Unread::Overtaken) }
}

/// What `extract` says of a file that it does not read.
async fn refused(mut answered: Answered) -> Result<Unread, Unread> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        code: String,
        detail: String,
    }
    let mut body = Vec::new();
    while let Some(chunk) = answered.body.try_next().await? {
        if body.len().saturating_add(chunk.len()) > MAX_PROBLEM_BYTES {
            return Err(Unread::Broken("the answer of extract is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    let said = |error: serde_json::Error| Unread::Broken(error.to_string());
    let Refusal { code, detail } = serde_json::from_slice(&body).map_err(said)?;
    // Anything else is between us and the reader, and nothing of the file.
    if !matches!(answered.status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE) {
        return Ok(Unread::Broken(format!("extract answered {code}")));
    }
    Ok(Unread::Failed(ReadingFailure { code, detail }))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if value.len() > MAX_CODES_CHARS { "" } else { value }
}

/// What an error at a file's piece means for its text. `None`: it passes.
fn unread(error: &ContentError) -> Option<ReadingFailure> {
    match error {
        ContentError::Storage(StorageError::Vault(_)) | ContentError::Missing => Some(damaged()),
        ContentError::Storage(_) | ContentError::Object(_) => None,
    }
}

fn damaged() -> ReadingFailure {
    let detail = "A part of the file is lost or damaged. Delete it, and add it again.".to_owned();
    ReadingFailure { code: "file_damaged".to_owned(), detail }
}

/// Nobody knows what it is about the file.
fn given_up() -> ReadingFailure {
    let detail =
        "The file cannot be read: whatever reads it breaks. Save it anew in another format, and add that.".to_owned();
    ReadingFailure { code: "file_unreadable".to_owned(), detail }
}

/// The problem that says to other components why there is no text.
pub(crate) fn problem(failure: &ReadingFailure) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "file_unread", failure.detail.clone())
}

/// A cause, for the log.
fn cause_of(cause: String) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("cause", cause)])
}
