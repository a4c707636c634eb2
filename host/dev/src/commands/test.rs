//! `cargo dev test`: runs the rings, prints the result of each, and ends with what failed and one line that counts all test cases.

use std::num::NonZero;
use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::rings::counts::{Counts, failures, in_brief};
use crate::rings::{Part, RINGS, Readiness, Ring};
use crate::step::{Step, aside};

/// How the system and SQLite say that a disk is full. A test that fails of it says nothing about what it tests.
const DISK_FULL: [&str; 2] = ["No space left on device", "database or disk is full"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rings to run; all if none is named
    #[arg(value_name = "RING")]
    rings: Vec<String>,
    /// List the rings
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.list {
        for ring in &RINGS {
            println!("{:12} {}", ring.name, ring.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = arguments.rings.iter().find(|name| RINGS.iter().all(|ring| ring.name != *name)) {
        bail!("there is no ring `{unknown}`: `cargo dev test --list` names them");
    }
    let manifest = Manifest::read(repo)?;
    let is_meant = |ring: &&Ring| arguments.rings.is_empty() || arguments.rings.iter().any(|name| name == ring.name);
    let rings: Vec<Chosen> = RINGS.iter().filter(is_meant).map(Chosen::new).collect();
    let total = std::thread::scope(|scope| {
        // Downloads for later rings run while earlier ones compile.
        scope.spawn(|| {
            for chosen in &rings {
                chosen.fetch(repo);
            }
        });
        run_rings(repo, &manifest, &rings)
    });
    let Outcome { counts: total, failed } = total;
    // Pages of progress may have followed, and whoever reads a report may see its end alone.
    for failed in failed {
        println!("\n{failed}");
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of a part, a ring, or all of them.
#[derive(Default)]
struct Outcome {
    counts: Counts,
    /// What failed, in brief.
    failed: Vec<String>,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.counts += other.counts;
        self.failed.extend(other.failed);
    }
}

/// A ring that will be run.
struct Chosen {
    ring: &'static Ring,
    fetched: OnceLock<anyhow::Result<Readiness>>,
}

impl Chosen {
    fn new(ring: &'static Ring) -> Self {
        Self { ring, fetched: OnceLock::new() }
    }

    /// Fetches what the ring needs, once. A second caller waits for the first.
    fn fetch(&self, repo: &Repo) -> &anyhow::Result<Readiness> {
        self.fetched.get_or_init(|| {
            let folder = self.ring.folder;
            if !repo.path(folder).is_dir() {
                return Ok(Readiness::Skip(format!("there is no folder {folder}/")));
            }
            (self.ring.fetch)(repo)
        })
    }
}

/// Runs neighbouring rings together if they allow it, and the others one after the other.
fn run_rings(repo: &Repo, manifest: &Manifest, rings: &[Chosen]) -> Outcome {
    let mut total = Outcome::default();
    for neighbours in rings.chunk_by(|one, next| one.ring.at_once && next.ring.at_once) {
        total += run_neighbours(repo, manifest, neighbours);
    }
    total
}

fn run_neighbours(repo: &Repo, manifest: &Manifest, rings: &[Chosen]) -> Outcome {
    let (ready, parts): (Vec<_>, Vec<_>) = rings.iter().map(|chosen| make_ready(repo, manifest, chosen)).unzip();
    let parts = ready.iter().zip(parts).flat_map(|(ring, parts)| parts.into_iter().map(move |part| (ring, part)));
    let at_once = rings.iter().any(|chosen| chosen.ring.at_once);
    let at_once = if at_once { std::thread::available_parallelism().map_or(1, NonZero::get) } else { 1 };
    let (measuring, others): (Vec<_>, Vec<_>) = parts.partition(|(_, part)| part.measures);
    run_parts(repo, others, at_once);
    run_parts(repo, measuring, 1);
    let mut total = Outcome::default();
    for ring in ready {
        total += ring.outcome();
    }
    total
}

fn run_parts(repo: &Repo, parts: Vec<(&Running, Part)>, at_once: usize) {
    let waiting = Mutex::new(parts.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((ring, part)) = next() {
                    ring.run(repo, part);
                }
            });
        }
    });
}

/// A ring and its parts. If it cannot be prepared, it counts as failed, and the other rings still run.
fn make_ready(repo: &Repo, manifest: &Manifest, chosen: &Chosen) -> (Running, Vec<Part>) {
    let (ring, began) = (chosen.ring, Instant::now());
    let (outcome, parts) = prepare(repo, manifest, chosen).unwrap_or_else(|error| (failed(ring, &error), Vec::new()));
    (Running::new(ring, outcome, parts.len(), began.elapsed()), parts)
}

fn failed(ring: &Ring, error: &anyhow::Error) -> Outcome {
    let failed = format!("error: ring {}: {error:#}", ring.name);
    aside(|| eprintln!("{failed}"));
    Outcome { counts: Counts { failed: 1, ..Counts::default() }, failed: vec![failed] }
}

/// The parts of a ring; without parts, the counts say why it is skipped.
fn prepare(repo: &Repo, manifest: &Manifest, chosen: &Chosen) -> anyhow::Result<(Outcome, Vec<Part>)> {
    let ring = chosen.ring;
    match chosen.fetch(repo) {
        Ok(Readiness::Ready) => {}
        Ok(Readiness::Skip(reason)) => {
            aside(|| println!("ring {} is skipped: {reason}", ring.name));
            let counts = Counts { skipped: 1, ..Counts::default() };
            return Ok((Outcome { counts, ..Outcome::default() }, Vec::new()));
        }
        Err(error) => bail!("{error:#}"),
    }
    let parts = (ring.parts)(repo, manifest)?;
    ensure!(!parts.is_empty(), "nothing is in it: look at the names in host/dev/src/test_programs.rs");
    Ok((Outcome::default(), parts))
}

/// A ring and the results of its ended parts.
struct Running {
    ring: &'static Ring,
    so_far: Mutex<SoFar>,
}

struct SoFar {
    outcome: Outcome,
    /// The parts that have not ended.
    left: usize,
    /// The time of all its work, some of which may have run at the same time.
    elapsed: Duration,
}

impl Running {
    fn new(ring: &'static Ring, outcome: Outcome, left: usize, elapsed: Duration) -> Self {
        let counts = outcome.counts;
        let ring = Self { ring, so_far: Mutex::new(SoFar { outcome, left, elapsed }) };
        if left == 0 {
            ring.tell(counts, elapsed);
        }
        ring
    }

    fn run(&self, repo: &Repo, part: Part) {
        let began = Instant::now();
        let outcome = run_part(repo, self.ring, part).unwrap_or_else(|error| failed(self.ring, &error));
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.outcome += outcome;
        so_far.left -= 1;
        so_far.elapsed += began.elapsed();
        if so_far.left == 0 {
            self.tell(so_far.outcome.counts, so_far.elapsed);
        }
    }

    fn tell(&self, counts: Counts, elapsed: Duration) {
        aside(|| println!("{}", summary(self.ring.name, counts, elapsed)));
    }

    fn outcome(self) -> Outcome {
        self.so_far.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }
}

fn run_part(repo: &Repo, ring: &Ring, mut part: Part) -> anyhow::Result<Outcome> {
    let name = format!("{} {}", ring.name, part.name);
    let step = Step {
        log: &format!("test-{}-{}", ring.name, part.name),
        doing: &format!("testing {name}"),
        done: &format!("tested {name}"),
        remedy: "see what the tests say.",
    };
    let ended = step.attempt(repo, &mut part.command)?;
    let log = std::fs::read(&ended.log).with_context(|| format!("cannot read {}", ended.log.display()))?;
    let log = String::from_utf8_lossy(&log);
    let mut outcome = Outcome { counts: Counts::of(&log), ..Outcome::default() };
    if !ended.status.success() {
        // A part that did not compile, did not type-check or died has no failed case.
        outcome.counts.failed = outcome.counts.failed.max(1);
        let again = part.again.unwrap_or_else(|| format!("cargo dev test {}", ring.name));
        let full = if DISK_FULL.iter().any(|said| log.contains(said)) {
            "The disk was full: `cargo dev doctor`\n"
        } else {
            ""
        };
        let (failures, status, log) = (failures(&log), ended.status, ended.log.display());
        outcome.failed.push(format!("{name} failed:\n{}\n{full}Once more: {again}", in_brief(&failures).join("\n")));
        let failures = failures.join("\n");
        aside(|| eprintln!("\n{failures}\n\n{name} ended with {status}. The whole log: {log}\nOnce more: {again}\n"));
    }
    Ok(outcome)
}

fn summary(name: &str, counts: Counts, elapsed: Duration) -> String {
    let Counts { passed, failed, skipped } = counts;
    let seconds = elapsed.as_secs_f32();
    // Different from the closing line, which counts all rings together.
    format!("ring {name:12} passed {passed:4}   failed {failed:3}   skipped {skipped:3}   {seconds:6.1} s")
}
