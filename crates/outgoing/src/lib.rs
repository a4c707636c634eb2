//! Sends an HTTP request from a guest, with a whole body or one that comes in pieces. It states the body's length and writes the body before the host can send the head, so
//! that both can leave in one piece. It uses only the standard interface and knows no host. Limits and errors are the caller's.
//!
//! A request of `wasip3` states no length and writes its body only after the head has left: the server receives three pieces. Where neither side
//! sets `TCP_NODELAY`, the second piece waits 40 ms until the first is acknowledged.

use std::{
    future::Future,
    pin::{Pin, pin},
};

use bytes::Bytes;
use futures::{
    Stream, StreamExt as _,
    future::{Either, select},
};
use http::{HeaderMap, Method, Request, Response, header, request::Parts};
pub use wasip3::http_compat::IncomingResponseBody;
use wasip3::{
    http::{
        client,
        types::{ErrorCode, Headers, Request as Outgoing, Trailers},
    },
    http_compat::http_from_wasi_response,
    spawn,
    wit_bindgen::{FutureWriter, StreamWriter},
    wit_future, wit_stream,
};

type Ended = Result<Option<Trailers>, ErrorCode>;

/// Sends a request and returns as soon as the head of the response arrives. A status of 4xx or 5xx is a response; redirects are not followed.
///
/// # Errors
/// The host's error.
pub async fn send(request: Request<Bytes>) -> Result<Response<IncomingResponseBody>, ErrorCode> {
    let (mut head, body) = request.into_parts();
    say_length(&head.method, &mut head.headers, body.len());
    exchange(&head, |writer, end| Box::pin(write(body, writer, end))).await
}

/// As [`send`], with a body of which each piece is taken when the one before was sent. The headers state its length. At an error the request breaks off.
///
/// # Errors
/// As [`send`].
pub async fn send_pieces<E: Send + 'static>(
    request: Request<impl Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static>,
) -> Result<Response<IncomingResponseBody>, ErrorCode> {
    let (head, pieces) = request.into_parts();
    exchange(&head, |writer, end| Box::pin(write_pieces(pieces, writer, end))).await
}

type Writing = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn exchange(
    head: &Parts,
    write: impl FnOnce(StreamWriter<u8>, FutureWriter<Ended>) -> Writing,
) -> Result<Response<IncomingResponseBody>, ErrorCode> {
    let (writer, contents) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Err(ErrorCode::ConnectionTerminated));
    let (request, _) = Outgoing::new(fields(&head.headers)?, Some(contents), ended, None);
    address(&request, head)?;
    let writing = write(writer, end);
    // The body is written while the request is sent, before the host runs.
    let response = match select(pin!(client::send(request)), writing).await {
        Either::Left((response, writing)) => {
            // A server that responds before it has read the body may still read the rest.
            spawn(writing);
            response?
        }
        Either::Right(((), sending)) => sending.await?,
    };
    http_from_wasi_response(response)
}

/// Adds the body's length if the headers do not state it. Without it, an empty body would be sent in chunks for all methods but these, and some
/// servers refuse that with 411 (RFC 9110, sections 8.6 and 15.5.12).
fn say_length(method: &Method, headers: &mut HeaderMap, length: usize) {
    let says_none = length == 0 && matches!(*method, Method::GET | Method::HEAD);
    if !says_none {
        headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
}

fn fields(headers: &HeaderMap) -> Result<Headers, ErrorCode> {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
    // In this interface the address contains the host.
    let fields: Vec<_> = headers.iter().filter(|(name, _)| **name != header::HOST).map(field).collect();
    Headers::from_list(&fields).map_err(|error| ErrorCode::InternalError(Some(error.to_string())))
}

fn address(request: &Outgoing, head: &Parts) -> Result<(), ErrorCode> {
    let uri = &head.uri;
    request.set_method(&(&head.method).into()).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    request.set_scheme(uri.scheme().map(Into::into).as_ref()).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let authority = uri.authority().map(http::uri::Authority::as_str);
    request.set_authority(authority).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let path = uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    request.set_path_with_query(path).map_err(|()| ErrorCode::HttpRequestUriInvalid)
}

async fn write(body: Bytes, mut writer: StreamWriter<u8>, end: FutureWriter<Ended>) {
    let unread = if body.is_empty() { Vec::new() } else { writer.write_all(body.into()).await };
    drop(writer);
    if unread.is_empty() {
        // If the server does not take the end, it needs no more of the body.
        let _ = end.write(Ok(None)).await;
    }
}

async fn write_pieces<E>(
    mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    mut writer: StreamWriter<u8>,
    end: FutureWriter<Ended>,
) {
    while let Some(piece) = pieces.next().await {
        // Whoever reads learns that it is not whole, because nobody says that it is.
        let Ok(piece) = piece else { return };
        if !writer.write_all(piece.into()).await.is_empty() {
            return;
        }
    }
    drop(writer);
    let _ = end.write(Ok(None)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(method: &Method, length: usize, named: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(named) = named {
            headers.insert(header::CONTENT_LENGTH, named.parse().unwrap());
        }
        say_length(method, &mut headers, length);
        headers.get(header::CONTENT_LENGTH).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let propfind = Method::from_bytes(b"PROPFIND").unwrap();
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, propfind] {
            assert_eq!(said(&method, 0, None).as_deref(), Some("0"), "{method}");
            assert_eq!(said(&method, 17, None).as_deref(), Some("17"), "{method}");
        }
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(said(&method, 0, None), None, "{method} has no body to speak of");
            assert_eq!(said(&method, 17, None).as_deref(), Some("17"), "{method}");
        }
        assert_eq!(said(&Method::POST, 17, Some("17")).as_deref(), Some("17"), "said once");
    }
}
