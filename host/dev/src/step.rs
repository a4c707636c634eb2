//! A step of work in another program: its output goes to a log, and the person sees its progress and its end. This module does not know what the step
//! is for.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{MultiProgress, ProgressBar};

use crate::repo::Repo;

/// Shorter steps are not reported.
const SILENT: Duration = Duration::from_secs(2);
/// The interval for repainting a terminal.
const REPAINT: Duration = Duration::from_millis(100);
/// The interval of progress lines without a terminal.
const REMINDER: Duration = Duration::from_secs(10);
/// How much of a failed step's log is shown.
const LINES_SHOWN: usize = 30;
/// How much of a log is read at once; the rest follows at the next check.
const LOOK_MAX_BYTES: u64 = 1024 * 1024;
/// How much of a log's last line fits on the terminal.
const LAST_LINE_MAX_CHARS: usize = 60;

/// The progress of all running steps on a terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes lines while steps may be running.
pub(crate) fn aside(write: impl FnOnce()) {
    BARS.suspend(write);
}

/// The texts of a step.
pub(crate) struct Step<'a> {
    /// The log is `target/dev/<log>.log`.
    pub(crate) log: &'a str,
    /// Said while it runs: "building the page".
    pub(crate) doing: &'a str,
    /// Said afterwards: "built the page".
    pub(crate) done: &'a str,
    /// Advice for a failure.
    pub(crate) remedy: &'a str,
}

/// A step that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: PathBuf,
    pub(crate) elapsed: Duration,
}

impl Step<'_> {
    /// The path of the log.
    pub(crate) fn log_file(&self, repo: &Repo) -> PathBuf {
        repo.own(format!("{}.log", self.log))
    }

    /// Runs the command. If it fails, the error shows the end of the log.
    pub(crate) fn run(&self, repo: &Repo, command: &mut Command) -> anyhow::Result<()> {
        let ended = self.attempt(repo, command)?;
        if !ended.status.success() {
            let log = std::fs::read(&ended.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().filter(|line| is_for_a_person(line)).collect();
            let tail = lines.get(lines.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default().join("\n");
            bail!(
                "{} failed after {:.1} s.\n\n{tail}\n\nThe whole log: {}\nWhat to do: {}",
                self.doing,
                ended.elapsed.as_secs_f32(),
                ended.log.display(),
                self.remedy,
            );
        }
        Ok(())
    }

    /// Runs the command and returns how it ended. An error means that it did not start.
    pub(crate) fn attempt(&self, repo: &Repo, command: &mut Command) -> anyhow::Result<Ended> {
        let log = self.log_file(repo);
        std::fs::create_dir_all(repo.own("")).context("cannot make the folder for logs")?;
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{}: cannot start {}", self.doing, command.get_program().display()))?;

        let (tell, ended) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let status = child.wait();
            // The receiver waits for this message.
            let _ = tell.send(());
            status
        });
        let mut progress = Progress::new(self.doing, File::open(&log)?, began);
        while ended.recv_timeout(REPAINT) == Err(mpsc::RecvTimeoutError::Timeout) {
            progress.show();
        }
        let crates = progress.finish();
        let Ok(status) = waiter.join() else { bail!("{}: the wait for it failed", self.doing) };
        let status = status?;

        let elapsed = began.elapsed();
        if status.success() && elapsed >= SILENT {
            let crates = if crates > 0 { format!(" ({crates} crates)") } else { String::new() };
            aside(|| eprintln!("{} in {:.1} s{crates}", self.done, elapsed.as_secs_f32()));
        }
        Ok(Ended { status, log, elapsed })
    }
}

/// Whether a line is for people. Cargo's JSON is not.
fn is_for_a_person(line: &str) -> bool {
    !line.starts_with('{')
}

/// The progress of a running step.
struct Progress<'a> {
    doing: &'a str,
    log: File,
    began: Instant,
    announced: Option<Instant>,
    spinner: Option<ProgressBar>,
    last_line: String,
    /// The beginning of a line that is not complete yet.
    unfinished: Vec<u8>,
    crates: usize,
}

impl<'a> Progress<'a> {
    fn new(doing: &'a str, log: File, began: Instant) -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| BARS.add(ProgressBar::new_spinner()));
        let unfinished = Vec::new();
        Self { doing, log, began, announced: None, spinner, last_line: String::new(), unfinished, crates: 0 }
    }

    fn show(&mut self) {
        self.read_log();
        let elapsed = self.began.elapsed();
        if let Some(spinner) = &self.spinner {
            let line: String = self.last_line.chars().take(LAST_LINE_MAX_CHARS).collect();
            spinner.set_message(format!("{} ... {} s  {line}", self.doing, elapsed.as_secs()));
            spinner.tick();
        } else if self.announced.is_none() && elapsed >= SILENT {
            eprintln!("{} ...", self.doing);
            self.announced = Some(Instant::now());
        } else if self.announced.is_some_and(|when| when.elapsed() >= REMINDER) {
            let crates = if self.crates > 0 { format!(", {} crates", self.crates) } else { String::new() };
            let last = if self.last_line.is_empty() { String::new() } else { format!(": {}", self.last_line) };
            eprintln!("{} ... {} s{crates}{last}", self.doing, elapsed.as_secs());
            self.announced = Some(Instant::now());
        }
    }

    /// Clears the terminal's line and returns the number of compiled crates.
    fn finish(mut self) -> usize {
        self.read_log();
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        self.crates
    }

    fn read_log(&mut self) {
        // If the log cannot be read, only the display suffers.
        let _ = (&self.log).take(LOOK_MAX_BYTES).read_to_end(&mut self.unfinished);
        let Some(end) = self.unfinished.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.unfinished.split_off(end + 1);
        let lines = std::mem::replace(&mut self.unfinished, rest);
        for line in String::from_utf8_lossy(&lines).lines().map(str::trim) {
            if !line.contains(char::is_alphanumeric) || !is_for_a_person(line) {
                continue;
            }
            self.crates += usize::from(line.starts_with("Compiling "));
            line.clone_into(&mut self.last_line);
        }
    }
}
