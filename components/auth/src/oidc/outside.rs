//! The way to a provider on Spin: whole responses, within limits. Redirects are not followed: no endpoint of a provider needs any.

use std::time::Duration;

use ::oidc::{Exchange, HttpRequest, HttpResponse, Unreachable};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::Response;
use platform::{http_client, within};
use send_wrapper::SendWrapper;

/// A provider that takes longer is as good as down: the person waits for up to five answers (its document, its keys, the tokens, new keys, userinfo).
const LIMIT: Duration = Duration::from_secs(5);

/// Large discovery documents have 10 KB. An ID token with 10,000 groups has less than this.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Sends a request.
pub(super) fn send(request: HttpRequest) -> Exchange {
    // axum wants futures that may move to another thread. A guest has one, so none ever does.
    Box::pin(SendWrapper::new(async move {
        let answer = within(LIMIT, exchange(request)).await;
        answer.unwrap_or_else(|| Err(Unreachable(format!("no answer within {} s", LIMIT.as_secs()))))
    }))
}

async fn exchange(request: HttpRequest) -> Result<HttpResponse, Unreachable> {
    let broken = |error: http_client::HttpError| Unreachable(error.to_string());
    let mut answer = http_client::send(request.map(Bytes::from)).await.map_err(broken)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.body.try_next().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Unreachable(format!("the answer is longer than {MAX_BODY_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
