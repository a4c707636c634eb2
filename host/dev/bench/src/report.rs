//! The results as a table for people, as JSON for programs, and in docs/benchmarks.md between two marks. Measures nothing.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use procfs::Current as _;
use serde::Serialize;

use crate::case::{Case, TOKENS};
use crate::gateways;
use crate::plan::{APP, APP_ON_POSTGRES, COMPONENT, RELAY};
use crate::postgres::{Reason, Sent};
use crate::rate::CONNECTIONS;
use crate::transcript::Reading;

/// The report is written between these lines; the text around them is written by people.
const BEGIN: &str = "<!-- cargo dev bench writes from here -->";
const END: &str = "<!-- to here -->";
/// Crates whose versions affect the results.
const VERSIONS_OF: [&str; 4] = ["wasmtime", "hyper", "axum", "rusqlite"];

/// The target for statements a turn, besides one for each batch of events.
const STATEMENTS_ASKED_FOR: i64 = 8;

/// One measurement of one case through one subject.
#[derive(Clone, Serialize)]
pub(crate) struct Sample {
    first_token_p50_ms: f64,
    first_token_p95_ms: f64,
    /// The 95th percentile over streams of each stream's largest gap.
    gap_p95_ms: f64,
    cpu_ms_per_stream: f64,
    /// CPU time for making the conversation and sending the message.
    posts_cpu_ms_per_turn: Option<f64>,
    peak_mib: f64,
    /// The database's share, if it runs in separate processes.
    pub(crate) database: Option<DatabaseSample>,
}

/// The database's work during the measurement.
#[derive(Clone, Serialize)]
pub(crate) struct DatabaseSample {
    cpu_ms_per_stream: f64,
    posts_cpu_ms_per_turn: f64,
    /// How many cores the database used while the streams ran.
    cores: f64,
    longest: Option<Sent>,
}

impl DatabaseSample {
    /// From the database's CPU time for `streams`, which took `elapsed`, and for the POSTs before them.
    pub(crate) fn of(streams: usize, cpu_ms: f64, posts_cpu_ms: f64, elapsed: Duration, longest: Option<Sent>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let streams = streams as f64;
        let (cpu_ms_per_stream, posts_cpu_ms_per_turn) = (cpu_ms / streams, posts_cpu_ms / streams);
        Self { cpu_ms_per_stream, posts_cpu_ms_per_turn, cores: cpu_ms / ms(elapsed), longest }
    }
}

impl Sample {
    /// From the readings of all streams of a case, and the CPU time of the streams and of the POSTs before them.
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
            database: None,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first_token_p50_ms, gap_p95_ms, cpu_ms_per_stream, .. } = self;
        write!(
            f,
            "first token {first_token_p50_ms:7.1} ms, gap {gap_p95_ms:6.1} ms, CPU {cpu_ms_per_stream:6.2} ms a stream"
        )?;
        match &self.database {
            Some(database) => write!(f, " and PostgreSQL's {:.2} ms", database.cpu_ms_per_stream),
            None => Ok(()),
        }
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

    /// As [`Self::median`], for the database; `None` without one.
    fn database_median(&self, field: impl Fn(&DatabaseSample) -> f64) -> Option<f64> {
        let values: Vec<f64> = self.samples.iter().filter_map(|sample| sample.database.as_ref()).map(field).collect();
        (!values.is_empty()).then(|| quantile(&values, 50))
    }

    /// The longest statement of all repetitions.
    fn longest_statement(&self) -> Option<&Sent> {
        let longest = self.samples.iter().filter_map(|sample| sample.database.as_ref()?.longest.as_ref());
        longest.max_by_key(|sent| sent.longest_us)
    }

    /// The pause between its tokens.
    fn pace(&self) -> String {
        if self.case.delay_ms == 0 { "at once".to_owned() } else { format!("{} ms apart", self.case.delay_ms) }
    }

    /// The smallest of all repetitions: in later ones a process still holds the memory of a larger case.
    fn smallest_peak_mib(&self) -> f64 {
        self.samples.iter().map(|sample| sample.peak_mib).fold(f64::INFINITY, f64::min)
    }
}

/// How often a second one kind of request was served by one subject.
#[derive(Serialize)]
pub(crate) struct Rate {
    pub(crate) what: String,
    pub(crate) through: &'static str,
    pub(crate) per_second: Vec<f64>,
    pub(crate) cpu_us: Vec<f64>,
    /// CPU time of a database in separate processes; empty without one.
    pub(crate) database_cpu_us: Vec<f64>,
}

/// All results, and the machine and versions they are from.
#[derive(Serialize)]
pub(crate) struct Report {
    taken_at: String,
    command: String,
    machine: String,
    versions: String,
    streams: Vec<Streams>,
    rates: Vec<Rate>,
    /// The statements PostgreSQL got for one turn.
    pub(crate) turn: Vec<Sent>,
    /// Measurements that were not possible, a sentence each.
    pub(crate) left_out: Vec<&'static str>,
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
            turn: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Adds the version of something that is not in the lock file.
    pub(crate) fn add_version(&mut self, name: &str, version: &str) {
        self.versions.push_str(&format!(", {name} {version}"));
    }

    pub(crate) fn add_streams(&mut self, more: Streams) {
        match self.streams.iter_mut().find(|known| known.case == more.case && known.through == more.through) {
            Some(known) => known.samples.extend(more.samples),
            None => self.streams.push(more),
        }
    }

    pub(crate) fn add_rate(&mut self, more: Rate) {
        match self.rates.iter_mut().find(|known| known.what == more.what && known.through == more.through) {
            Some(known) => {
                known.per_second.extend(more.per_second);
                known.cpu_us.extend(more.cpu_us);
                known.database_cpu_us.extend(more.database_cpu_us);
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
            let (streams, pace) = (row.case.streams, row.pace());
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
            let cpu = row.database_median(|database| database.cpu_ms_per_stream);
            let posts = row.database_median(|database| database.posts_cpu_ms_per_turn);
            if let (Some(cpu), Some(posts)) = (cpu, posts) {
                let none = "– | – | – | – | –";
                writeln!(f, "| {streams} | {pace} | PostgreSQL itself | {none} | {cpu:.2} ms | {posts:.2} ms | – |")?;
            }
        }
        Ok(())
    }

    fn write_stores(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| PostgreSQL / SQLite | CPU a stream | with PostgreSQL's own | CPU of the POSTs | first token, median | largest gap, p95 |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for row in self.streams.iter().filter(|row| row.through == APP_ON_POSTGRES) {
            let Some(sqlite) = self.of(row.case, APP) else { continue };
            let ratio = |field: fn(&Sample) -> f64| times(row.median(field), sqlite.median(field));
            let both = row.median(|sample| {
                sample.cpu_ms_per_stream + sample.database.as_ref().map_or(0.0, |database| database.cpu_ms_per_stream)
            });
            writeln!(
                f,
                "| {} streams, {} | {} | {} | {} | {} | {} |",
                row.case.streams,
                row.pace(),
                ratio(|sample| sample.cpu_ms_per_stream),
                times(both, sqlite.median(|sample| sample.cpu_ms_per_stream)),
                ratio(|sample| sample.posts_cpu_ms_per_turn.unwrap_or_default()),
                ratio(|sample| sample.first_token_p50_ms),
                ratio(|sample| sample.gap_p95_ms),
            )?;
        }
        Ok(())
    }

    fn write_load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| streams at once on PostgreSQL | tokens | cores it kept busy | longest statement | which |")?;
        writeln!(f, "| ---: | --- | ---: | ---: | --- |")?;
        for row in &self.streams {
            let (Some(cores), Some(longest)) =
                (row.database_median(|database| database.cores), row.longest_statement())
            else {
                continue;
            };
            let (streams, pace, longest_ms) = (row.case.streams, row.pace(), mean_ms(longest.longest_us, 1));
            writeln!(f, "| {streams} | {pace} | {cores:.2} | {longest_ms:.2} ms | {longest} |")?;
        }
        Ok(())
    }

    fn write_turn(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |reason: Reason| self.turn.iter().filter(move |sent| sent.reason() == reason);
        let count = |reason: Reason| of(reason).map(|sent| sent.times).sum::<i64>();
        writeln!(
            f,
            "One turn of {TOKENS} paced tokens on PostgreSQL is {} statements (at most {STATEMENTS_ASKED_FOR} are asked for) and {} for batches of events:\n",
            count(Reason::Work),
            count(Reason::Batch),
        )?;
        writeln!(f, "| statement | times | mean |")?;
        writeln!(f, "| --- | ---: | ---: |")?;
        for sent in of(Reason::Work).chain(of(Reason::Batch)) {
            writeln!(f, "| {sent} | {} | {:.3} ms |", sent.times, mean_ms(sent.total_us, sent.times))?;
        }
        for (reason, name) in
            [(Reason::NewInstance, "new instances"), (Reason::Pool, "the host's pool cleans connections")]
        {
            let times = of(reason).map(|sent| sent.times).max().unwrap_or_default();
            if times > 0 {
                let mean_ms = mean_ms(of(reason).map(|sent| sent.total_us).sum(), times);
                let statements = of(reason).count();
                writeln!(f, "| *besides: {name}, {statements} statements together* | {times} | {mean_ms:.3} ms |")?;
            }
        }
        Ok(())
    }

    fn write_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| to the relay | CPU a stream | to the relay as a component | first token, median | largest gap, p95 | peak memory |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        let is_compared =
            |row: &&Streams| row.through.starts_with(APP) || row.through == COMPONENT || gateways::is_one(row.through);
        for app in self.streams.iter().filter(is_compared) {
            let (Some(relay), Some(component)) = (self.of(app.case, RELAY), self.of(app.case, COMPONENT)) else {
                continue;
            };
            let ratio = |field: fn(&Sample) -> f64| times(app.median(field), relay.median(field));
            writeln!(
                f,
                "| {}, {} streams, {} ms apart | {} | {} | {} | {} | {} |",
                app.through,
                app.case.streams,
                app.case.delay_ms,
                ratio(|sample| sample.cpu_ms_per_stream),
                times(
                    app.median(|sample| sample.cpu_ms_per_stream),
                    component.median(|sample| sample.cpu_ms_per_stream),
                ),
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
            "| {CONNECTIONS} connections | through | a second | of the native `/health` | CPU each | PostgreSQL's CPU |"
        )?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: | ---: |")?;
        let native =
            self.rates.iter().find(|rate| rate.through == RELAY).map_or(0.0, |rate| quantile(&rate.per_second, 50));
        for Rate { what, through, per_second, cpu_us, database_cpu_us } in &self.rates {
            let (per_second, cpu_us) = (quantile(per_second, 50), quantile(cpu_us, 50));
            let share = times(per_second, native);
            let database = if database_cpu_us.is_empty() {
                "–".to_owned()
            } else {
                format!("{:.0} µs", quantile(database_cpu_us, 50))
            };
            writeln!(f, "| {what} | {through} | {per_second:.0} | {share} | {cpu_us:.0} µs | {database} |")?;
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
        let has = |through| self.streams.iter().any(|row| row.through == through);
        if has(APP) && has(APP_ON_POSTGRES) {
            self.write_stores(f)?;
            writeln!(f)?;
        }
        if has(APP_ON_POSTGRES) {
            self.write_load(f)?;
            writeln!(f)?;
            self.write_turn(f)?;
            writeln!(f)?;
        }
        self.write_rates(f)?;
        for sentence in &self.left_out {
            writeln!(f, "\n{sentence}")?;
        }
        Ok(())
    }
}

fn machine() -> anyhow::Result<String> {
    let cpu = procfs::CpuInfo::current()?;
    let model = cpu.model_name(0).unwrap_or("unknown CPU").to_owned();
    let memory_gib = procfs::Meminfo::current()?.mem_total.div_ceil(1 << 30);
    Ok(format!("{} x {model}, {memory_gib} GiB", cpu.num_cores()))
}

/// Versions of the compiler and the host, as far as they can be found.
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

/// Replaces the report between the marks of `file`.
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

/// The mean of statements' times in milliseconds, from microseconds.
#[expect(clippy::cast_precision_loss, reason = "far below what a double counts exactly")]
fn mean_ms(total_us: i64, times: i64) -> f64 {
    total_us as f64 / times.max(1) as f64 / 1000.0
}

/// The smallest value that is not below `percent` of all: nearest rank. 0 without values.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The ratio of the value to `of`. CPU time below the clock's tick counts as 0 and has no ratio.
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
