//! Fixture: a component of WASI 0.2. It says how many requests its instance has had and what they sent, or traps.

use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

/// Counts the requests of this instance.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

struct Alone;

#[allow(unsafe_code, reason = "the generated function that the host calls")]
mod export {
    use super::Alone;
    wasip2::http::proxy::export!(Alone);
}

impl Guest for Alone {
    #[allow(clippy::panic, reason = "the trap is what the tests ask for")]
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        if request.path_with_query().as_deref() == Some("/trap") {
            panic!("asked to trap");
        }
        let mut length = 0;
        if let Ok(body) = request.consume()
            && let Ok(stream) = body.stream()
        {
            while let Ok(piece) = stream.blocking_read(4096) {
                length += piece.len();
            }
        }
        let response = OutgoingResponse::new(Fields::new());
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(answer, Ok(response));
        if let Ok(stream) = body.write() {
            let _ = stream.blocking_write_and_flush(format!("request {count}, {length} bytes").as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}
