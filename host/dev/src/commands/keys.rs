//! `cargo dev keys`: lists the keys of an installation and rotates them and people's data keys, in its database, while it runs.

use std::process::ExitCode;

use crate::database::{self, Database};
use crate::host::become_program;
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
    /// `list`, `rotate` with `--purpose` and `--revoke`, or `rotate-data` with `--person`; `rotate --help` and `rotate-data --help` say more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut program = database::command(repo, &arguments.database, "keys")?;
    program.args(&arguments.command);
    become_program(program)
}
