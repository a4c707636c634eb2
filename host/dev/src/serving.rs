//! A host that runs beside this program: started, listened to, ended. Must not know what it serves.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// What the host says when it serves, before the address.
const SERVING: &str = "Serving http://";
/// How long answers that are being given may go on: turns are durable, so whoever reads one reads on at the next host.
const GRACE: Duration = Duration::from_millis(500);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Ended when this is dropped.
pub(crate) struct Serving {
    child: Child,
    /// Address and port.
    pub(crate) address: String,
}

impl Serving {
    /// Starts it and waits until it serves. `told` hears what it prints, line by line, also later.
    pub(crate) fn start(mut command: Command, told: impl Fn(&str) + Send + 'static) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut serving = Self { child, address: String::new() };
        let output = serving.child.stdout.take().context("its output cannot be read")?;
        let (tell, hears) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(SERVING) {
                    // Nobody listens any more when it is said once more.
                    let _ = tell.send(address.to_owned());
                }
                told(&line);
            }
        });
        match hears.recv() {
            Ok(address) => serving.address = address,
            Err(_) => bail!("the host did not start: see above"),
        }
        Ok(serving)
    }

    /// What asks it to end, for whoever does not have it.
    pub(crate) fn signal(&self) -> impl Fn() + Send + 'static {
        let id = self.child.id().to_string();
        move || {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
        }
    }

    /// Asks it to end, and does not wait for long.
    pub(crate) fn stop(mut self) {
        self.signal()();
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < GRACE {
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
