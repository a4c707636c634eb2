//! Admission of requests from outside. Each waits, in order of arrival, until there is room for an instance, and is refused only after too long.
//! Part of the instances is reserved for the components that admitted requests call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::{Error, WasiBody};

/// Half of all instances may be busy, or about to be, when a request from outside is admitted. The rest is for the components that admitted
/// requests call. A turn that calls a tool needs three instances at once.
const ADMITTED_PART: usize = 2;

/// Poll interval of the next request: an instance takes about that long to start.
const LOOK: Duration = Duration::from_millis(1);

/// Admits requests.
pub(crate) struct Gate {
    instances: TaskTracker,
    limit: usize,
    patience: Duration,
    /// Admitted requests that may still need a new instance.
    admitted: Arc<AtomicUsize>,
    /// The holder of this lock is the next request.
    next: Mutex<()>,
}

/// An admitted request that has no instance yet. It has one when its body was read or its response begins; from then on the instance is counted.
/// Waiting for slow clients would otherwise close the gate.
pub(crate) struct Admitted {
    count: Arc<AtomicUsize>,
    placed: AtomicBool,
}

impl Admitted {
    /// The request has an instance.
    pub(crate) fn placed(&self) {
        if !self.placed.swap(true, Ordering::Relaxed) {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Wraps the request's body, to notice when it has been read.
    pub(crate) fn watch(self: &Arc<Self>, body: WasiBody) -> WasiBody {
        if body.is_end_stream() {
            return body;
        }
        Watched { body, admitted: self.clone() }.boxed_unsync()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.placed();
    }
}

struct Watched {
    body: WasiBody,
    admitted: Arc<Admitted>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.admitted.placed();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Gate {
    /// A gate for at most this many living `instances`; a request waits for at most `patience`.
    pub(crate) fn new(instances: TaskTracker, max_instances: u32, patience: Duration) -> Self {
        let limit = (max_instances as usize / ADMITTED_PART).max(1);
        Self { instances, limit, patience, admitted: Arc::default(), next: Mutex::default() }
    }

    /// Admits a request once there is room. `None`: there was no room for too long.
    pub(crate) async fn admit(&self) -> Option<Arc<Admitted>> {
        let admitted = async {
            let _next = self.next.lock().await;
            while self.instances.len() + self.admitted.load(Ordering::Relaxed) >= self.limit {
                tokio::time::sleep(LOOK).await;
            }
            self.admitted.fetch_add(1, Ordering::Relaxed);
            Arc::new(Admitted { count: self.admitted.clone(), placed: AtomicBool::new(false) })
        };
        tokio::time::timeout(self.patience, admitted).await.ok()
    }
}
