//! The numbers as a table for people, as JSON for programs, and in docs/benchmarks.md between two marks. Measures nothing.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use procfs::Current as _;
use serde::Serialize;

use crate::plan::{Case, TOKENS};
use crate::rate::CONNECTIONS;
use crate::transcript::Reading;

/// The report is written between these lines; what is around them is a person's.
const BEGIN: &str = "<!-- cargo dev bench writes from here -->";
const END: &str = "<!-- to here -->";
/// The crates whose versions bear on the numbers.
const VERSIONS_OF: [&str; 4] = ["wasmtime", "hyper", "axum", "rusqlite"];

/// One case through one subject, once.
#[derive(Clone, Serialize)]
pub(crate) struct Sample {
    first_token_p50_ms: f64,
    first_token_p95_ms: f64,
    /// Over streams, of each one's largest gap.
    gap_p95_ms: f64,
    cpu_ms_per_stream: f64,
    /// Making the conversation and sending the message.
    posts_cpu_ms_per_turn: Option<f64>,
    peak_mib: f64,
}

impl Sample {
    /// From what all streams of a case showed, and the CPU time that they and the POSTs before them took together.
    pub(crate) fn of(readings: &[Reading], cpu_ms: f64, posts_cpu_ms: Option<f64>, peak_mib: f64) -> Self {
        let first: Vec<f64> = readings.iter().map(|reading| ms(reading.first_token)).collect();
        let gap: Vec<f64> = readings.iter().map(|reading| ms(reading.gap_max)).collect();
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let streams = readings.len() as f64;
        Self {
            first_token_p50_ms: quantile(&first, 50),
            first_token_p95_ms: quantile(&first, 95),
            gap_p95_ms: quantile(&gap, 95),
            cpu_ms_per_stream: cpu_ms / streams,
            posts_cpu_ms_per_turn: posts_cpu_ms.map(|cpu_ms| cpu_ms / streams),
            peak_mib,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first_token_p50_ms, gap_p95_ms, cpu_ms_per_stream, .. } = self;
        write!(
            f,
            "first token {first_token_p50_ms:7.1} ms, gap {gap_p95_ms:6.1} ms, CPU {cpu_ms_per_stream:6.2} ms a stream"
        )
    }
}

/// All samples of a case through one subject.
#[derive(Serialize)]
pub(crate) struct Streams {
    pub(crate) case: Case,
    pub(crate) through: &'static str,
    pub(crate) samples: Vec<Sample>,
}

impl Streams {
    fn median(&self, field: impl Fn(&Sample) -> f64) -> f64 {
        quantile(&self.samples.iter().map(field).collect::<Vec<_>>(), 50)
    }

    /// Of all repetitions: in the later ones a process still holds what a larger case made it take.
    fn smallest_peak_mib(&self) -> f64 {
        self.samples.iter().map(|sample| sample.peak_mib).fold(f64::INFINITY, f64::min)
    }
}

/// Requests a second for one path of one subject.
#[derive(Serialize)]
pub(crate) struct Rate {
    pub(crate) path: &'static str,
    pub(crate) through: &'static str,
    pub(crate) per_second: Vec<f64>,
    pub(crate) cpu_us: Vec<f64>,
}

/// Everything that was measured, and on what.
#[derive(Serialize)]
pub(crate) struct Report {
    taken_at: String,
    command: String,
    machine: String,
    versions: String,
    streams: Vec<Streams>,
    rates: Vec<Rate>,
}

impl Report {
    pub(crate) fn new() -> Self {
        let arguments: Vec<String> = std::env::args().skip(2).collect();
        Self {
            taken_at: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            command: format!("cargo dev bench {}", arguments.join(" ")).trim_end().to_owned(),
            machine: machine().unwrap_or_else(|error| format!("unknown machine ({error:#})")),
            versions: versions(),
            streams: Vec::new(),
            rates: Vec::new(),
        }
    }

    pub(crate) fn add_streams(&mut self, more: Streams) {
        match self.streams.iter_mut().find(|known| known.case == more.case && known.through == more.through) {
            Some(known) => known.samples.extend(more.samples),
            None => self.streams.push(more),
        }
    }

    pub(crate) fn add_rate(&mut self, more: Rate) {
        match self.rates.iter_mut().find(|known| known.path == more.path && known.through == more.through) {
            Some(known) => {
                known.per_second.extend(more.per_second);
                known.cpu_us.extend(more.cpu_us);
            }
            None => self.rates.push(more),
        }
    }

    fn of(&self, case: Case, through: &str) -> Option<&Streams> {
        self.streams.iter().find(|streams| streams.case == case && streams.through == through)
    }

    fn write_streams(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| streams at once | tokens | through | first token, median | p95 | added, median | p95 | largest gap, p95 | CPU a stream | CPU of the POSTs | peak memory |"
        )?;
        writeln!(f, "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for row in &self.streams {
            let Case { streams, delay_ms, .. } = row.case;
            let pace = if delay_ms == 0 { "at once".to_owned() } else { format!("{delay_ms} ms apart") };
            let (p50, p95) =
                (row.median(|sample| sample.first_token_p50_ms), row.median(|sample| sample.first_token_p95_ms));
            let direct = self.of(row.case, "direct").filter(|direct| direct.through != row.through);
            let added = |measured: f64, field: fn(&Sample) -> f64| {
                direct.map_or_else(|| "–".to_owned(), |direct| format!("{:.1} ms", measured - direct.median(field)))
            };
            let posts = row.samples.iter().all(|sample| sample.posts_cpu_ms_per_turn.is_some());
            let posts = posts.then(|| row.median(|sample| sample.posts_cpu_ms_per_turn.unwrap_or_default()));
            writeln!(
                f,
                "| {streams} | {pace} | {} | {p50:.1} ms | {p95:.1} ms | {} | {} | {:.1} ms | {:.2} ms | {} | {:.0} MiB |",
                row.through,
                added(p50, |sample| sample.first_token_p50_ms),
                added(p95, |sample| sample.first_token_p95_ms),
                row.median(|sample| sample.gap_p95_ms),
                row.median(|sample| sample.cpu_ms_per_stream),
                posts.map_or_else(|| "–".to_owned(), |posts| format!("{posts:.2} ms")),
                row.smallest_peak_mib(),
            )?;
        }
        Ok(())
    }

    fn write_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| app / relay | CPU a stream | first token, median | largest gap, p95 | peak memory |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        for app in self.streams.iter().filter(|row| row.through.starts_with("app")) {
            let Some(relay) = self.of(app.case, "relay") else { continue };
            let ratio = |field: fn(&Sample) -> f64| times(app.median(field), relay.median(field));
            writeln!(
                f,
                "| {}, {} streams, {} ms apart | {} | {} | {} | {} |",
                app.through,
                app.case.streams,
                app.case.delay_ms,
                ratio(|sample| sample.cpu_ms_per_stream),
                ratio(|sample| sample.first_token_p50_ms),
                ratio(|sample| sample.gap_p95_ms),
                times(app.smallest_peak_mib(), relay.smallest_peak_mib()),
            )?;
        }
        Ok(())
    }

    fn write_rates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| {CONNECTIONS} connections | through | requests a second | of the native `/health` | CPU a request |"
        )?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: |")?;
        let native =
            self.rates.iter().find(|rate| rate.through == "relay").map_or(0.0, |rate| quantile(&rate.per_second, 50));
        for Rate { path, through, per_second, cpu_us } in &self.rates {
            let (per_second, cpu_us) = (quantile(per_second, 50), quantile(cpu_us, 50));
            let share = times(per_second, native);
            writeln!(f, "| `GET {path}` | {through} | {per_second:.0} | {share} | {cpu_us:.0} µs |")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repetitions = self.streams.first().map_or(0, |streams| streams.samples.len());
        writeln!(
            f,
            "`{}`, {}, {}. {}. Medians of {repetitions}.\n",
            self.command, self.taken_at, self.machine, self.versions
        )?;
        writeln!(f, "Streams of {TOKENS} tokens:\n")?;
        self.write_streams(f)?;
        writeln!(f)?;
        self.write_ratios(f)?;
        writeln!(f)?;
        self.write_rates(f)
    }
}

fn machine() -> anyhow::Result<String> {
    let cpu = procfs::CpuInfo::current()?;
    let model = cpu.model_name(0).unwrap_or("unknown CPU").to_owned();
    let memory_gib = procfs::Meminfo::current()?.mem_total.div_ceil(1 << 30);
    Ok(format!("{} x {model}, {memory_gib} GiB", cpu.num_cores()))
}

/// Of the compiler and of what serves, as far as they can be found.
fn versions() -> String {
    let said = |program: &str, argument: &[&str]| {
        let output = Command::new(program).args(argument).output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.split(" (").next().unwrap_or_default().trim().to_owned())
    };
    let commit = said("git", &["rev-parse", "--short", "HEAD"]).map(|commit| format!("commit {commit}"));
    let mut versions: Vec<String> = [commit, said("rustc", &["--version"])].into_iter().flatten().collect();
    let lock: toml::Table = std::fs::read_to_string("Cargo.lock").unwrap_or_default().parse().unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    for package in packages {
        let field = |name| package.get(name).and_then(toml::Value::as_str).unwrap_or_default();
        if VERSIONS_OF.contains(&field("name")) {
            versions.push(format!("{} {}", field("name"), field("version")));
        }
    }
    versions.join(", ")
}

/// Puts the report between the marks of `file`.
pub(crate) fn refresh(file: &Path, report: &Report) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = between_marks(&text, &report.to_string()).with_context(|| file.display().to_string())?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("{} is up to date", file.display());
    Ok(())
}

fn between_marks(text: &str, report: &str) -> anyhow::Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    ensure!(parts.is_some(), "it has no lines `{BEGIN}` and `{END}`: put them where the numbers belong");
    let (before, after) = parts.unwrap_or_default();
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", report.trim_end()))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The smallest value that is not below `percent` of all: nearest rank. Of nothing it is 0.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// How many times `of` the value is. CPU below the clock's tick counts as nothing and has no ratio.
fn times(value: f64, of: f64) -> String {
    if of > 0.0 { format!("{:.2}", value / of) } else { "–".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([50, 95, 100].map(|percent| quantile(&values, percent)), [3.0, 5.0, 5.0]);
        assert_eq!(quantile(&[], 50), 0.0);
    }

    #[test]
    fn a_report_replaces_the_last_one_and_leaves_the_prose() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = between_marks(&text, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(between_marks(&once, "new").unwrap(), once);
        assert!(between_marks("prose alone", "new").unwrap_err().to_string().contains(BEGIN));
    }
}
