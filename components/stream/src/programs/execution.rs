//! A run that is executed for a program: its events become an answer in the program's form. A program that reads its stream slowly gets it slowly; the run does
//! not wait. If the program leaves, or reads nothing for a minute, the run is stopped, because nobody else waits for it. Nobody can see whether a program has
//! left that waits for a whole answer, so that has a limit.

use std::{
    cell::RefCell,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use completions_api::{Answer, Ending};
use domain::Id;
use futures::future::join;
use orchestrator::{
    Host, Opened, Settings, Severity,
    request_handler::{self, Reading},
};

use super::{asking::WHOLE_PATIENCE, delivery::Sink};
use crate::reader::RunReader;

/// The code of an answer that a program has waited for long enough.
pub(crate) const LATE: &str = "answer_late";

/// What went wrong with the database may have passed after this time.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// A run that is being executed.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;
/// Executes a run.
pub(crate) type Execute = fn(Execution) -> Task;

/// On Spin: as it is.
pub(crate) fn execute(Execution { listener, read }: Execution) -> Task {
    read(listener)
}

/// A run that is about to be executed.
pub(crate) struct Execution {
    /// Who listens to it.
    pub(crate) listener: Listener,
    /// Executes it for a listener.
    pub(crate) read: Box<dyn FnOnce(Listener) -> Task>,
}

/// The listener of a run: makes the answer of its events.
#[derive(Clone)]
pub(crate) struct Listener(Rc<RefCell<Listening>>);

struct Listening {
    answer: Answer,
    /// Where a stream goes; `None`: the answer is waited for as a whole.
    sink: Option<Box<dyn Sink>>,
    has_left: bool,
}

impl Listening {
    /// Writes what has come, if what was written before has gone. Ready: it is written, or nobody is there.
    fn poll_flow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(sink) = &mut self.sink else { return Poll::Ready(()) };
        if self.has_left || !self.answer.has_more() {
            return Poll::Ready(());
        }
        let is_there = ready!(sink.poll_ready(context)) && sink.write(self.answer.take().as_bytes());
        if !is_there {
            // Whoever reads nothing must see that the stream is not whole.
            self.has_left = true;
            sink.break_off();
        }
        Poll::Ready(())
    }
}

impl Listener {
    /// For a program that waits for the whole answer.
    pub(crate) fn collecting(answer: Answer) -> Self {
        Self(Rc::new(RefCell::new(Listening { answer, sink: None, has_left: false })))
    }

    /// For a program that reads a stream.
    pub(crate) fn writing(answer: Answer, mut sink: Box<dyn Sink>) -> Self {
        let has_left = !sink.write(answer.beginning().as_bytes());
        Self(Rc::new(RefCell::new(Listening { answer, sink: Some(sink), has_left })))
    }

    /// The answer, as far as it has come.
    pub(crate) fn answer(&self) -> Answer {
        self.0.borrow().answer.clone()
    }

    /// Nobody waits for more of the run: the program has left, or was told that its answer failed.
    fn is_done(&self) -> bool {
        let listening = self.0.borrow();
        listening.has_left || matches!(listening.answer.ending(), Some(Ending::Failed(_)))
    }

    /// The run has said that it is complete.
    fn is_complete(&self) -> bool {
        self.0.borrow().answer.ending() == Some(&Ending::Complete)
    }

    /// The run has not said how it ended.
    fn has_no_end(&self) -> bool {
        self.0.borrow().answer.ending().is_none()
    }

    /// Whether the program reads a stream.
    fn is_stream(&self) -> bool {
        self.0.borrow().sink.is_some()
    }

    /// The run has no more events.
    pub(crate) fn end(&self) {
        self.fail("answer_broke_off", "The answer broke off, and nobody goes on with it. Ask again.");
    }

    /// The answer is given up, unless it has ended.
    fn fail(&self, code: &str, message: &str) {
        self.0.borrow_mut().answer.break_off(code, message);
    }

    /// Hears frames of the run. What comes of them is written by [`Self::flow`].
    pub(crate) fn hear(&self, frames: &str) {
        self.0.borrow_mut().answer.feed(frames);
    }

    /// Writes what has come, as fast as the program reads.
    pub(crate) async fn flow(&self) {
        poll_fn(|context| self.poll_flow(context)).await;
    }

    fn poll_flow(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_flow(context)
    }
}

/// Executes a run for a listener, and returns when the program has what came of it.
pub(crate) async fn read<H: Host>(
    host: &H,
    settings: &Settings,
    (user_id, run_id): (Id, Id),
    reading: Reading,
    listener: Listener,
) {
    let reader = || RunReader::Program(listener.clone());
    let mut read = pin!(request_handler::read(host, settings, reading, reader()));
    // Whoever reads a stream sees how far it is.
    let mut late =
        pin!(async { if listener.is_stream() { pending().await } else { host.sleep(WHOLE_PATIENCE).await } });
    let has_ended = poll_fn(|context| {
        let has_ended = read.as_mut().poll(context).is_ready();
        // What does not go yet goes with the next events, or at the end.
        let _ = listener.poll_flow(context);
        if has_ended || listener.is_done() {
            return Poll::Ready(has_ended);
        }
        late.as_mut().poll(context).map(|()| {
            let message =
                "The answer took longer than ten minutes, so it was stopped. Ask for less, or have it streamed.";
            listener.fail(LATE, message);
            false
        })
    })
    .await;
    let stop = async || {
        // Its executor learns of it within a moment, and stores what was used. A run that has ended is not changed.
        let asked = host.store().request_cancel(user_id, run_id, false).await;
        asked.map(drop).map_err(|error| {
            let fields = serde_json::json!({ "run_id": run_id, "cause": error.to_string() });
            host.log(Severity::Error, "a run that nobody waits for cannot be stopped", fields);
        })
    };
    if !has_ended {
        // At once: either may wait for a connection that the other has.
        let _ = join(stop(), read).await;
    }
    let is_left = listener.has_no_end();
    listener.end();
    let settled = async {
        if is_left {
            // Something went wrong here, and no other reader comes who would end the run, with what was used. If it cannot be stopped, it must not go on.
            host.sleep(FAULT_PAUSE).await;
            if stop().await.is_ok()
                && let Ok(Opened::Events(reading)) = orchestrator::open(host, user_id, run_id, 0).await
            {
                Box::pin(request_handler::read(host, settings, reading, reader())).await;
            }
        } else if has_ended && !listener.is_complete() {
            let _ = stop().await;
        }
    };
    join(listener.flow(), settled).await;
}
