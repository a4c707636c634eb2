//! A call: sends the request, follows redirects within its origin, and waits no longer than the caller.

use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode, header};
use tool_provider::{Answer, Context, Failure};
use url::Url;

use crate::{
    answer,
    operation::Operation,
    redaction::Redaction,
    request::{self, Built},
    transport::{Transport, may_have_arrived},
};

/// How many redirects are followed. APIs add a slash, or move once.
const REDIRECTS_MAX: usize = 3;
/// What is left of the caller's patience for the way back.
const MARGIN: Duration = Duration::from_millis(500);

/// Of what may have changed something; as the house says it.
const UNKNOWN: &str = "whether it took effect is not known";
const PROBABLE: &str = "it probably took effect";

/// Makes the call.
///
/// # Errors
/// In words that name the host and the path, never what a query or a header says; of what may change something, they say whether it did.
pub(crate) async fn call<T: Transport>(
    operation: &Operation,
    arguments: &str,
    context: &Context,
    transport: &T,
) -> Result<Answer, Failure> {
    let Built { request, secrets } = request::build(operation, arguments, context)?;
    let answer = exchange(operation, request, &secrets, context, transport).await;
    answer.map_err(|failure| secrets.failure(failure))
}

async fn exchange<T: Transport>(
    operation: &Operation,
    request: Request<Vec<u8>>,
    secrets: &Redaction,
    context: &Context,
    transport: &T,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let limit = context.deadline.saturating_sub(MARGIN);
    let mut left = REDIRECTS_MAX;
    let mut next = request;
    loop {
        let sent = next.clone();
        let response = transport.send(next, limit.saturating_sub(start.elapsed())).await;
        let response = response.map_err(|failure| unanswered(operation, &sent, failure))?;
        if !is_redirect(response.status()) {
            return answer::read(operation, &response, secrets);
        }
        left = left
            .checked_sub(1)
            .ok_or_else(|| Failure::UpstreamFailed(format!("{} redirects without end", operation.shown())))?;
        next = redirected(operation, &sent, &response)?;
    }
}

/// There was no answer, or none that could be read to its end.
fn unanswered(operation: &Operation, sent: &Request<Vec<u8>>, failure: Failure) -> Failure {
    let host = sent.uri().authority().map(ToString::to_string).unwrap_or_default();
    match failure {
        failure if operation.only_reads() => failure,
        Failure::UpstreamFailed(words) if may_have_arrived(&words, &host) => {
            Failure::UpstreamFailed(format!("{words}; {UNKNOWN}"))
        }
        Failure::TimedOut => {
            Failure::UpstreamFailed(format!("{} did not answer in time; {UNKNOWN}", operation.shown()))
        }
        other => other,
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
    let outcome = match response.status() {
        _ if operation.only_reads() => String::new(),
        // RFC 9110, 15.4.4: it leads to what came of the request.
        StatusCode::SEE_OTHER => format!("; {PROBABLE}"),
        _ => format!("; {UNKNOWN}"),
    };
    let refused = |words: String| Failure::UpstreamFailed(format!("{} {words}{outcome}", operation.shown()));
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
