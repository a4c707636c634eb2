//! Limits on waiting for clients: the number of connections, which connection ends when there are too many, and request bodies that come too
//! slowly.

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

/// A body gets one more second for each of these bytes, which is slower than a phone at the edge of its network. Without this limit a byte now
/// and then would keep a connection for ever.
const BODY_BYTES_PER_SECOND: u64 = 1_024;

/// How long a client may take to send or read before its place may be given away. An active client is faster than this.
const GRACE_MS: u64 = 1_000;

/// Poll interval while waiting for a place: there is no event when the host begins to wait for a client.
const LOOK: Duration = Duration::from_millis(100);

/// Limits for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
    /// The most connections at once.
    pub(crate) connections: usize,
    /// How long a client may take for a head, or without reading any of a response, and the base time for a body.
    pub(crate) patience: Duration,
}

#[derive(Clone)]
pub(crate) struct Places(Arc<Shared>);

struct Shared {
    limit: usize,
    began: Instant,
    taken: Mutex<Vec<Arc<Client>>>,
    freed: Notify,
}

/// The client of a place.
struct Client {
    /// The time since when the host waits for the client, in milliseconds after the host began, plus one. 0: it does not wait.
    awaited: AtomicU64,
    leave: CancellationToken,
}

/// A connection's place, which is free again when this is dropped.
pub(crate) struct Place {
    shared: Arc<Shared>,
    client: Arc<Client>,
}

impl Places {
    /// With this many places.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, began: Instant::now(), taken: Mutex::default(), freed: Notify::new() }))
    }

    /// Takes a place for a newly accepted connection. If all are taken, the client that the host has waited for longest loses its place. If the
    /// host waits for no client, this waits until it does or until a place is free.
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
    /// The host waits for the client: for a head, for more of a body, or for it to read.
    fn awaits_client(&self) {
        self.client.awaited.store(self.shared.now(), Ordering::Relaxed);
    }

    /// The host works; the client waits.
    pub(crate) fn serves(&self) {
        self.client.awaited.store(0, Ordering::Relaxed);
    }

    /// Completes when another connection has taken the place.
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

/// A request body that fails when it comes too slowly. Only the time spent waiting for it counts.
pub(crate) struct Arriving<B> {
    body: B,
    place: Arc<Place>,
    /// The remaining time.
    left: Duration,
    waiting_since: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl<B> Arriving<B> {
    /// Limits the time for `body` to `patience` and the time that its bytes add.
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

/// A response body. The host waits for the client between pieces that the client does not read, and after the end.
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
        // The next piece is requested when there is room, so the client has read enough of the previous ones.
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
