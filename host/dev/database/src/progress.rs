//! Progress of a long copy, for a person. Must print nothing for a short one.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// A shorter copy prints nothing.
const SILENT: Duration = Duration::from_secs(2);
/// How often the terminal is repainted.
const REPAINT: Duration = Duration::from_millis(100);
/// How often a line reports progress where there is no terminal.
const REMINDER: Duration = Duration::from_secs(10);

/// Counts rows; clears its terminal line when dropped.
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

    /// Counts a row.
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
