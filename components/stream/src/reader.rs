//! The reader on the other end of a response body.

use std::future::poll_fn;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};
use orchestrator::Reader;

/// Writes that may wait for a reader: seconds of a fast model. Who falls further behind while a run is executed is let go, and
/// replays from the log, which waits for its reader; nobody's slow connection holds up a run.
const MAX_WAITING_WRITES: usize = 256;

/// The writing end.
pub(crate) struct BodyReader(mpsc::Sender<Bytes>);

/// A response body and who writes it. `first` is in it already.
pub(crate) fn body(first: &'static str) -> (BodyReader, Body) {
    let (mut sender, receiver) = mpsc::channel(MAX_WAITING_WRITES);
    // A new channel has room.
    let _ = sender.try_send(Bytes::from_static(first.as_bytes()));
    (BodyReader(sender), Body::from_stream(receiver.map(Ok::<_, std::convert::Infallible>)))
}

impl Reader for BodyReader {
    fn send(&mut self, frames: &str) -> bool {
        frames.is_empty() || self.0.try_send(Bytes::copy_from_slice(frames.as_bytes())).is_ok()
    }

    async fn ready(&mut self) -> bool {
        poll_fn(|context| self.0.poll_ready(context)).await.is_ok()
    }
}
