//! The way to `extract`, which turns a file into text (docs/adr/0055): the file goes there piece by piece, and its text comes in the same way.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, Request, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use platform::{http_client, within};
use send_wrapper::SendWrapper;
use storage::files::StoredFile;

use crate::content::ContentError;

/// The component, as `spin.toml` lets this one call it. It has an instance for each request, and asks nobody who they are.
const EXTRACT: &str = "http://extract.spin.internal/";
/// The longest of 949 files took 1.6 s; this is for a machine that is busy with others.
const LIMIT: Duration = Duration::from_secs(20);
/// How many pages, sheets, slides, chapters or messages there are; and what is missing.
pub(crate) const PARTS: HeaderName = HeaderName::from_static("document-parts");
pub(crate) const NOTES: HeaderName = HeaderName::from_static("document-notes");

/// A file as it is sent.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, ContentError>> + Send>>;

/// The head of the answer, and its body.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Pin<Box<dyn Stream<Item = Result<Bytes, Unheard>> + Send>>,
}

/// Nobody answered, or not to the end. The words are for the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unheard(pub(crate) String);

/// An answer that is awaited.
pub(crate) type Hearing = Pin<Box<dyn Future<Output = Result<Answered, Unheard>> + Send>>;

/// The way out.
pub(crate) type Reader = fn(Request<Pieces>) -> Hearing;

/// Sends a file.
pub(crate) fn send(request: Request<Pieces>) -> Hearing {
    // axum wants futures that may move to another thread. A guest has one, so none ever does.
    Box::pin(SendWrapper::new(async move {
        let unheard = |error: http_client::HttpError| Unheard(error.to_string());
        let answer = within(LIMIT, http_client::send_pieces(request)).await;
        let answer = answer.ok_or_else(|| Unheard(format!("no answer after {LIMIT:?}")))?.map_err(unheard)?;
        let body = Box::pin(answer.body.map(move |chunk| chunk.map_err(unheard)));
        Ok(Answered { status: answer.status, headers: answer.headers, body })
    }))
}

/// The request for the text of a file.
pub(crate) fn request(file: &StoredFile, pieces: Pieces) -> Result<Request<Pieces>, http::Error> {
    // Only the ending of the name counts there.
    let name = utf8_percent_encode(&file.name, NON_ALPHANUMERIC);
    Request::post(format!("{EXTRACT}?name={name}"))
        .header(header::CONTENT_TYPE, &file.media_type)
        .header(header::CONTENT_LENGTH, file.size)
        .header(header::ACCEPT, "text/plain")
        .body(pieces)
}
