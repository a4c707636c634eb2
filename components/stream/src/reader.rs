//! The reader on the other end of a response body.

use orchestrator::Reader;
use platform::outlet::Outlet;

/// Who reads the body. Who falls behind while a run is executed is let go, and replays from the log, which waits for its reader;
/// nobody's slow connection holds up a run.
pub(crate) struct BodyReader(pub(crate) Outlet);

impl Reader for BodyReader {
    fn send(&mut self, frames: &str) -> bool {
        self.0.write(frames)
    }

    async fn ready(&mut self) -> bool {
        self.0.ready().await
    }
}
