//! `cargo dev migrate`: has the host apply the migrations, without building or serving the app.

use std::process::ExitCode;

use crate::artifacts;
use crate::environment::Environment;
use crate::host::{Host, State, become_program};
use crate::manifest::Manifest;
use crate::repo::Repo;

/// Where the database is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    state: State,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(repo)?;
    let environment = Environment::read(repo)?;
    let built = artifacts::lock(repo)?;
    artifacts::host(repo)?;
    drop(built);
    let host = Host { repo, manifest: &manifest, state: &arguments.state, environment };
    become_program(host.command("migrate")?)
}
