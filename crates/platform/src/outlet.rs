//! A response body written by the task that makes what is in it, for answers that go on for long and in small pieces.
//!
//! Usually there is a task for the body and a channel to it, and each piece wakes that task: the runtime under the SDK (wit-bindgen 0.57)
//! answers every waking with one more way from the guest to the host and back. Here the work and the body are one task, polled one
//! after the other (docs/adr/0018).

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use spin_sdk::wasip3::{
    http::types::{ErrorCode, Trailers},
    wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamWriter},
    wit_future, wit_stream,
};

/// Bytes that may wait for a reader: seconds of the fastest model, whose chunks the work may take many of at once before the host gets a turn.
/// Sixteen readers of an instance stay far below its memory.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

type Ended = Result<Option<Trailers>, ErrorCode>;

/// The body of an answer, as an extension of the response: its own body is then left out.
#[derive(Clone)]
pub struct Outflow(Arc<Mutex<Option<Readable>>>);

/// What the host reads from.
pub(crate) struct Readable {
    pub(crate) body: StreamReader<u8>,
    pub(crate) ended: FutureReader<Ended>,
}

impl Outflow {
    pub(crate) fn take(&self) -> Option<Readable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The writing end of a body.
#[derive(Clone)]
pub struct Outlet(Rc<RefCell<Waiting>>);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The host does not read any more.
    closed: bool,
    /// Nothing more will be written.
    complete: bool,
    /// The work waits for room.
    wanted: bool,
}

impl Outlet {
    /// Writes without waiting. `false`: nobody reads any more, or too slowly.
    #[must_use]
    pub fn write(&self, text: &str) -> bool {
        let mut waiting = self.0.borrow_mut();
        let room = waiting.bytes.is_empty() || waiting.bytes.len().saturating_add(text.len()) <= MAX_WAITING_BYTES;
        if waiting.closed || !room {
            return false;
        }
        waiting.bytes.extend_from_slice(text.as_bytes());
        true
    }

    /// Waits until nothing waits to be read. `false`: nobody reads any more. Only for the work that the outlet was given to.
    pub async fn ready(&self) -> bool {
        poll_fn(|_| {
            let mut waiting = self.0.borrow_mut();
            waiting.wanted = !waiting.closed && !waiting.bytes.is_empty();
            if waiting.wanted { Poll::Pending } else { Poll::Ready(!waiting.closed) }
        })
        .await
    }

    /// What waits, to be read; `None` at the end.
    async fn next(&self) -> Option<Vec<u8>> {
        poll_fn(|_| {
            let mut waiting = self.0.borrow_mut();
            if !waiting.bytes.is_empty() {
                return Poll::Ready(Some(std::mem::take(&mut waiting.bytes)));
            }
            if waiting.complete { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Whether the work waits for room, and there is some by now: it is said once.
    fn made_room(&self) -> bool {
        let mut waiting = self.0.borrow_mut();
        let made = waiting.wanted && (waiting.closed || waiting.bytes.is_empty());
        waiting.wanted &= !made;
        made
    }
}

/// Does some work that writes a body, and goes on when its reader leaves. The body begins with `first`.
pub fn spawn<F: Future<Output = ()> + 'static>(first: &'static str, work: impl FnOnce(Outlet) -> F) -> Outflow {
    let (writer, body) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    let outlet = Outlet(Rc::default());
    outlet.0.borrow_mut().bytes.extend_from_slice(first.as_bytes());
    let work = work(outlet.clone());
    crate::spawn(crate::accompanied(async move { both(&outlet, work, flow(&outlet, writer, end)).await }));
    Outflow(Arc::new(Mutex::new(Some(Readable { body, ended }))))
}

/// Polls the work, then what carries away what it wrote, so that neither has to wake the other.
async fn both(outlet: &Outlet, work: impl Future<Output = ()>, flow: impl Future<Output = ()>) {
    let (mut work, mut flow) = (pin!(work), pin!(flow));
    let (mut worked, mut flowed) = (false, false);
    poll_fn(|context| {
        loop {
            if !worked && work.as_mut().poll(context).is_ready() {
                worked = true;
                outlet.0.borrow_mut().complete = true;
            }
            flowed = flowed || flow.as_mut().poll(context).is_ready();
            if worked || !outlet.made_room() {
                return if worked && flowed { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    })
    .await;
}

async fn flow(outlet: &Outlet, mut writer: StreamWriter<u8>, end: FutureWriter<Ended>) {
    while let Some(bytes) = outlet.next().await {
        if !writer.write_all(bytes).await.is_empty() {
            outlet.0.borrow_mut().closed = true;
            return;
        }
    }
    drop(writer);
    // Whoever does not hear of the end has left.
    let _ = end.write(Ok(None)).await;
}
