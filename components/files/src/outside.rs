//! The way to the configured store: one request, and its answer within limits.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, StatusCode};
use platform::{
    http_client::{self, HttpError},
    within,
};
use send_wrapper::SendWrapper;
use storage::files::PIECE_BYTES;
use vault::PIECE_OVERHEAD_BYTES;

/// A store answers for a quarter of a megabyte in a fraction of a second; and whoever waits for it may be a person.
const LIMIT: Duration = Duration::from_secs(20);
/// No answer that is read is longer than a piece.
const MAX_ANSWER_BYTES: usize = PIECE_BYTES + PIECE_OVERHEAD_BYTES;

/// Why nobody answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unanswered {
    /// `spin.toml` does not allow the address.
    Denied,
    /// There was no connection, it broke, or the answer was longer than any piece.
    Unreachable,
    /// It took too long.
    Slow,
}

/// An answer that is awaited.
pub(crate) type Exchange = Pin<Box<dyn Future<Output = Result<(StatusCode, Vec<u8>), Unanswered>> + Send>>;

/// The way out.
pub(crate) type Outlet = fn(Request<Bytes>) -> Exchange;

/// Sends a request.
pub(crate) fn send(request: Request<Bytes>) -> Exchange {
    // axum wants futures that may move to another thread. A guest has one, so none ever does.
    Box::pin(SendWrapper::new(async move { within(LIMIT, exchange(request)).await.unwrap_or(Err(Unanswered::Slow)) }))
}

async fn exchange(request: Request<Bytes>) -> Result<(StatusCode, Vec<u8>), Unanswered> {
    let failed = |error| match error {
        HttpError::Denied => Unanswered::Denied,
        _ => Unanswered::Unreachable,
    };
    let mut response = http_client::send(request).await.map_err(failed)?;
    let mut body = Vec::new();
    // What a store says about an error is not read: it may quote what was asked.
    if response.status == StatusCode::OK {
        while let Some(chunk) = response.body.next().await {
            let chunk = chunk.map_err(failed)?;
            if body.len().saturating_add(chunk.len()) > MAX_ANSWER_BYTES {
                return Err(Unanswered::Unreachable);
            }
            body.extend_from_slice(&chunk);
        }
    }
    Ok((response.status, body))
}
