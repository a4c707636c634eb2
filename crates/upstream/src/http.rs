//! HTTP requests to the servers that `allowed_outbound_hosts` in the tool's section of `spin.toml` allows. They never go to another part of the
//! installation, whoever gave the address and whatever is allowed. Redirects are responses and are not followed.

use std::{pin::pin, time::Duration};

use ::http::{Request, Response, header};
use futures::future::{Either, select};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tool_provider::{Failure, sleep, wasip3::http::types::ErrorCode};

use crate::address;

/// The limits of one exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest body of a response, compressed and decompressed.
    pub bytes: usize,
    /// The time limit for the whole response.
    pub wait: Duration,
}

/// Said of a change that may have taken effect although there is no response. Tools and their adapter use the same words.
pub const EFFECT_UNKNOWN: &str = "whether it took effect is not known";

/// Why there is no complete response. The messages name the host.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unanswered {
    /// The request was not sent, so it had no effect.
    #[error("{0}")]
    NotSent(String),
    /// The connection ended before the whole answer had arrived. The request may have arrived and taken effect.
    #[error("{0}")]
    Broken(String),
    /// There is no answer that can be used. The request may have arrived and taken effect.
    #[error("{0}")]
    Lost(String),
    /// The time limit was reached. The request may have arrived and taken effect.
    #[error("it did not answer in time")]
    TimedOut,
}

impl Unanswered {
    /// Whether the request may have taken effect.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::NotSent(_))
    }

    /// The failure of a request that changes something on the server. If the request may have arrived, the message says that it may have taken
    /// effect.
    #[must_use]
    pub fn of_change(self) -> Failure {
        if self.may_have_arrived() { Failure::UpstreamFailed(format!("{self}; {EFFECT_UNKNOWN}")) } else { self.into() }
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent(words) | Unanswered::Broken(words) | Unanswered::Lost(words) => {
                Self::UpstreamFailed(words)
            }
            Unanswered::TimedOut => Self::TimedOut,
        }
    }
}

/// The result of a request.
pub type Outcome = Result<Response<Vec<u8>>, Unanswered>;

/// Sends requests. It is [`Outside`] in the component; in tests, a server that follows a script, or the machine's own client.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Http {
    /// Sends a request and reads the whole response within these limits. Every status is a response, redirects too.
    ///
    /// # Errors
    /// [`Unanswered`].
    async fn send(&self, request: Request<Vec<u8>>, limits: Limits) -> Outcome;

    /// Sends a request that changes nothing on the server. It is sent once more if the connection breaks: servers end connections at any time,
    /// also those that the host had kept open.
    ///
    /// # Errors
    /// [`Unanswered`].
    async fn read(&self, request: Request<Vec<u8>>, limits: Limits) -> Outcome {
        match self.send(request.clone(), limits).await {
            Err(Unanswered::Broken(_)) => self.send(request, limits).await,
            outcome => outcome,
        }
    }
}

/// The servers that `allowed_outbound_hosts` allows.
#[derive(Clone, Copy, Debug)]
pub struct Outside;

impl Http for Outside {
    async fn send(&self, request: Request<Vec<u8>>, limits: Limits) -> Outcome {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        if request.uri().host().is_none_or(address::is_inside) {
            return Err(Unanswered::NotSent(format!("this tool may not reach {host}")));
        }
        match select(pin!(exchange(request, limits.bytes, &host)), pin!(sleep(limits.wait))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(Unanswered::TimedOut),
        }
    }
}

async fn exchange(request: Request<Vec<u8>>, max_bytes: usize, host: &str) -> Outcome {
    let sent = outgoing::send(request.map(Into::into)).await;
    let (head, body) = sent.map_err(|code| unanswered(code, host))?.into_parts();
    match Limited::new(body, max_bytes).collect().await {
        Ok(body) => unpacked(Response::from_parts(head, body.to_bytes().to_vec()), max_bytes, host),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Unanswered::Lost(format!("the answer of {host} is longer than {max_bytes} bytes")))
        }
        Err(_) => Err(Unanswered::Broken(format!("{host} broke off its answer"))),
    }
}

/// The error for a request without a response. It is [`Unanswered::NotSent`] only if the failure came before anything was sent.
fn unanswered(code: ErrorCode, host: &str) -> Unanswered {
    match code {
        ErrorCode::HttpRequestDenied => Unanswered::NotSent(format!("this tool may not reach {host}")),
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound => {
            Unanswered::NotSent(format!("there is no host {host}"))
        }
        ErrorCode::ConnectionRefused | ErrorCode::ConnectionTimeout | ErrorCode::DestinationUnavailable => {
            Unanswered::NotSent(format!("{host} cannot be reached"))
        }
        // A server may refuse the client's certificate after it has received the request.
        ErrorCode::TlsCertificateError | ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => {
            Unanswered::Lost(format!("{host} cannot be reached over TLS: its certificate may not be valid"))
        }
        other => Unanswered::Broken(format!("{host} does not answer: {other}")),
    }
}

/// Decompresses the body. Nobody asked the server to compress it, but some do.
fn unpacked(response: Response<Vec<u8>>, max_bytes: usize, host: &str) -> Outcome {
    let (mut head, body) = response.into_parts();
    let codings: Vec<_> =
        head.headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|it| it.to_str().ok()).collect();
    let body = unpack::whole(&codings.join(","), body, max_bytes)
        .map_err(|fault| Unanswered::Lost(format!("{host} {fault}")))?;
    // These headers describe the body as it was sent. Without a body, as after HEAD, they describe what it would have been.
    if !body.is_empty() && head.headers.remove(header::CONTENT_ENCODING).is_some() {
        head.headers.remove(header::CONTENT_LENGTH);
    }
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn nothing_is_sent_to_a_part_of_this_installation() {
        for address in [
            "https://ops.spin.internal/ready",
            "http://OPS.Spin.Internal.:3000/",
            "http://me:secret@tools.spin.internal/internal/calls",
            "http://self.alt/",
        ] {
            let request = Request::post(address).body(Vec::new()).unwrap();
            let sent = block_on(Outside.send(request, Limits { bytes: 10, wait: Duration::ZERO }));
            assert!(matches!(&sent, Err(Unanswered::NotSent(words)) if words.contains("may not reach")), "{sent:?}");
        }
    }

    #[test]
    fn only_what_failed_before_anything_was_sent_has_certainly_not_arrived() {
        for code in [
            ErrorCode::HttpRequestDenied,
            ErrorCode::DnsTimeout,
            ErrorCode::DestinationNotFound,
            ErrorCode::ConnectionRefused,
            ErrorCode::ConnectionTimeout,
            ErrorCode::DestinationUnavailable,
        ] {
            assert!(!unanswered(code, "api.example").may_have_arrived());
        }
        for code in [
            ErrorCode::ConnectionTerminated,
            ErrorCode::ConnectionReadTimeout,
            ErrorCode::HttpProtocolError,
            ErrorCode::TlsAlertReceived(tool_provider::wasip3::http::types::TlsAlertReceivedPayload {
                alert_id: None,
                alert_message: None,
            }),
            ErrorCode::InternalError(None),
        ] {
            let lost = unanswered(code, "api.example");
            assert!(lost.may_have_arrived() && lost.to_string().starts_with("api.example "), "{lost}");
        }
        assert!(Unanswered::TimedOut.may_have_arrived());
    }

    #[test]
    fn of_a_change_it_is_said_that_it_may_have_taken_effect_unless_it_was_not_sent() {
        for (unanswered, words) in [
            (Unanswered::NotSent("there is no host a".into()), "there is no host a"),
            (Unanswered::Lost("a broke off".into()), "a broke off; whether it took effect is not known"),
            (Unanswered::TimedOut, "it did not answer in time; whether it took effect is not known"),
        ] {
            assert_eq!(unanswered.of_change(), Failure::UpstreamFailed(words.into()));
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_said_with_the_hosts_name() {
        let answer = |coding: &str, body: &[u8]| {
            Response::builder()
                .header("content-encoding", coding)
                .header("content-length", 2)
                .body(body.to_vec())
                .unwrap()
        };
        let unpacked = |answer| unpacked(answer, 3, "api.example");
        let plain = unpacked(answer("identity", b"ab")).unwrap();
        assert_eq!((plain.body().as_slice(), plain.headers().get(header::CONTENT_ENCODING)), (&b"ab"[..], None));
        for (coding, body, words) in [("zstd", "ab", "zstd"), ("br", "ab", "broken"), ("gzip", "abcd", "longer than 3")]
        {
            let Err(Unanswered::Lost(said)) = unpacked(answer(coding, body.as_bytes())) else {
                panic!("{coding} was read")
            };
            assert!(said.starts_with("api.example ") && said.contains(words), "{said}");
        }
        // A response to HEAD has no body. Its headers describe what the body would be.
        let head = unpacked(answer("gzip", b"")).unwrap();
        assert_eq!(head.headers()[header::CONTENT_ENCODING], "gzip");
    }
}
