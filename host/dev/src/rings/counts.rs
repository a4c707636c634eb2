//! Counts the test cases in a runner's log: cargo's test harness and both reporters of node's test runner. The exit code, not this module, decides
//! about success.

use std::ops::AddAssign;

/// How much of a failed log is shown if it does not mark its failures.
const TAIL_LINES: usize = 60;
/// The most lines that are shown, so that a fault with many failures does not hide the summary.
const SHOWN_LINES_MAX: usize = 200;
/// The most of them that are said once more at the end.
const BRIEF_LINES_MAX: usize = 20;

/// The beginning of a line that says that a test could not run here. The runner counts such a test as passed.
const SKIPPED: &str = "SKIPPED";

/// Test cases by result.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    /// Adds up every summary in the log.
    pub(crate) fn of(log: &str) -> Self {
        let mut counts = Self::default();
        for line in log.lines() {
            if let Some(summary) = line.strip_prefix("test result: ") {
                counts += cargo(summary);
            } else if let Some(summary) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
                counts += node(summary);
            }
        }
        let skipped = log.lines().filter(|line| line.starts_with(SKIPPED)).count().min(counts.passed);
        counts.passed -= skipped;
        counts.skipped += skipped;
        counts
    }
}

/// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn cargo(summary: &str) -> Counts {
    let mut counts = Counts::default();
    let words: Vec<&str> = summary.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let [number, what] = pair else { continue };
        let Ok(number) = number.parse() else { continue };
        match *what {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.skipped = number,
            _ => {}
        }
    }
    counts
}

/// `pass 3`, `fail 0`, `cancelled 0`, `skipped 1`, `todo 0`, one to a line.
fn node(summary: &str) -> Counts {
    let mut counts = Counts::default();
    if let Some((what, number)) = summary.split_once(' ')
        && let Ok(number) = number.parse()
    {
        match what {
            "pass" => counts.passed = number,
            "fail" | "cancelled" => counts.failed = number,
            "skipped" | "todo" => counts.skipped = number,
            _ => {}
        }
    }
    counts
}

/// The part of a failed log with the failures: cargo's lists, node's failed cases, or else its end.
pub(crate) fn failures(log: &str) -> Vec<&str> {
    let mut shown = Vec::new();
    let mut inside = false;
    for line in log.lines() {
        inside = (inside || line == "failures:" || line.starts_with("✖ failing tests") || starts_a_failed_case(line))
            && !ends_a_failure(line);
        if inside {
            shown.push(line);
        }
    }
    if shown.is_empty() {
        let lines: Vec<&str> = log.lines().collect();
        shown = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().to_vec();
    }
    shown.truncate(SHOWN_LINES_MAX);
    shown
}

/// The same without what is empty and the frames of backtraces.
pub(crate) fn in_brief<'l>(failures: &[&'l str]) -> Vec<&'l str> {
    let is_told = |line: &&&str| {
        let line = line.trim_start();
        let is_frame = line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        !line.is_empty() && !is_frame && !line.starts_with("at ")
    };
    failures.iter().filter(is_told).take(BRIEF_LINES_MAX).copied().collect()
}

fn starts_a_failed_case(line: &str) -> bool {
    line.trim_start().starts_with("not ok ")
}

fn ends_a_failure(line: &str) -> bool {
    line.starts_with("test result: ") || line.trim() == "..." || line.trim_start().starts_with("ok ")
}

#[cfg(test)]
mod tests {
    use super::{Counts, failures, in_brief};

    const CARGO: &str = "\
running 2 tests
test a ... ok
test b ... FAILED

failures:

---- b stdout ----
assertion failed

failures:
    b

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 3 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s
";

    #[test]
    fn in_brief_a_failure_has_no_frames() {
        let failures =
            ["failures:", "", "Error: it broke", "   0: std::panic", "             at /rustc/panic.rs:1:2", "  b"];
        assert_eq!(in_brief(&failures), ["failures:", "Error: it broke", "  b"]);
    }

    #[test]
    fn cargos_summaries_are_added_up() {
        assert_eq!(Counts::of(CARGO), Counts { passed: 3, failed: 1, skipped: 1 });
    }

    #[test]
    fn nodes_summary_is_read_from_either_reporter() {
        for mark in ["#", "ℹ"] {
            let log =
                ["tests 7", "suites 2", "pass 4", "fail 1", "cancelled 1", "skipped 1", "todo 0", "duration_ms 81.2"]
                    .map(|line| format!("{mark} {line}\n"))
                    .concat();
            assert_eq!(Counts::of(&log), Counts { passed: 4, failed: 2, skipped: 1 });
        }
    }

    #[test]
    fn a_test_that_says_it_could_not_run_has_not_passed() {
        let log = format!("\nSKIPPED, there is no server here\n{CARGO}");
        assert_eq!(Counts::of(&log), Counts { passed: 2, failed: 1, skipped: 2 });
    }

    #[test]
    fn what_tests_print_is_not_counted() {
        assert_eq!(Counts::of("it says: 3 passed\n# a heading\npass 5\n"), Counts::default());
    }

    #[test]
    fn failures_are_shown_without_what_went_well() {
        let shown = failures(CARGO);
        assert!(shown.contains(&"---- b stdout ----") && shown.contains(&"assertion failed"));
        assert!(!shown.contains(&"test a ... ok"));
        assert_eq!(failures("error[E0308]: mismatched types"), ["error[E0308]: mismatched types"]);
    }
}
