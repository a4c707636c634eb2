//! The component that keeps files, for those that need what is in one, or see that something is left of one that is gone (docs/adr/0054).

use bytes::Bytes;
use domain::Id;
use futures::{Stream, TryStreamExt as _};
use http::{HeaderName, Request, StatusCode, header};
use storage::Database;
use web::App;

use crate::{
    http_client::{self, HttpError, Response},
    inside,
};

/// The component, as `spin.toml` lets others call it.
const FILES: &str = "files";
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
    let response = ask(app, user_id, &file_id.to_string()).await?;
    match response.status {
        StatusCode::OK => Ok(response.body),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => Err(FileUnread::Gone),
        status => Err(FileUnread::Failed(format!("{FILES} answered {status}"))),
    }
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
    let mut response = ask(app, user_id, &format!("{file_id}/text")).await?;
    match response.status {
        StatusCode::OK => {
            let notes = response.headers.get(NOTES).and_then(|notes| notes.to_str().ok()).unwrap_or_default();
            let notes = notes.split(',').filter(|note| !note.is_empty()).map(str::to_owned).collect();
            Ok((notes, response.body))
        }
        StatusCode::ACCEPTED => Err(FileUnread::Reading),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => Err(FileUnread::Gone),
        StatusCode::UNPROCESSABLE_ENTITY => {
            let mut problem = Vec::new();
            while let Ok(Some(chunk)) = response.body.try_next().await {
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
    what: &str,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<D>>, FileUnread> {
    let proof = app.prove(FILES, Some(user_id), "").await;
    let proof = proof.map_err(|error| FileUnread::Failed(error.causes().unwrap_or_default()))?;
    let request = Request::get(format!("http://{FILES}.spin.internal/internal/files/{what}"))
        .header(header::AUTHORIZATION, proof)
        .body(Bytes::new())
        .map_err(|error| FileUnread::Failed(error.to_string()))?;
    http_client::send(request).await.map_err(|error| FileUnread::Failed(error.to_string()))
}
