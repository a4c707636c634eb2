//! A run that is executed for a program: its events become an answer in the program's form, and if the program leaves, the run is stopped, because nobody
//! else waits for it.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use completions_api::{Answer, Ending};
use domain::Id;
use futures::future::join;
use orchestrator::request_handler::{self, Reading};
use storage::Database;
use web::log::{Level, log};

use super::{Programs, delivery::Sink};
use crate::{COMPONENT, host::SpinHost, reader::RunReader};

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
        if let Some(sink) = &mut self.sink {
            self.has_left |= !text.is_empty() && (self.has_left || !sink.write(text.as_bytes()));
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

    /// The run has no more events.
    pub(crate) fn end(&self) {
        let mut listening = self.0.borrow_mut();
        let broken = "The answer broke off, and nobody goes on with it. Ask again.";
        let said = listening.answer.break_off("answer_broke_off", broken);
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
            let Listening { sink, has_left, .. } = &mut *self.0.borrow_mut();
            match sink {
                Some(sink) if !*has_left => sink.poll_ready(context).map(|is_there| *has_left = !is_there),
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
    let has_ended = poll_fn(|context| match read.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending if listener.is_done() => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    })
    .await;
    let stop = async {
        if listener.is_complete() {
            return;
        }
        // Its executor learns of it within a moment, and stores what was used. A run that has ended is not changed.
        if let Err(error) = programs.app.store().request_cancel(user_id, run_id, false).await {
            let fields = serde_json::json!({ "run_id": run_id, "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a run that nobody waits for cannot be stopped", fields);
        }
    };
    if has_ended {
        stop.await;
    } else {
        // At once: either may wait for a connection that the other has.
        join(stop, read).await;
    }
    listener.end();
    platform::webhooks::wake_if_any(COMPONENT, &programs.app);
}
