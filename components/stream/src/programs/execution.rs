//! A run that is executed for a program: its events become an answer in the program's form. If the program leaves the stream that it reads, or does not read
//! it, the run is stopped, because nobody else waits for it. Nobody can see whether a program has left that waits for a whole answer, so that has a limit.

use std::{
    cell::RefCell,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use completions_api::{Answer, Ending};
use domain::Id;
use futures::future::join;
use orchestrator::{
    Opened,
    request_handler::{self, Reading},
};
use storage::Database;
use web::log::{Level, log};

use super::{Programs, asking::WHOLE_PATIENCE, delivery::Sink};
use crate::{COMPONENT, host::SpinHost, reader::RunReader};

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
    fn write(&mut self, text: &str) {
        if let Some(sink) = &mut self.sink
            && !text.is_empty()
            && !self.has_left
            && !sink.write(text.as_bytes())
        {
            self.leave();
        }
    }

    /// The program has left, or reads too slowly: then it must see that its stream is not whole.
    fn leave(&mut self) {
        self.has_left = true;
        if let Some(sink) = &mut self.sink {
            sink.break_off();
        }
    }
}

impl Listener {
    /// For a program that waits for the whole answer.
    pub(crate) fn collecting(answer: Answer) -> Self {
        Self(Rc::new(RefCell::new(Listening { answer, sink: None, has_left: false })))
    }

    /// For a program that reads a stream.
    pub(crate) fn writing(answer: Answer, sink: Box<dyn Sink>) -> Self {
        let beginning = answer.beginning();
        let mut listening = Listening { answer, sink: Some(sink), has_left: false };
        listening.write(&beginning);
        Self(Rc::new(RefCell::new(listening)))
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

    /// Ends when a program has waited long enough for a whole answer.
    async fn lateness(&self) {
        let is_stream = self.0.borrow().sink.is_some();
        if is_stream { pending().await } else { platform::sleep(WHOLE_PATIENCE).await }
    }

    /// The run has no more events.
    pub(crate) fn end(&self) {
        self.fail("answer_broke_off", "The answer broke off, and nobody goes on with it. Ask again.");
    }

    /// The answer is given up, unless it has ended.
    fn fail(&self, code: &str, message: &str) {
        let mut listening = self.0.borrow_mut();
        let said = listening.answer.break_off(code, message);
        listening.write(&said);
    }

    /// Hears frames of the run. Always `true`, as [`Self::ready`]: a run without readers goes on, so that a person can come back to it. Nobody comes back to
    /// this one: it is stopped, and until it has ended its listener hears on.
    pub(crate) fn hear(&self, frames: &str) -> bool {
        let mut listening = self.0.borrow_mut();
        let said = listening.answer.feed(frames);
        listening.write(&said);
        true
    }

    /// Waits until the program has read everything, or has left.
    pub(crate) async fn ready(&self) -> bool {
        poll_fn(|context| {
            let listening = &mut *self.0.borrow_mut();
            match &mut listening.sink {
                // After the end nothing is written.
                Some(sink) if !listening.has_left && listening.answer.ending().is_none() => {
                    sink.poll_ready(context).map(|is_there| {
                        if !is_there {
                            listening.leave()
                        }
                    })
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
        true
    }
}

/// Executes a run for a listener.
pub(crate) async fn read<D: Database + 'static>(
    programs: Programs<D>,
    host: SpinHost<D>,
    (user_id, run_id): (Id, Id),
    reading: Reading,
    listener: Listener,
) {
    let settings = &programs.config.settings;
    let mut read = pin!(request_handler::read(&host, settings, reading, RunReader::Program(listener.clone())));
    let mut late = pin!(listener.lateness());
    let has_ended = poll_fn(|context| match read.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending if listener.is_done() => Poll::Ready(false),
        Poll::Pending => late.as_mut().poll(context).map(|()| {
            listener.fail(
                LATE,
                "The answer took longer than ten minutes, so it was stopped. Ask for less, or have it streamed.",
            );
            false
        }),
    })
    .await;
    let stop = async || {
        // Its executor learns of it within a moment, and stores what was used. A run that has ended is not changed.
        let asked = programs.app.store().request_cancel(user_id, run_id, false).await;
        asked.map(drop).map_err(|error| {
            let fields = serde_json::json!({ "run_id": run_id, "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a run that nobody waits for cannot be stopped", fields);
        })
    };
    if !has_ended {
        // At once: either may wait for a connection that the other has.
        let _ = join(stop(), read).await;
    }
    let is_left = listener.has_no_end();
    listener.end();
    if is_left {
        // Something went wrong here, and no other reader comes who would end the run, with what was used. If it cannot be stopped, it must not go on.
        platform::sleep(FAULT_PAUSE).await;
        if stop().await.is_ok()
            && let Ok(Opened::Events(reading)) = orchestrator::open(&host, user_id, run_id, 0).await
        {
            Box::pin(request_handler::read(&host, settings, reading, RunReader::Program(listener.clone()))).await;
        }
    } else if has_ended && !listener.is_complete() {
        let _ = stop().await;
    }
    platform::webhooks::wake_if_any(COMPONENT, &programs.app);
}
