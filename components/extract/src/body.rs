//! Bodies as WASI 0.2 has them: reads one within the limit, sends one.

use std::io::Write as _;

use extraction::FILE_MAX_BYTES;
use http::{Response, StatusCode};
use problem::Problem;
use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::StreamError,
};

/// Read at once. Hosts have pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;

/// The whole body.
pub(crate) fn read(request: &IncomingRequest) -> Result<Vec<u8>, Box<Problem>> {
    let broken = || {
        let words = "The file did not arrive whole. Send it again.";
        Box::new(Problem::new(StatusCode::BAD_REQUEST, "body_broken", words))
    };
    let body = request.consume().map_err(|()| broken())?;
    let stream = body.stream().map_err(|()| broken())?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(PIECE_BYTES) {
            // It may be empty before the end, which `io::Read` of these streams takes for the end.
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken()),
        }
        if bytes.len() > FILE_MAX_BYTES {
            return Err(Box::new(Problem::too_large(FILE_MAX_BYTES)));
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
    if let Ok(mut stream) = body.write() {
        // The stream ends here: it must before the body.
        if stream.write_all(&bytes).is_ok() {
            let _ = stream.blocking_flush();
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
