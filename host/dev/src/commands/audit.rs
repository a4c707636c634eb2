//! `cargo dev audit`: checks the audit log of a database, also while the app runs, and says its head.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::database::{self, Database};
use crate::host::{absolute, become_program};
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Find events that were changed, removed, moved or inserted
    Verify(Verify),
    /// Say the head of the record, to be kept where whoever owns the database cannot change it
    Head(Head),
}

#[derive(clap::Args)]
struct Head {
    #[command(flatten)]
    database: Database,
}

#[derive(clap::Args)]
struct Verify {
    #[command(flatten)]
    database: Database,
    /// The head of an earlier check, from the app's log or the page: finds out whether the record's end was cut off
    #[arg(long, value_name = "POSITION:HASH")]
    head: Option<String>,
    /// Public keys that may have signed, as /.well-known/jwks.json has them; those in the database if not given
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Check the record in what `cargo dev export-db` made, and not in a database
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Verify { database, head, jwks, export } = match &arguments.command {
        Command::Verify(verify) => verify,
        Command::Head(Head { database }) => return become_program(database::command(repo, database, "audit-head")?),
    };
    let mut verify = database::command(repo, database, "verify-audit")?;
    if let Some(head) = head {
        verify.arg("--head").arg(head);
    }
    if let Some(jwks) = jwks {
        verify.arg("--jwks").arg(absolute(jwks)?);
    }
    if let Some(export) = export {
        verify.arg("--export").arg(absolute(export)?);
    }
    become_program(verify)
}
