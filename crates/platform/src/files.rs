//! The component that keeps files, for those that need what is in one, or see that something is left of one that is gone (docs/adr/0054).

use bytes::Bytes;
use domain::Id;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use storage::Database;
use web::App;

use crate::{
    http_client::{self, HttpError, Response},
    inside,
};

/// The component, as `spin.toml` lets others call it.
pub const FILES: &str = "files";
/// Where it is woken to remove what is left of files. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub const PATH: &str = "/internal/sweeps";
/// The codes of what is missing in a text, with commas between them.
const NOTES: HeaderName = HeaderName::from_static("document-notes");
/// The longest words of a refusal.
const MAX_PROBLEM_BYTES: usize = 16 * 1024;

/// Has what is left of files removed. `component` is the caller, for the log.
pub fn wake<D: Database + 'static>(component: &'static str, app: &App<D>) {
    inside::wake(component, app, FILES, PATH);
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileUnread {
    /// It is gone, not whole, or can never be read again.
    #[error("the file is gone")]
    Gone,
    /// Its text is not there yet: somebody reads the document.
    #[error("the document is being read")]
    Reading,
    /// There is no text of it, with a sentence for the person.
    #[error("the document cannot be read")]
    Unreadable(String),
    /// It cannot be read now.
    #[error("{0}")]
    Failed(String),
}

/// The bytes of a person's file, piece by piece. If it breaks off, the stream ends with an error.
///
/// # Errors
/// [`FileUnread`].
pub async fn read<D: Database>(
    app: &App<D>,
    user_id: Id,
    file_id: Id,
) -> Result<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<D>, FileUnread> {
    let Response { status, headers, body, .. } = ask(app, user_id, file_id, Wanted::Bytes).await?;
    Ok(answered(status, &headers, body).await?.1)
}

/// The text of a person's document, as [`read`] gives bytes, and the codes of what is missing in it.
///
/// # Errors
/// [`FileUnread`].
pub async fn read_text<D: Database>(
    app: &App<D>,
    user_id: Id,
    file_id: Id,
) -> Result<(Vec<String>, impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<D>), FileUnread> {
    let Response { status, headers, body, .. } = ask(app, user_id, file_id, Wanted::Text).await?;
    answered(status, &headers, body).await
}

/// What is asked for of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Its bytes.
    Bytes,
    /// What was read of a document.
    Text,
}

/// The request for a person's file, with the proof of whoever asks ([`App::prove`] for [`FILES`]).
///
/// # Errors
/// None that an id can cause.
pub fn request(file_id: Id, wanted: Wanted, proof: HeaderValue) -> Result<Request<Bytes>, http::Error> {
    let what = if wanted == Wanted::Text { "/text" } else { "" };
    Request::get(format!("http://{FILES}.spin.internal/internal/files/{file_id}{what}"))
        .header(header::AUTHORIZATION, proof)
        .body(Bytes::new())
}

/// The codes of what is missing in a text, and the body with what was asked for.
///
/// # Errors
/// [`FileUnread`].
pub async fn answered<E, B: Stream<Item = Result<Bytes, E>> + Unpin>(
    status: StatusCode,
    headers: &HeaderMap,
    mut body: B,
) -> Result<(Vec<String>, B), FileUnread> {
    match status {
        StatusCode::OK => {
            let notes = headers.get(NOTES).and_then(|notes| notes.to_str().ok()).unwrap_or_default();
            let notes = notes.split(',').filter(|note| !note.is_empty()).map(str::to_owned).collect();
            Ok((notes, body))
        }
        StatusCode::ACCEPTED => Err(FileUnread::Reading),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => Err(FileUnread::Gone),
        StatusCode::UNPROCESSABLE_ENTITY => {
            let mut problem = Vec::new();
            while let Some(Ok(chunk)) = body.next().await {
                if problem.len().saturating_add(chunk.len()) > MAX_PROBLEM_BYTES {
                    break;
                }
                problem.extend_from_slice(&chunk);
            }
            let detail = serde_json::from_slice::<Refusal>(&problem).map(|refusal| refusal.detail);
            detail.map_or_else(
                |error| Err(FileUnread::Failed(error.to_string())),
                |detail| Err(FileUnread::Unreadable(detail)),
            )
        }
        status => Err(FileUnread::Failed(format!("{FILES} answered {status}"))),
    }
}

/// The problem of a document that cannot be read.
#[derive(serde::Deserialize)]
struct Refusal {
    detail: String,
}

async fn ask<D: Database>(
    app: &App<D>,
    user_id: Id,
    file_id: Id,
    wanted: Wanted,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<D>>, FileUnread> {
    let proof = app.prove(FILES, Some(user_id), "").await;
    let proof = proof.map_err(|error| FileUnread::Failed(error.causes().unwrap_or_default()))?;
    let request = request(file_id, wanted, proof).map_err(|error| FileUnread::Failed(error.to_string()))?;
    http_client::send(request).await.map_err(|error| FileUnread::Failed(error.to_string()))
}
