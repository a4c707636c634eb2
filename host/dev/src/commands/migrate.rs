//! `cargo dev migrate`: applies the migrations, without building or serving the app.

use std::process::ExitCode;

use crate::database::{self, Database};
use crate::host::become_program;
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    become_program(database::command(repo, &arguments.database, "migrate")?)
}
