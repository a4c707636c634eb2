//! Room for instances. A request from outside waits for it, in the order in which they came, and is refused only when that takes too long; what
//! is kept free is for the components that the admitted ones call.

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

/// The part of all instances that may be at work or about to be while another request from outside is let in: the rest is for the components
/// that those call. A turn that calls a tool is in three at once.
const ADMITTED_PART: usize = 2;

/// How often whoever is next looks: an instance takes about that long to begin.
const LOOK: Duration = Duration::from_millis(1);

/// Who is let in, and when.
pub(crate) struct Gate {
    instances: TaskTracker,
    limit: usize,
    patience: Duration,
    /// Requests that may still need an instance of their own.
    admitted: Arc<AtomicUsize>,
    /// Whoever holds it is next.
    next: Mutex<()>,
}

/// A request that was let in, until an instance has it: until its body is read or its answer begins. From then on the instance counts. Clients that
/// send slowly would close the gate otherwise.
pub(crate) struct Admitted {
    count: Arc<AtomicUsize>,
    placed: AtomicBool,
}

impl Admitted {
    /// An instance has it.
    pub(crate) fn placed(&self) {
        if !self.placed.swap(true, Ordering::Relaxed) {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The request's body, which tells when it is read.
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
    /// A gate before living `instances`, of which there may be so many; a request waits for so long.
    pub(crate) fn new(instances: TaskTracker, max_instances: u32, patience: Duration) -> Self {
        let limit = (max_instances as usize / ADMITTED_PART).max(1);
        Self { instances, limit, patience, admitted: Arc::default(), next: Mutex::default() }
    }

    /// Lets a request in once there is room. `None`: there was none for too long.
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
