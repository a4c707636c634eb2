//! A response body that is written by the task that produces its content, for long responses in small pieces.
//!
//! Usually a second task writes the body, and a channel leads to it. Each piece then wakes that task, and for every wake-up the runtime under
//! the SDK (wit-bindgen 0.57) makes one more round trip between guest and host. Here the work and the body are one task, which polls one after
//! the other (docs/adr/0018).

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

/// Bytes that may wait for a reader. That is seconds of the fastest model, because the work may read many of its chunks before the host runs.
/// Sixteen readers of an instance stay far below its memory.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

type Ended = Result<Option<Trailers>, ErrorCode>;

/// The body of a response, as an extension of the response, whose own body is then left out.
#[derive(Clone)]
pub struct Outflow(Arc<Mutex<Option<Readable>>>);

/// The reading ends, for the host.
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
    /// The host no longer reads.
    closed: bool,
    /// Nothing more will be written.
    complete: bool,
    /// What was written is not all of it.
    broken: bool,
    /// The work waits until the host has taken all bytes.
    wanted: bool,
}

impl Outlet {
    /// Writes without waiting. `false`: the reader has left or is too slow.
    #[must_use]
    pub fn write(&self, text: &str) -> bool {
        self.write_bytes(text.as_bytes())
    }

    /// As [`Self::write`], of bytes.
    #[must_use]
    pub fn write_bytes(&self, bytes: &[u8]) -> bool {
        let mut waiting = self.0.borrow_mut();
        let room = waiting.bytes.is_empty() || waiting.bytes.len().saturating_add(bytes.len()) <= MAX_WAITING_BYTES;
        if waiting.closed || !room {
            return false;
        }
        waiting.bytes.extend_from_slice(bytes);
        true
    }

    /// Waits until the host has taken all bytes. `false`: the host no longer reads. Only the work that owns the outlet may call it.
    pub async fn ready(&self) -> bool {
        poll_fn(|_| self.poll_ready()).await
    }

    /// As [`Self::ready`]. No waker is needed: whoever polls the work polls it again.
    pub fn poll_ready(&self) -> Poll<bool> {
        let mut waiting = self.0.borrow_mut();
        waiting.wanted = !waiting.closed && !waiting.bytes.is_empty();
        if waiting.wanted { Poll::Pending } else { Poll::Ready(!waiting.closed) }
    }

    /// The body ends here, and its reader is to see that it is not whole.
    pub fn break_off(&self) {
        self.0.borrow_mut().broken = true;
    }

    /// The bytes that wait for the host; `None` at the end.
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

    /// Whether the work waits for room and there is some now. Returns `true` once for each wait.
    fn made_room(&self) -> bool {
        let mut waiting = self.0.borrow_mut();
        let made = waiting.wanted && (waiting.closed || waiting.bytes.is_empty());
        waiting.wanted &= !made;
        made
    }
}

/// Starts work that writes a body, and continues it when its reader leaves. The body begins with `first`.
pub fn spawn<F: Future<Output = ()> + 'static>(first: &'static str, work: impl FnOnce(Outlet) -> F) -> Outflow {
    let (writer, body) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    let outlet = Outlet(Rc::default());
    outlet.0.borrow_mut().bytes.extend_from_slice(first.as_bytes());
    let work = work(outlet.clone());
    crate::spawn(crate::accompanied(async move { both(&outlet, work, flow(&outlet, writer, end)).await }));
    Outflow(Arc::new(Mutex::new(Some(Readable { body, ended }))))
}

/// Polls the work, then the flow that sends its output to the host, so that neither has to wake the other.
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
    let is_broken = outlet.0.borrow().broken;
    // If the host does not take the end, the reader has left.
    let _ = end.write(if is_broken { Err(ErrorCode::InternalError(None)) } else { Ok(None) }).await;
}
