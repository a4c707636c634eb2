//! `cargo dev export-db`: copies a database to a file, also while the app runs.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::database::{self, Database};
use crate::host::{absolute, become_program};
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
    /// The file to make, which only you can read: it holds everything that people said, and private keys
    file: PathBuf,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut export = database::command(repo, &arguments.database, "export")?;
    export.arg(absolute(&arguments.file)?);
    become_program(export)
}
