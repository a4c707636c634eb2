//! The database that a command uses, and the program that reads and writes it. The address is passed in the environment, because it contains a
//! password, and every process of the machine can read a command line.

use std::path::PathBuf;
use std::process::Command;

use crate::artifacts;
use crate::environment::Environment;
use crate::host::absolute;
use crate::repo::Repo;

/// The variable with the address in the app.
const VARIABLE: &str = "database_url";

/// Either of the two. If neither is given, `SPIN_VARIABLE_DATABASE_URL` says it, also from `.env`, or else it is `.spin`.
#[derive(clap::Args)]
pub(crate) struct Database {
    /// Folder of the SQLite database; `.spin` at the root if nothing is given
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Address of a PostgreSQL database: postgres://USER:PASSWORD@HOST/NAME; SPIN_VARIABLE_DATABASE_URL if not given
    #[arg(long, value_name = "URL", conflicts_with = "state_dir")]
    database_url: Option<String>,
}

/// Builds `database` and returns `database <subcommand>` for this database.
pub(crate) fn command(repo: &Repo, database: &Database, subcommand: &str) -> anyhow::Result<Command> {
    let mut environment = Environment::read(repo)?;
    if let Some(url) = &database.database_url {
        environment.set_variable(VARIABLE, url);
    }
    let built = artifacts::lock(repo)?;
    artifacts::database(repo)?;
    drop(built);
    let mut program = repo.command(artifacts::program(repo, "database"));
    program.arg(subcommand);
    if let Some(folder) = &database.state_dir {
        program.arg("--state-dir").arg(absolute(folder)?);
    }
    environment.give_to(&mut program);
    Ok(program)
}
