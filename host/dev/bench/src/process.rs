//! The measured processes: starts them, waits for them, and reads their CPU time and memory. Knows nothing of what they serve.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use procfs::process::Process;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The beginning of the line in which a server prints its address.
pub(crate) const SERVING: &str = "Serving http://";
/// The host compiles the components on its first start; that takes a minute on a slow machine.
const START_LIMIT: Duration = Duration::from_secs(180);
/// A process that used no CPU for this long has finished its work.
const QUIET: Duration = Duration::from_millis(60);
/// How often the process is checked. One that is never idle (for three seconds) is measured anyway.
const QUIET_LOOKS_MAX: usize = 50;

/// A server of ours, or Spin. It ends when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    _child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Spin serves in a child process: both are in one group.
        let group = format!("-{}", self.pid);
        let _ = std::process::Command::new("kill").args(["-s", "KILL", "--", &group]).status();
    }
}

/// Starts a server and waits until it prints its address.
pub(crate) async fn start(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> anyhow::Result<Server> {
    let program = program.as_ref();
    let name = program.display();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {name}: build it with `cargo dev bench`"))?;
    let output = child.stdout.take().context("its standard output is gone")?;
    let mut lines = BufReader::new(output).lines();
    let serving = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix(SERVING) {
                return Ok(address.trim_end_matches("/v1").parse::<SocketAddr>()?);
            }
        }
        bail!("{name} ended before it served: see its message above");
    };
    let address = tokio::time::timeout(START_LIMIT, serving)
        .await
        .with_context(|| format!("{name} did not serve within {} s", START_LIMIT.as_secs()))??;
    // If nothing reads the pipe, the server blocks.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let pid = child.id().context("it has ended")?;
    Ok(Server { address, pid, _child: child })
}

/// Measures a process from outside.
pub(crate) struct Meter(Process);

impl Meter {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let process = Process::new(pid.try_into()?).with_context(|| format!("there is no process {pid}"))?;
        Ok(Self(process))
    }

    /// The serving process: Spin starts a child for that.
    pub(crate) fn of_server(pid: u32) -> anyhow::Result<Self> {
        let started = Process::new(pid.try_into()?)?;
        let tasks = started.tasks()?.filter_map(Result::ok);
        let child = tasks.filter_map(|task| task.children().ok()).flatten().next();
        Self::of(child.unwrap_or(pid))
    }

    /// The process that started this one.
    pub(crate) fn parent(&self) -> anyhow::Result<Self> {
        Ok(Self(Process::new(self.0.stat()?.ppid)?))
    }

    /// CPU time so far of all its threads, in clock ticks of usually 10 ms, once the process is idle.
    pub(crate) async fn cpu_ms(&self) -> anyhow::Result<f64> {
        let mut before = self.ticks()?;
        for _ in 0..QUIET_LOOKS_MAX {
            tokio::time::sleep(QUIET).await;
            let now = self.ticks()?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(ms_of(before))
    }

    fn ticks(&self) -> anyhow::Result<u64> {
        let stat = self.0.stat().context("a measured process has ended")?;
        Ok(stat.utime + stat.stime)
    }

    /// CPU time so far of a process and its children, each with one thread. Running processes are measured to the microsecond: the errors of
    /// their ticks would add up to more than a case takes. This does not wait until all are idle, which a database never is.
    pub(crate) fn family_cpu_ms(&self) -> anyhow::Result<f64> {
        let stat = self.0.stat().context("a measured process has ended")?;
        let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
        let children = self.0.task_main_thread()?.children()?;
        let children = children.into_iter().filter_map(|pid| Process::new(pid.try_into().ok()?).ok());
        // A child that ends meanwhile is counted among the ended ones the next time.
        let running = children.filter_map(|child| child.schedstat().ok()).map(|schedule| schedule.sum_exec_runtime);
        let running_ns = self.0.schedstat()?.sum_exec_runtime + running.sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "as below")]
        Ok(ms_of(ended) + running_ns as f64 / 1e6)
    }

    /// Resets the peak. Otherwise every later case would have the peak of the largest one.
    pub(crate) fn forget_peak(&self) {
        // proc(5), clear_refs: 5 resets the peak. For another user's process that fails, and the peak so far stays.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.0.pid()), "5");
    }

    /// Resident memory at its peak, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<f64> {
        let kib = self.0.status()?.vmhwm.context("the kernel does not tell VmHWM")?;
        #[expect(clippy::cast_precision_loss, reason = "no machine has so much memory")]
        Ok(kib as f64 / 1024.0)
    }
}

fn ms_of(ticks: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a process would have to run for ages")]
    let ms = ticks as f64 * 1000.0 / procfs::ticks_per_second() as f64;
    ms
}
