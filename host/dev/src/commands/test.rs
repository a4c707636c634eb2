//! `cargo dev test`: runs the rings, says how each ended, and closes with one line that counts all test cases.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::rings::counts::{Counts, failures};
use crate::rings::{RINGS, Readiness, Ring};
use crate::step::Step;

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
    let mut total = Counts::default();
    for ring in
        RINGS.iter().filter(|ring| arguments.rings.is_empty() || arguments.rings.iter().any(|name| name == ring.name))
    {
        let began = Instant::now();
        // A ring that cannot be built fails alone: the others still tell something.
        let counts = run_ring(repo, &manifest, ring).unwrap_or_else(|error| {
            eprintln!("error: ring {}: {error:#}", ring.name);
            Counts { failed: 1, ..Counts::default() }
        });
        println!("{}", summary(ring.name, counts, began.elapsed()));
        total += counts;
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_ring(repo: &Repo, manifest: &Manifest, ring: &Ring) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let skipped = Counts { skipped: 1, ..counts };
    if !repo.path(ring.folder).is_dir() {
        println!("ring {} is skipped: there is no folder {}/", ring.name, ring.folder);
        return Ok(skipped);
    }
    if let Readiness::Skip(reason) = (ring.prepare)(repo, manifest)? {
        println!("ring {} is skipped: {reason}", ring.name);
        return Ok(skipped);
    }
    for (index, mut command) in (ring.commands)(repo, manifest).into_iter().enumerate() {
        let step = Step {
            log: &format!("test-{}-{index}", ring.name),
            doing: &format!("testing {}", ring.name),
            done: &format!("tested {}", ring.name),
            remedy: "see what the tests say.",
        };
        let ended = step.attempt(repo, &mut command)?;
        let log = std::fs::read(&ended.log).with_context(|| format!("cannot read {}", ended.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        let mut counted = Counts::of(&log);
        if !ended.success {
            // What did not compile, or does not type-check, has no case that could fail.
            counted.failed = counted.failed.max(1);
            eprintln!("\n{}\n\nThe whole log: {}\n", failures(&log).join("\n"), ended.log.display());
        }
        counts += counted;
    }
    Ok(counts)
}

fn summary(name: &str, counts: Counts, elapsed: Duration) -> String {
    let Counts { passed, failed, skipped } = counts;
    let seconds = elapsed.as_secs_f32();
    // Not in the form of the closing line, which counts all rings together.
    format!("ring {name:12} passed {passed:4}   failed {failed:3}   skipped {skipped:3}   {seconds:6.1} s")
}
