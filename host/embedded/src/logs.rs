//! The output of guests: to the terminal, each line after the component's id, and to `logs/` in the state folder. The host's own messages go to
//! standard error through [`host_line`].

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::private::open_file;

/// Longer lines are split: a guest must not make the host buffer an endless one.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Prints a message of the host about `component`.
pub(crate) fn host_line(component: &str, message: &str) {
    // A closed terminal must not end the host; `eprintln!` would.
    let _ = writeln!(io::stderr(), "[{component}] {message}");
}

/// Which of a guest's two outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// One output of one component, shared by all its instances.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    component: String,
    output: Output,
    file: Mutex<File>,
    quiet: bool,
}

impl Log {
    /// Opens `<folder>/<component>_stdout.txt` or `..._stderr.txt`, named as in Spin, for appending.
    pub(crate) fn open(folder: &Path, component: &str, output: Output, quiet: bool) -> Result<Self> {
        let name = match output {
            Output::Stdout => "stdout",
            Output::Stderr => "stderr",
        };
        let path = folder.join(format!("{component}_{name}.txt"));
        let file = open_file(&path).with_context(|| format!("cannot open the log {}", path.display()))?;
        Ok(Self(Arc::new(Shared { component: component.to_owned(), output, file: Mutex::new(file), quiet })))
    }

    fn write_line(&self, line: &[u8]) {
        let shared = &self.0;
        if !shared.quiet {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches(['\r', '\n']);
            let id = &shared.component;
            let _ = match shared.output {
                Output::Stdout => writeln!(io::stdout(), "[{id}] {text}"),
                Output::Stderr => writeln!(io::stderr(), "[{id}] {text}"),
            };
        }
        // A full disk must not end the guest: the line is on the terminal, but not in the file.
        let _ = shared.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines { log: self.clone(), pending: Vec::new() })
    }
}

/// Splits one guest's output into lines, so that lines of several instances do not mix.
struct Lines {
    log: Log,
    pending: Vec<u8>,
}

impl Lines {
    fn write_pending(&mut self) {
        if !self.pending.is_empty() {
            self.log.write_line(&self.pending);
            self.pending.clear();
        }
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE_BYTES) {
                if self.pending.len() + part.len() > MAX_LINE_BYTES {
                    self.pending.push(b'\n');
                    self.write_pending();
                }
                self.pending.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                self.write_pending();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    // A flush does not end the line: guests flush after each piece of a formatted print.
    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.write_pending();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            self.pending.push(b'\n');
            self.write_pending();
        }
    }
}
