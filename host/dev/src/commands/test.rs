//! `cargo dev test`: runs the rings, says how each ended, and closes with one line that counts all test cases.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::rings::counts::{Counts, failures};
use crate::rings::{Part, RINGS, Readiness, Ring};
use crate::step::{Step, aside};

/// Which rings.
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
        // Downloads of later rings come while earlier ones compile.
        scope.spawn(|| {
            for chosen in &rings {
                chosen.fetch(repo);
            }
        });
        run_rings(repo, &manifest, &rings)
    });
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A ring that is to run.
struct Chosen {
    ring: &'static Ring,
    fetched: OnceLock<anyhow::Result<Readiness>>,
}

impl Chosen {
    fn new(ring: &'static Ring) -> Self {
        Self { ring, fetched: OnceLock::new() }
    }

    /// Fetches what the ring needs, once, whoever comes first; the other waits.
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

fn run_rings(repo: &Repo, manifest: &Manifest, rings: &[Chosen]) -> Counts {
    let mut total = Counts::default();
    for chosen in rings {
        let (name, began) = (chosen.ring.name, Instant::now());
        // The others still tell something.
        let counts = run_ring(repo, manifest, chosen).unwrap_or_else(|error| {
            aside(|| eprintln!("error: ring {name}: {error:#}"));
            Counts { failed: 1, ..Counts::default() }
        });
        aside(|| println!("{}", summary(name, counts, began.elapsed())));
        total += counts;
    }
    total
}

fn run_ring(repo: &Repo, manifest: &Manifest, chosen: &Chosen) -> anyhow::Result<Counts> {
    let ring = chosen.ring;
    match chosen.fetch(repo) {
        Ok(Readiness::Ready) => {}
        Ok(Readiness::Skip(reason)) => {
            aside(|| println!("ring {} is skipped: {reason}", ring.name));
            return Ok(Counts { skipped: 1, ..Counts::default() });
        }
        Err(error) => bail!("{error:#}"),
    }
    let parts = (ring.parts)(repo, manifest)?;
    ensure!(!parts.is_empty(), "nothing is in it: look at the names in host/dev/src/test_programs.rs");
    let waiting = Mutex::new(parts.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let at_once = if ring.at_once { std::thread::available_parallelism().map_or(1, NonZero::get) } else { 1 };
    let work = || -> anyhow::Result<Counts> {
        let mut counts = Counts::default();
        while let Some(part) = next() {
            counts += run_part(repo, ring, part)?;
        }
        Ok(counts)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_fold(Counts::default(), |mut counts, worker| {
            let Ok(counted) = worker.join() else { bail!("a thread of ring {} ended", ring.name) };
            counts += counted?;
            Ok(counts)
        })
    })
}

fn run_part(repo: &Repo, ring: &Ring, mut part: Part) -> anyhow::Result<Counts> {
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
    let mut counts = Counts::of(&log);
    if !ended.status.success() {
        // What did not compile, or does not type-check, or died, has no case that failed.
        counts.failed = counts.failed.max(1);
        let again = part.again.unwrap_or_else(|| format!("cargo dev test {}", ring.name));
        let (failures, status, log) = (failures(&log).join("\n"), ended.status, ended.log.display());
        aside(|| eprintln!("\n{failures}\n\n{name} ended with {status}. The whole log: {log}\nOnce more: {again}\n"));
    }
    Ok(counts)
}

fn summary(name: &str, counts: Counts, elapsed: Duration) -> String {
    let Counts { passed, failed, skipped } = counts;
    let seconds = elapsed.as_secs_f32();
    // Not in the form of the closing line, which counts all rings together.
    format!("ring {name:12} passed {passed:4}   failed {failed:3}   skipped {skipped:3}   {seconds:6.1} s")
}
