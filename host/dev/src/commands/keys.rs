//! `cargo dev keys`: lists the keys of an installation and rotates them, in its database, while it runs.

use std::process::ExitCode;

use crate::database::{self, Database};
use crate::host::become_program;
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
    /// `list`, or `rotate` with `--purpose` and `--revoke`; `rotate --help` says more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut program = database::command(repo, &arguments.database, "keys")?;
    program.args(&arguments.command);
    become_program(program)
}
