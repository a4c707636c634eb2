//! What a person sees of a copy that takes a while. Must not say anything of one that does not.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// Shorter ones are not worth a line.
const SILENT: Duration = Duration::from_secs(2);
/// How often a terminal is repainted.
const REPAINT: Duration = Duration::from_millis(100);
/// How often a line says that it goes on, where there is no terminal to repaint.
const REMINDER: Duration = Duration::from_secs(10);

/// Rows counted; leaves the terminal clean when it is dropped.
pub(crate) struct Progress {
    doing: &'static str,
    rows: u64,
    began: Instant,
    next: Instant,
    spinner: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(doing: &'static str) -> Self {
        let began = Instant::now();
        let spinner = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { doing, rows: 0, began, next: began + SILENT, spinner }
    }

    /// Another row is done.
    pub(crate) fn row(&mut self) {
        self.rows += 1;
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let told = format!("{} ... {} rows, {} s", self.doing, self.rows, self.began.elapsed().as_secs());
        if let Some(spinner) = &self.spinner {
            spinner.set_message(told);
            spinner.tick();
            self.next = now + REPAINT;
        } else {
            eprintln!("{told}");
            self.next = now + REMINDER;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
