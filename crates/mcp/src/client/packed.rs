//! Decompresses responses that a server, or a proxy on the way, compressed although the client did not ask for it.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Response, header};
use unpack::{Unpacker, Unreadable};

use super::{BodyStream, TransportError};

/// The response with its body decompressed chunk by chunk, up to `bytes_max` bytes.
pub(super) fn unpacked(
    response: Response<BodyStream>,
    bytes_max: usize,
) -> Result<Response<BodyStream>, TransportError> {
    let (mut head, body) = response.into_parts();
    let codings: Vec<_> =
        head.headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|coding| coding.to_str().ok()).collect();
    let Some(unpacker) = Unpacker::new(&codings.join(","), bytes_max).map_err(unreadable)? else {
        return Ok(Response::from_parts(head, body));
    };
    head.headers.remove(header::CONTENT_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    let body = stream::unfold(Some((body, unpacker)), async |state| {
        let (mut body, mut unpacker) = state?;
        Some(match body.next().await {
            Some(Ok(packed)) => match unpacker.push(&packed) {
                Ok(plain) => (Ok(Bytes::from(plain)), Some((body, unpacker))),
                Err(fault) => (Err(unreadable(fault)), None),
            },
            Some(Err(error)) => (Err(error), None),
            None => (unpacker.finish().map(Bytes::from).map_err(unreadable), None),
        })
    });
    Ok(Response::from_parts(head, Box::pin(body)))
}

fn unreadable(fault: Unreadable) -> TransportError {
    TransportError::Connection(format!("the server {fault}"))
}
