//! Limits how long a request's body may take. Otherwise clients that send a byte now and then would occupy an instance's request slots and body
//! memory.
//!
//! It has no clock: the caller says how to wait.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
};
use http_body::{Frame, SizeHint};

/// The time for any body.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body gets one more second for each of these bytes. That is slower than a phone at the edge of its network.
const BYTES_PER_SECOND: u64 = 1_024;

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
pub struct TooSlow;

/// The future that waits.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body that fails with [`TooSlow`] when its sender is too slow. No timer starts while the body arrives without a pause.
pub struct Arriving<W> {
    body: Body,
    wait: W,
    waiting: Option<Wait>,
    /// Bytes that arrived since the wait began.
    came_bytes: u64,
}

impl<W: Fn(Duration) -> Wait> Arriving<W> {
    /// Limits the time of `body`; `wait` makes the timers.
    pub fn new(body: Body, wait: W) -> Self {
        Self { body, wait, waiting: None, came_bytes: 0 }
    }
}

impl<W: Fn(Duration) -> Wait + Unpin> HttpBody for Arriving<W> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.came_bytes = this.came_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        loop {
            let waiting = this.waiting.get_or_insert_with(|| (this.wait)(PATIENCE));
            ready!(waiting.as_mut().poll(context));
            // The bytes that arrived meanwhile give more time.
            let seconds = std::mem::take(&mut this.came_bytes) / BYTES_PER_SECOND;
            if seconds == 0 {
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
            this.waiting = Some((this.wait)(Duration::from_secs(seconds)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::{StreamExt as _, executor::block_on, future, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    /// Reads a body that pauses after so many bytes until the first wait is over, and then ends. Returns the result and the waits.
    fn read(bytes: usize) -> (Result<usize, BoxError>, Vec<u64>) {
        let mut halted = false;
        let halt = stream::poll_fn(move |context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut halted, true) { Poll::Ready(None) } else { Poll::Pending }
        });
        let body = stream::iter([Ok::<_, BoxError>(Bytes::from(vec![b'x'; bytes]))]).chain(halt);
        let waits = Mutex::new(Vec::new());
        let arriving = Arriving::new(Body::from_stream(body), |wait| {
            let mut waits = waits.lock().unwrap();
            waits.push(wait.as_secs());
            if waits.len() == 1 { Box::pin(future::ready(())) } else { Box::pin(future::pending()) as Wait }
        });
        let read = block_on(arriving.collect()).map(|body| body.to_bytes().len());
        (read, waits.into_inner().unwrap())
    }

    #[test]
    fn a_body_has_the_time_that_its_bytes_bring() {
        let (read, waits) = read(3_000);
        assert_eq!(read.unwrap(), 3_000);
        assert_eq!(waits, [30, 2]);
    }

    #[test]
    fn a_body_of_which_too_little_comes_fails() {
        let (read, _) = read(1_000);
        assert!(read.unwrap_err().is::<TooSlow>());
    }
}
