//! Room for instances. A request from outside waits for it, in the order in which they came, and is refused only when that takes too long; what
//! is kept free is for the components that the admitted ones call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

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

/// A request that was let in, until its answer begins.
pub(crate) struct Admitted(Arc<AtomicUsize>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate before living `instances`, of which there may be so many; a request waits for so long.
    pub(crate) fn new(instances: TaskTracker, max_instances: u32, patience: Duration) -> Self {
        let limit = (max_instances as usize / ADMITTED_PART).max(1);
        Self { instances, limit, patience, admitted: Arc::default(), next: Mutex::default() }
    }

    /// Lets a request in once there is room. `None`: there was none for too long.
    pub(crate) async fn admit(&self) -> Option<Admitted> {
        let admitted = async {
            let _next = self.next.lock().await;
            while self.instances.len() + self.admitted.load(Ordering::Relaxed) >= self.limit {
                tokio::time::sleep(LOOK).await;
            }
            self.admitted.fetch_add(1, Ordering::Relaxed);
            Admitted(self.admitted.clone())
        };
        tokio::time::timeout(self.patience, admitted).await.ok()
    }
}
