//! `cargo dev import-db`: copies a file into an empty database, all or nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::database::{self, Database};
use crate::host::{absolute, become_program};
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
    /// The file that `cargo dev export-db` wrote
    file: PathBuf,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut import = database::command(repo, &arguments.database, "import")?;
    import.arg(absolute(&arguments.file)?);
    become_program(import)
}
