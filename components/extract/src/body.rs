//! Bodies as WASI 0.2 has them: reads one within the limit, sends one.

use extraction::FILE_MAX_BYTES;
use http::{Response, StatusCode};
use problem::Problem;
use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::{OutputStream, StreamError},
};

/// Read at once. Hosts have pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;

/// The whole body.
pub(crate) fn read(request: &IncomingRequest) -> Result<Vec<u8>, Problem> {
    let broken =
        || Problem::new(StatusCode::BAD_REQUEST, "body_broken", "The file did not arrive whole. Send it again.");
    let body = request.consume().map_err(|()| broken())?;
    let stream = body.stream().map_err(|()| broken())?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(PIECE_BYTES) {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken()),
        }
        if bytes.len() > FILE_MAX_BYTES {
            return Err(Problem::too_large(FILE_MAX_BYTES));
        }
    }
}

/// Sends a response. Nobody is told if the caller has left.
pub(crate) fn send(response: Response<Vec<u8>>, answer: ResponseOutparam) {
    let (head, bytes) = response.into_parts();
    let fields = Fields::new();
    for (name, value) in &head.headers {
        let _ = fields.append(name.as_str(), value.as_bytes());
    }
    let _ = fields.set("content-length", &[bytes.len().to_string().into_bytes()]);
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(head.status.as_u16());
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(answer, Ok(response));
    if let Ok(stream) = body.write() {
        // The stream must end before the body.
        let _ = write(&stream, &bytes);
        drop(stream);
    }
    let _ = OutgoingBody::finish(body, None);
}

fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX).min(bytes.len());
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (piece, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        stream.write(piece)?;
        bytes = rest;
    }
    stream.blocking_flush()
}
