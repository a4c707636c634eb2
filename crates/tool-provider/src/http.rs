//! The way out: HTTP requests to what `allowed_outbound_hosts` of the tool's section in `spin.toml` allows, and never to another part of the
//! installation, whoever gave the address and whatever is allowed. Redirects are answers, not followed.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use futures::future::{Either, select};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use wasip3::{
    http::{client, types::ErrorCode},
    http_compat::{http_from_wasi_response, http_into_wasi_request},
};

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
    let request = with_length(request).map(|body| Full::new(bytes::Bytes::from(body)));
    let request = http_into_wasi_request(request).map_err(failed)?;
    let response = polled_twice(client::send(request)).await.map_err(failed)?;
    let (head, body) = http_from_wasi_response(response).map_err(failed)?.into_parts();
    match Limited::new(body, max_bytes).collect().await {
        Ok(body) => unpacked(Response::from_parts(head, body.to_bytes().to_vec()), max_bytes, host),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::UpstreamFailed(format!("the answer of {host} is longer than {max_bytes} bytes")))
        }
        Err(_) => Err(Failure::UpstreamFailed(format!("{host} broke off its answer"))),
    }
}

/// The request with the length of its body. Without it the body goes out in chunks, which some servers take for none; and some want to be told
/// that there is none where there could be one (411).
fn with_length(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let may_have_body = !matches!(*request.method(), Method::GET | Method::HEAD);
    let length = request.body().len();
    if may_have_body || length > 0 {
        request.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    request
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

/// Sending spawns a task that writes the body, and the runtime polls what was spawned only with the next event: polled a second time right
/// after the first, the future sees to it that there is one.
async fn polled_twice<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut polled = false;
    poll_fn(|context| {
        if !std::mem::replace(&mut polled, true) {
            context.waker().wake_by_ref();
        }
        future.as_mut().poll(context)
    })
    .await
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
    fn a_request_says_how_long_its_body_is_also_if_there_is_none() {
        for (method, body, length) in [
            (Method::POST, "", Some("0")),
            (Method::PATCH, "", Some("0")),
            (Method::DELETE, "", Some("0")),
            (Method::PUT, "ab", Some("2")),
            (Method::GET, "", None),
            (Method::HEAD, "", None),
        ] {
            let request = Request::builder().method(&method).body(body.as_bytes().to_vec()).unwrap();
            let request = with_length(request);
            let said = request.headers().get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap());
            assert_eq!(said, length, "{method}");
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
