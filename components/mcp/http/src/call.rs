//! A call: sends the request, follows redirects within its origin, and waits no longer than the caller.

use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode, header};
use tool_provider::{Answer, Context, Failure};
use url::Url;

use crate::{answer, operation::Operation, request, transport::Transport};

/// How many redirects are followed. APIs add a slash, or move once.
const REDIRECTS_MAX: usize = 3;
/// What is left of the caller's patience for the way back.
const MARGIN: Duration = Duration::from_millis(500);

/// Makes the call.
///
/// # Errors
/// In words that name the host and the path, never what a query or a header says.
pub(crate) async fn call<T: Transport>(
    operation: &Operation,
    arguments: &str,
    context: &Context,
    transport: &T,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let limit = context.deadline.saturating_sub(MARGIN);
    let request = request::build(operation, arguments, context)?;
    let mut left = REDIRECTS_MAX;
    let mut next = request;
    loop {
        let sent = next.clone();
        let response = transport.send(next, limit.saturating_sub(start.elapsed())).await?;
        if !is_redirect(response.status()) {
            return answer::read(operation, &response);
        }
        left = left
            .checked_sub(1)
            .ok_or_else(|| Failure::UpstreamFailed(format!("{} redirects without end", operation.shown())))?;
        next = redirected(operation, &sent, &response)?;
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The same request, where the answer says; secrets go to no other origin.
fn redirected(
    operation: &Operation,
    request: &Request<Vec<u8>>,
    response: &Response<Vec<u8>>,
) -> Result<Request<Vec<u8>>, Failure> {
    let refused = |words: String| Failure::UpstreamFailed(format!("{} {words}", operation.shown()));
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let base = Url::parse(&request.uri().to_string()).ok();
    let target = base.as_ref().zip(location).and_then(|(base, location)| base.join(location).ok());
    let (Some(base), Some(mut target)) = (base, target) else {
        return Err(refused("redirects to nowhere".to_owned()));
    };
    if target.origin() != base.origin() || !target.username().is_empty() || target.password().is_some() {
        let host = target.host_str().unwrap_or("nowhere");
        return Err(refused(format!("redirects to another server, {host}, which is not followed")));
    }
    if request.method() != Method::GET {
        return Err(refused("redirects, which is followed only for GET".to_owned()));
    }
    target.set_fragment(None);
    let mut next = request.clone();
    *next.uri_mut() = target.as_str().parse().map_err(|_| refused("redirects to nowhere".to_owned()))?;
    Ok(next)
}
