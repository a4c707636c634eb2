//! Calls an operation: sends the request, follows redirects within its origin, and stops when the caller stops waiting.

use http::{Method, Request, StatusCode};
use tool_provider::{Answer, Context, Failure};
use upstream::{Deadline, EFFECT_UNKNOWN, Http, Limits, Redirect, Unanswered, redirect};
use url::Url;

use crate::{
    answer,
    operation::Operation,
    redaction::Redaction,
    request::{self, Built},
};

/// The largest response: ten times what a model reads of it.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The most redirects. APIs add a slash, or have moved once.
const REDIRECTS_MAX: usize = 3;

/// Said of a change whose response redirects to its result.
const PROBABLE: &str = "it probably took effect";

/// # Errors
/// Messages name the host and the path, but never a query or a header. For a change, they say whether it took effect.
pub(crate) async fn call<T: Http>(
    operation: &Operation,
    arguments: &str,
    context: &Context,
    transport: &T,
) -> Result<Answer, Failure> {
    let Built { request, secrets } = request::build(operation, arguments, context)?;
    let answer = exchange(operation, request, &secrets, context, transport).await;
    answer.map_err(|failure| secrets.failure(failure))
}

async fn exchange<T: Http>(
    operation: &Operation,
    request: Request<Vec<u8>>,
    secrets: &Redaction,
    context: &Context,
    transport: &T,
) -> Result<Answer, Failure> {
    let deadline = Deadline::of(context);
    let mut left = REDIRECTS_MAX;
    let mut next = request;
    loop {
        let sent = next.clone();
        let limits = Limits { bytes: ANSWER_BYTES_MAX, wait: deadline.left() };
        let outcome = if operation.only_reads() {
            transport.read(next, limits).await
        } else {
            transport.send(next, limits).await
        };
        let response = outcome.map_err(|why| unanswered(operation, why))?;
        let Some(base) = Url::parse(&sent.uri().to_string()).ok() else {
            return answer::read(operation, &response, secrets);
        };
        let Some(to) = redirect(&base, &response) else { return answer::read(operation, &response, secrets) };
        left = left
            .checked_sub(1)
            .ok_or_else(|| Failure::UpstreamFailed(format!("{} redirects without end", operation.shown())))?;
        next = redirected(operation, &sent, response.status(), (&base, to))?;
    }
}

/// The failure for a response that is missing or incomplete.
fn unanswered(operation: &Operation, why: Unanswered) -> Failure {
    match why {
        why if operation.only_reads() => why.into(),
        Unanswered::TimedOut => {
            Failure::UpstreamFailed(format!("{} did not answer in time; {EFFECT_UNKNOWN}", operation.shown()))
        }
        why => why.of_change(),
    }
}

/// The same request at the redirect's target. Secrets go to no other origin.
fn redirected(
    operation: &Operation,
    request: &Request<Vec<u8>>,
    status: StatusCode,
    (base, to): (&Url, Redirect),
) -> Result<Request<Vec<u8>>, Failure> {
    let outcome = match status {
        _ if operation.only_reads() => String::new(),
        // RFC 9110, section 15.4.4: the target is the result of the request.
        StatusCode::SEE_OTHER => format!("; {PROBABLE}"),
        _ => format!("; {EFFECT_UNKNOWN}"),
    };
    let refused = |words: String| Failure::UpstreamFailed(format!("{} {words}{outcome}", operation.shown()));
    let Redirect::To(mut target) = to else { return Err(refused("redirects to nowhere".to_owned())) };
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
