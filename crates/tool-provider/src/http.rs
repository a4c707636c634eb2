//! The way out: HTTP requests to what `allowed_outbound_hosts` of the tool's section in `spin.toml` allows, and never to another part of the
//! installation, whoever gave the address and whatever is allowed. Redirects are answers, not followed.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};
use http::{Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use wasip3::http::types::ErrorCode;

use crate::{Failure, address, sleep};

/// Sends a request and reads the whole answer, of at most `max_bytes`, within `limit`. A status of 4xx or 5xx is an answer.
///
/// # Errors
/// [`Failure::TimedOut`], or [`Failure::UpstreamFailed`] in words that name the host.
pub async fn send(request: Request<Vec<u8>>, max_bytes: usize, limit: Duration) -> Result<Response<Vec<u8>>, Failure> {
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    if request.uri().host().is_none_or(address::is_inside) {
        return Err(Failure::UpstreamFailed(format!("this tool may not reach {host}")));
    }
    match select(pin!(exchange(request, max_bytes, &host)), pin!(sleep(limit))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(Failure::TimedOut),
    }
}

async fn exchange(request: Request<Vec<u8>>, max_bytes: usize, host: &str) -> Result<Response<Vec<u8>>, Failure> {
    let failed = |code: ErrorCode| {
        Failure::UpstreamFailed(match code {
            ErrorCode::HttpRequestDenied => format!("this tool may not reach {host}"),
            ErrorCode::DnsError(_) | ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound => {
                format!("there is no host {host}")
            }
            ErrorCode::TlsCertificateError | ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => {
                format!("{host} cannot prove who it is")
            }
            ErrorCode::ConnectionRefused | ErrorCode::ConnectionTimeout | ErrorCode::DestinationUnavailable => {
                format!("{host} cannot be reached")
            }
            other => format!("{host} does not answer: {other}"),
        })
    };
    let (head, body) = outgoing::send(request.map(Into::into)).await.map_err(failed)?.into_parts();
    match Limited::new(body, max_bytes).collect().await {
        Ok(body) => unpacked(Response::from_parts(head, body.to_bytes().to_vec()), max_bytes, host),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::UpstreamFailed(format!("the answer of {host} is longer than {max_bytes} bytes")))
        }
        Err(_) => Err(Failure::UpstreamFailed(format!("{host} broke off its answer"))),
    }
}

/// The answer as it was before the server packed it. Nobody asked for that; servers do it all the same.
fn unpacked(response: Response<Vec<u8>>, max_bytes: usize, host: &str) -> Result<Response<Vec<u8>>, Failure> {
    let (mut head, body) = response.into_parts();
    let codings: Vec<_> =
        head.headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|it| it.to_str().ok()).collect();
    let body = unpack::whole(&codings.join(","), body, max_bytes)
        .map_err(|fault| Failure::UpstreamFailed(format!("{host} {fault}")))?;
    // They are about what was sent. Of a body that is not there they say what it would have been.
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
            let sent = block_on(send(request, 10, Duration::ZERO));
            assert!(
                matches!(&sent, Err(Failure::UpstreamFailed(words)) if words.contains("may not reach")),
                "{sent:?}"
            );
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
            let Err(Failure::UpstreamFailed(said)) = unpacked(answer(coding, body.as_bytes())) else {
                panic!("{coding} was read")
            };
            assert!(said.starts_with("api.example ") && said.contains(words), "{said}");
        }
        // The answer to HEAD has no body, and says of it what it would be.
        let head = unpacked(answer("gzip", b"")).unwrap();
        assert_eq!(head.headers()[header::CONTENT_ENCODING], "gzip");
    }
}
