//! Compresses JSON responses for clients that accept it: a page of messages shrinks to a fifth. Streams are never compressed.

use std::{future::poll_fn, io::Write as _, mem, task::Poll};

use axum::body::{Body, HttpBody as _, to_bytes};
use content_encoding::{Encoding, choose};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, header};

/// A shorter response fits into a packet or two uncompressed. The limit also keeps responses with a token uncompressed.
const MIN_BYTES: u64 = 2 * 1024;

/// Longer than any of our responses.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Compressed without a pause. It takes a guest about ten milliseconds, while the instance's other requests wait.
const PIECE_BYTES: usize = 256 * 1024;

/// The best encoding for the client among those made here: only gzip, which every client reads. Brotli's encoder is a megabyte of code.
pub(crate) fn wanted(headers: &HeaderMap) -> Encoding {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    choose(&values.collect::<Vec<_>>().join(","), |encoding| encoding != Encoding::Brotli)
}

/// The response in that encoding, if compressing is worth it.
pub(crate) async fn compressed(mut response: Response<Body>, encoding: Encoding) -> Response<Body> {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    // A stream has no known length.
    let is_long = response.body().size_hint().exact().is_some_and(|length| length >= MIN_BYTES);
    if !is_json || !is_long || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if encoding != Encoding::Gzip {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BYTES).await else {
        // Cannot happen: a body in memory does not break off, and none of ours is longer.
        return Response::from_parts(head, Body::empty());
    };
    let Some(gzip) = gzip(&bytes).await else { return Response::from_parts(head, Body::from(bytes)) };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(Encoding::Gzip.token()));
    Response::from_parts(head, Body::from(gzip))
}

/// At the fastest level, because the instance's other requests wait meanwhile.
async fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in bytes.chunks(PIECE_BYTES) {
        encoder.write_all(piece).ok()?;
        let_others_on().await;
    }
    encoder.finish().ok()
}

/// Lets the instance's other requests run: a guest has one thread.
async fn let_others_on() {
    let mut waited = false;
    poll_fn(|context| {
        if mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::{Router, routing::get};
    use flate2::read::GzDecoder;
    use futures::executor::block_on;
    use http::Request;

    use super::*;
    use crate::Json;

    fn answer(path: &str, accept: &str) -> (HeaderMap, Vec<u8>) {
        let streamed = || async {
            let pieces = futures::stream::iter([Ok::<_, std::convert::Infallible>("x".repeat(10_000))]);
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces))
        };
        let router = Router::new()
            .route("/long", get(|| async { Json::<_>("word ".repeat(200_000)) }))
            .route("/short", get(|| async { Json::<_>("word") }))
            .route("/text", get(|| async { "word ".repeat(10_000) }))
            .route("/stream", get(streamed));
        let request = Request::get(path).header(header::ACCEPT_ENCODING, accept).body(Body::empty()).unwrap();
        block_on(async {
            let (head, body) = crate::serve("test", router, request).await.into_parts();
            (head.headers, to_bytes(body, MAX_BYTES).await.unwrap().to_vec())
        })
    }

    #[test]
    fn a_long_answer_is_compressed_for_whoever_asks() {
        let (_, plain) = answer("/long", "");
        for accept in ["gzip", "br, gzip;q=0.5", "deflate, *"] {
            let (headers, body) = answer("/long", accept);
            assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
            assert_eq!(headers[header::VARY], "Accept-Encoding");
            assert!(body.len() * 10 < plain.len(), "{} of {}", body.len(), plain.len());
            let mut read = Vec::new();
            GzDecoder::new(body.as_slice()).read_to_end(&mut read).unwrap();
            assert_eq!(read, plain, "{accept}");
        }
        for accept in ["", "br", "identity", "gzip;q=0"] {
            let (headers, body) = answer("/long", accept);
            assert!(!headers.contains_key(header::CONTENT_ENCODING) && body == plain, "{accept}");
            assert_eq!(headers[header::VARY], "Accept-Encoding");
        }
    }

    #[test]
    fn what_is_short_no_json_or_still_being_written_stays_as_it_is() {
        for path in ["/short", "/text", "/stream"] {
            assert!(!answer(path, "gzip").0.contains_key(header::CONTENT_ENCODING), "{path}");
        }
    }
}
