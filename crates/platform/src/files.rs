//! The component that keeps files, for those that need what is in one, or see that something is left of one that is gone (docs/adr/0054).

use bytes::Bytes;
use domain::Id;
use futures::Stream;
use http::{Request, StatusCode, header};
use storage::Database;
use web::App;

use crate::{
    http_client::{self, HttpError},
    inside,
};

/// The component, as `spin.toml` lets others call it.
const FILES: &str = "files";
/// Where it is woken to remove what is left of files. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub const PATH: &str = "/internal/sweeps";

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
    let proof = app.prove(FILES, Some(user_id), "").await;
    let proof = proof.map_err(|error| FileUnread::Failed(error.causes().unwrap_or_default()))?;
    let request = Request::get(format!("http://{FILES}.spin.internal/internal/files/{file_id}"))
        .header(header::AUTHORIZATION, proof)
        .body(Bytes::new())
        .map_err(|error| FileUnread::Failed(error.to_string()))?;
    let response = http_client::send(request).await.map_err(|error| FileUnread::Failed(error.to_string()))?;
    match response.status {
        StatusCode::OK => Ok(response.body),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => Err(FileUnread::Gone),
        status => Err(FileUnread::Failed(format!("{FILES} answered {status}"))),
    }
}
