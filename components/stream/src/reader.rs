//! Whoever listens to a run at the other end. It is one type, so that the guest has the code that executes a run once.

use orchestrator::Reader;
use platform::outlet::Outlet;

use crate::programs::Listener;

/// A reader of a run's events.
pub(crate) enum RunReader {
    /// Who reads the response's body. Who falls behind while a run is executed is let go, and replays from the log, which waits for its reader; nobody's
    /// slow connection holds up a run.
    Body(Outlet),
    /// A program that gets an answer in another form.
    Program(Listener),
}

impl Reader for RunReader {
    fn send(&mut self, frames: &str) -> bool {
        match self {
            Self::Body(outlet) => outlet.write(frames),
            // A run without readers goes on, so that a person can come back to it. Nobody comes back to this one: it is stopped, and until it has ended its
            // listener hears on.
            Self::Program(listener) => {
                listener.hear(frames);
                true
            }
        }
    }

    async fn ready(&mut self) -> bool {
        match self {
            Self::Body(outlet) => outlet.ready().await,
            // Only the text waits for the program.
            Self::Program(_) => true,
        }
    }
}
