//! What clients may keep the host waiting for: the places for connections, whose turn it is to go when there is none, and the bodies of requests
//! that come too slowly.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::Error;

/// A body has a second more for each of these bytes: slower than a telephone at the edge of its network. Without it, a byte now and then would
/// keep a connection for ever.
const BODY_BYTES_PER_SECOND: u64 = 1_024;

/// A client has so long to send or take something before its place may go to somebody else. Whoever is there does it at once.
const GRACE_MS: u64 = 1_000;

/// How often whoever waits for a place looks again: nobody tells when a client begins to keep the host waiting.
const LOOK: Duration = Duration::from_millis(100);

/// What clients may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
    /// Connections at once.
    pub(crate) connections: usize,
    /// How long a client may take for a head, or take nothing of an answer, and the time it has for any body.
    pub(crate) patience: Duration,
}

/// The places for connections.
#[derive(Clone)]
pub(crate) struct Places(Arc<Shared>);

struct Shared {
    limit: usize,
    began: Instant,
    taken: Mutex<Vec<Arc<Client>>>,
    freed: Notify,
}

/// Who has a place.
struct Client {
    /// Since when it has been waited for, in milliseconds after the host began, and one more; 0: it is not.
    awaited: AtomicU64,
    leave: CancellationToken,
}

/// A connection's place; it is free again when this is gone.
pub(crate) struct Place {
    shared: Arc<Shared>,
    client: Arc<Client>,
}

impl Places {
    /// So many.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, began: Instant::now(), taken: Mutex::default(), freed: Notify::new() }))
    }

    /// A place for a connection that was just accepted. If all are taken, that of the client that has been waited for longest; if none is, the
    /// first that becomes free or whose client has to be waited for.
    pub(crate) async fn take(&self) -> Place {
        loop {
            let freed = self.0.freed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            let _ = tokio::time::timeout(LOOK, freed).await;
        }
    }

    fn try_take(&self) -> Option<Place> {
        let shared = &self.0;
        let mut taken = shared.taken();
        if taken.len() >= shared.limit {
            let since = taken.iter().map(|client| client.awaited.load(Ordering::Relaxed)).enumerate();
            let waiting = since.filter(|(_, awaited)| *awaited > 0 && awaited.saturating_add(GRACE_MS) <= shared.now());
            let (longest, _) = waiting.min_by_key(|(_, awaited)| *awaited)?;
            taken.swap_remove(longest).leave.cancel();
        }
        let client = Arc::new(Client { awaited: AtomicU64::new(shared.now()), leave: CancellationToken::new() });
        taken.push(client.clone());
        Some(Place { shared: shared.clone(), client })
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Place {
    /// The client has to send something, a head or more of a body, or to take what it was sent.
    fn awaits_client(&self) {
        self.client.awaited.store(self.shared.now(), Ordering::Relaxed);
    }

    /// It is on the host.
    pub(crate) fn serves(&self) {
        self.client.awaited.store(0, Ordering::Relaxed);
    }

    /// Somebody else has the place now.
    pub(crate) async fn lost(&self) {
        self.client.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.taken().retain(|client| !Arc::ptr_eq(client, &self.client));
        self.shared.freed.notify_one();
    }
}

/// The body of a request, which fails when it comes too slowly. Only the time counts in which it is waited for.
pub(crate) struct Arriving<B> {
    body: B,
    place: Arc<Place>,
    /// What is left of the time for it.
    left: Duration,
    waiting_since: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl<B> Arriving<B> {
    /// Limits the time for `body` to `patience` and what its bytes bring.
    pub(crate) fn new(body: B, place: Arc<Place>, patience: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(patience));
        Self { body, place, left: patience, waiting_since: None, sleep }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(since) = this.waiting_since.take() {
                this.left = this.left.saturating_sub(since.elapsed());
                this.place.serves();
            }
            if let Some(Ok(bytes)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
                let bytes = bytes.map_or(0, |bytes| bytes.len() as u64);
                this.left += Duration::from_millis(bytes * 1_000 / BODY_BYTES_PER_SECOND);
            }
            return Poll::Ready(frame);
        }
        if this.waiting_since.is_none() {
            let now = Instant::now();
            this.waiting_since = Some(now);
            this.sleep.as_mut().reset(now + this.left);
            this.place.awaits_client();
        }
        ready!(this.sleep.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer: after it, the client is waited for again, and between its pieces if it does not take them.
pub(crate) struct Leaving<B> {
    body: B,
    place: Arc<Place>,
}

impl<B> Leaving<B> {
    /// Passes `body` on.
    pub(crate) fn new(body: B, place: Arc<Place>) -> Self {
        Self { body, place }
    }
}

impl<B> Drop for Leaving<B> {
    fn drop(&mut self) {
        self.place.awaits_client();
    }
}

impl<B: Body + Unpin> Body for Leaving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // The next piece is asked for when there is room: the client has taken enough of those before.
        self.place.serves();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.place.awaits_client();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
