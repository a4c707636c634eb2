//! The way to a provider for a request of a program: the head of its response, and its body while it arrives. Redirects are not followed.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, Request, StatusCode};
use platform::{
    http_client::{self, HttpError},
    sleep, within,
};

/// How long a provider is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the head of its response.
    pub(crate) head: Duration,
    /// For each further piece. A silence is noticed before twice this time is over.
    pub(crate) silence: Duration,
}

/// A response whose body is arriving. Dropping it closes the connection.
pub(crate) struct Opened {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, piece by piece.
    pub(crate) body: Pieces,
}

/// A body that is arriving.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Unheard>>>>;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unheard {
    /// It cannot be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It said nothing for too long.
    #[error("it said nothing for too long")]
    Silent,
}

/// A response that is awaited.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Opened, Unheard>>>>;

/// The way out.
pub(crate) type Open = fn(Request<Bytes>, Patience) -> Opening;

/// Sends a request on Spin.
pub(crate) fn open(request: Request<Bytes>, patience: Patience) -> Opening {
    Box::pin(async move {
        let response = within(patience.head, http_client::send_with_trace(request)).await.ok_or(Unheard::Silent)??;
        let body = Patient { body: response.body, alarm: Alarm::new(patience.silence) };
        Ok(Opened { status: response.status, headers: response.headers, body: Box::pin(body) })
    })
}

/// Rings when nothing has happened for a time, at the latest for twice that time. It has one timer, which is set anew only when it rings, so that what
/// happens costs none.
pub(crate) struct Alarm {
    period: Duration,
    timer: Pin<Box<dyn Future<Output = ()>>>,
    is_quiet: bool,
}

impl Alarm {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, timer: Box::pin(sleep(period)), is_quiet: true }
    }

    /// Something has happened.
    pub(crate) const fn hear(&mut self) {
        self.is_quiet = false;
    }

    /// Whether it rings.
    pub(crate) fn rings(&mut self, context: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(context).is_ready() {
            self.timer = Box::pin(sleep(self.period));
            if std::mem::replace(&mut self.is_quiet, true) {
                return true;
            }
        }
        false
    }
}

/// A body that ends with an error when it is silent.
struct Patient<B> {
    body: B,
    alarm: Alarm,
}

impl<B: Stream<Item = Result<Bytes, HttpError>> + Unpin> Stream for Patient<B> {
    type Item = Result<Bytes, Unheard>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(piece) = this.body.poll_next_unpin(context) {
            this.alarm.hear();
            return Poll::Ready(piece.map(|piece| piece.map_err(Unheard::Http)));
        }
        if this.alarm.rings(context) { Poll::Ready(Some(Err(Unheard::Silent))) } else { Poll::Pending }
    }
}
