//! A step of work done by another program: its output goes to a log, a person sees that it goes on and how it ended.
//! Must not know what the step is about.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{MultiProgress, ProgressBar};

use crate::repo::Repo;

/// Shorter steps are not worth a line.
const SILENT: Duration = Duration::from_secs(2);
/// How often a terminal is repainted.
const REPAINT: Duration = Duration::from_millis(100);
/// How often a line says that the step goes on, where there is no terminal to repaint.
const REMINDER: Duration = Duration::from_secs(10);
/// How much of a failed step's log is shown.
const LINES_SHOWN: usize = 30;
/// What a log may grow between two looks at it; the rest is read at the next.
const LOOK_MAX_BYTES: u64 = 1024 * 1024;
/// What of a log's last line fits beside the rest on a terminal.
const LAST_LINE_MAX_CHARS: usize = 60;

/// What a terminal shows of all steps that run now.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes lines while steps may be running.
pub(crate) fn aside(write: impl FnOnce()) {
    BARS.suspend(write);
}

/// What a step is called.
pub(crate) struct Step<'a> {
    /// The log is `target/dev/<log>.log`.
    pub(crate) log: &'a str,
    /// While it runs: "building the page".
    pub(crate) doing: &'a str,
    /// Afterwards: "built the page".
    pub(crate) done: &'a str,
    /// What a person can do when it fails.
    pub(crate) remedy: &'a str,
}

/// A step that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: PathBuf,
    pub(crate) elapsed: Duration,
}

impl Step<'_> {
    /// Where the output goes.
    pub(crate) fn log_file(&self, repo: &Repo) -> PathBuf {
        repo.own(format!("{}.log", self.log))
    }

    /// Runs the command; its failure is an error that shows the end of the log.
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

    /// Runs the command and tells how it ended; an error means that it did not start.
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
            // The receiver waits until this is said.
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

/// Cargo's JSON is for other programs.
fn is_for_a_person(line: &str) -> bool {
    !line.starts_with('{')
}

/// What a person sees of a step that runs.
struct Progress<'a> {
    doing: &'a str,
    log: File,
    began: Instant,
    announced: Option<Instant>,
    spinner: Option<ProgressBar>,
    last_line: String,
    /// The beginning of a line whose end is not in the log yet.
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

    /// Clears the terminal's line and gives the number of crates that cargo compiled.
    fn finish(mut self) -> usize {
        self.read_log();
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        self.crates
    }

    fn read_log(&mut self) {
        // A log that cannot be read costs only the display.
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
