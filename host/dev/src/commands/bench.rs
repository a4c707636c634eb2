//! `cargo dev bench`: builds the app and the benchmark, then replaces itself with the benchmark.

use std::process::ExitCode;

use crate::artifacts::{self, Profile};
use crate::host::become_program;
use crate::manifest::Manifest;
use crate::repo::Repo;

/// The benchmark's own options, including `--help`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(repo)?;
    let built = artifacts::lock(repo)?;
    artifacts::app_and(repo, &manifest, &["bench-guest"], Profile::Release)?;
    artifacts::bench(repo)?;
    drop(built);
    let mut bench = repo.command(artifacts::program(repo, "bench"));
    bench.arg("run").args(&arguments.options);
    become_program(bench)
}
