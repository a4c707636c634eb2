//! A host that runs beside this program: starts it, reads its output, ends it. This module does not know what is served.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// The beginning of the line in which the host reports its address.
const SERVING: &str = "Serving http://";
/// How long a host may finish its responses after it was asked to end. Turns are durable, so readers continue them at the next host.
const GRACE: Duration = Duration::from_millis(500);
/// The poll interval while the host is ending.
const LOOK: Duration = Duration::from_millis(10);
/// A shell's exit code for an interrupted program.
pub(crate) const INTERRUPTED: i32 = 130;

/// Runs at most one host at a time, and ends it when this program is asked to end.
#[derive(Clone, Default)]
pub(crate) struct Supervisor(Arc<State>);

#[derive(Default)]
struct State {
    is_ending: AtomicBool,
    has_served: AtomicBool,
    host: Mutex<Option<Child>>,
}

impl Supervisor {
    /// Installs a signal handler that ends the host, calls `tidy_up` and ends this program, whatever the main thread is doing. The exit code is
    /// `code`, or [`INTERRUPTED`] if no host has served yet.
    pub(crate) fn hear_signals(&self, code: i32, tidy_up: impl Fn() + Send + 'static) -> anyhow::Result<()> {
        let own = self.clone();
        let end = move || {
            own.0.is_ending.store(true, Ordering::SeqCst);
            // The lock is held until the exit. So no other host is started, and the main thread waits when it drops a `Serving`.
            let mut host = own.host();
            if let Some(host) = host.take() {
                end(host);
            }
            tidy_up();
            std::process::exit(if own.0.has_served.load(Ordering::SeqCst) { code } else { INTERRUPTED });
        };
        ctrlc::set_handler(end).context("this program cannot listen for signals")
    }

    /// Returns the result. But an error while a signal ends this program is a consequence of the signal and must not be shown, so this waits for the
    /// exit instead.
    pub(crate) fn or_exit<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        while result.is_err() && self.0.is_ending.load(Ordering::SeqCst) {
            std::thread::park();
        }
        result
    }

    /// Starts a host and waits until it serves. `told` receives every line of its output, also later. `ended` receives its process id when its output
    /// is closed.
    pub(crate) fn start(
        &self,
        mut command: Command,
        told: impl Fn(&str) + Send + 'static,
        ended: impl FnOnce(u32) + Send + 'static,
    ) -> anyhow::Result<Serving> {
        // In its own process group: then a terminal sends Ctrl-C only to this program, which asks the host to end once. A second request would end
        // the host at once.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let (id, output) = {
            let mut host = self.host();
            let child = command.spawn();
            let child =
                host.insert(child.with_context(|| format!("cannot start {}", command.get_program().display()))?);
            (child.id(), child.stdout.take())
        };
        // From here on, an error ends the host.
        let mut serving = Serving { supervisor: self.clone(), id, address: String::new() };
        let output = output.context("its output cannot be read")?;
        let (tell, hears) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(SERVING) {
                    // Only the first address is awaited.
                    let _ = tell.send(address.to_owned());
                }
                told(&line);
            }
            drop(tell);
            ended(id);
        });
        match hears.recv() {
            Ok(address) => serving.address = address,
            Err(_) => bail!("the host did not start: see above"),
        }
        self.0.has_served.store(true, Ordering::SeqCst);
        Ok(serving)
    }

    fn host(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running host. Dropping it ends the host.
pub(crate) struct Serving {
    supervisor: Supervisor,
    /// Its process id.
    pub(crate) id: u32,
    /// Address and port.
    pub(crate) address: String,
}

impl Serving {
    /// Asks the host to end and waits briefly.
    pub(crate) fn stop(self) {
        let host = self.supervisor.host().take();
        if let Some(host) = host {
            end(host);
        }
    }

    /// The exit status of a host that has ended by itself.
    pub(crate) fn status(self) -> anyhow::Result<ExitStatus> {
        let host = self.supervisor.host().take();
        host.context("it was ended")?.wait().context("its status cannot be read")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(mut host) = self.supervisor.host().take() {
            kill(&mut host);
        }
    }
}

fn end(mut host: Child) {
    // If it has already ended, this fails, which does no harm.
    let _ = Command::new("kill").args(["-s", "TERM", &host.id().to_string()]).status();
    let asked = Instant::now();
    while matches!(host.try_wait(), Ok(None)) && asked.elapsed() < GRACE {
        std::thread::sleep(LOOK);
    }
    kill(&mut host);
}

fn kill(host: &mut Child) {
    let _ = host.kill();
    let _ = host.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(script: &str) -> Command {
        let mut host = Command::new("sh");
        host.args(["-c", script]);
        host
    }

    #[test]
    fn a_host_that_ends_by_itself_is_noticed_and_its_status_is_known() {
        let (tell, hears) = mpsc::channel();
        let script = host("echo Serving http://127.0.0.1:1; exit 3");
        let serving = Supervisor::default().start(script, |_| {}, move |id| tell.send(id).unwrap()).unwrap();
        assert_eq!(serving.address, "127.0.0.1:1");
        assert_eq!(hears.recv().unwrap(), serving.id);
        assert_eq!(serving.status().unwrap().code(), Some(3));
    }

    #[test]
    fn a_host_is_asked_to_end_before_it_is_made_to() {
        let (tell, hears) = mpsc::channel();
        let script = host("trap 'echo asked; exit' TERM; echo Serving http://127.0.0.1:1; while :; do :; done");
        let told = move |line: &str| tell.send(line.to_owned()).unwrap();
        Supervisor::default().start(script, told, |_| {}).unwrap().stop();
        assert_eq!(hears.iter().collect::<Vec<_>>(), ["Serving http://127.0.0.1:1", "asked"]);
    }

    #[test]
    fn a_host_that_does_not_serve_is_an_error_and_another_can_be_started() {
        let supervisor = Supervisor::default();
        let error = supervisor.start(host("echo nothing"), |_| {}, |_| {}).err().unwrap();
        assert!(error.to_string().contains("did not start"), "{error:#}");
        assert!(supervisor.start(host("echo Serving http://127.0.0.1:1"), |_| {}, |_| {}).is_ok());
    }

    #[test]
    fn what_a_terminal_sends_to_this_program_does_not_reach_the_host() {
        let (tell, hears) = mpsc::channel();
        let script = host("ps -o pgid= -p $$; echo Serving http://127.0.0.1:1");
        let told = move |line: &str| tell.send(line.trim().to_owned()).unwrap();
        let serving = Supervisor::default().start(script, told, |_| {}).unwrap();
        assert_eq!(hears.recv().unwrap(), serving.id.to_string());
    }
}
