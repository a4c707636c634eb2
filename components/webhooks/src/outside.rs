//! The way to receivers: one request, of whose answer the status counts and nothing else is read. Redirects are not followed.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use platform::{
    http_client::{self, HttpError},
    within,
};
use send_wrapper::SendWrapper;

/// A receiver stores the message and answers; whoever takes longer is asked again. Much less than a sender's turn.
const LIMIT: Duration = Duration::from_secs(10);

/// Why nobody answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unanswered {
    /// `spin.toml` does not allow the address.
    Denied,
    /// There was no connection, or it broke.
    Unreachable,
    /// It took too long.
    Slow,
}

/// An answer that is awaited.
pub(crate) type Exchange = Pin<Box<dyn Future<Output = Result<StatusCode, Unanswered>> + Send>>;

/// The way out.
pub(crate) type Outlet = fn(Request<Bytes>) -> Exchange;

/// Sends a request.
pub(crate) fn send(request: Request<Bytes>) -> Exchange {
    // axum wants futures that may move to another thread. A guest has one, so none ever does.
    Box::pin(SendWrapper::new(async move {
        match within(LIMIT, http_client::send(request)).await {
            Some(Ok(response)) => Ok(response.status),
            Some(Err(HttpError::Denied)) => Err(Unanswered::Denied),
            Some(Err(_)) => Err(Unanswered::Unreachable),
            None => Err(Unanswered::Slow),
        }
    }))
}
