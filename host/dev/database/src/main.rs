//! `database`: migrates a database to the schema of this build, exports a database to a file, imports such a file, checks its audit log, and rotates the
//! keys in it. `cargo dev migrate`, `export-db`, `import-db`, `audit verify` and `keys` run this program.
//!
//! Must not print a database's content or password.

mod copy;
mod export;
mod file;
mod import;
mod keys;
mod master_key;
mod place;
mod progress;
mod schema;
mod session;
mod verify_audit;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::place::Place;

/// Migrates a database, and copies one to a file and back.
#[derive(Parser)]
#[command(name = "database", version)]
struct Arguments {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    command: Command,
}

/// Which database.
#[derive(Args)]
struct Database {
    /// Folder of the SQLite database; `.spin` unless an address is given
    #[arg(long, value_name = "FOLDER", global = true)]
    state_dir: Option<PathBuf>,
    /// Address of a PostgreSQL database; not a flag, since a command line is there for every process to read
    #[arg(skip = std::env::var("SPIN_VARIABLE_DATABASE_URL").ok())]
    url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the database to the schema of this build
    Migrate,
    /// Copy everything to a new file, which only you can read: it holds private keys
    Export {
        /// The file to make
        file: PathBuf,
    },
    /// List the keys, or rotate those of a purpose
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Copy everything from a file into an empty database
    Import {
        /// What `export` made
        file: PathBuf,
    },
    /// Check whether somebody tampered with the audit log
    VerifyAudit(verify_audit::Arguments),
    /// Say the head of the audit log, for a later check
    AuditHead,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::new(arguments.database.state_dir, arguments.database.url)?;
    match arguments.command {
        Command::Migrate => {
            let applied = place.migrate().await?;
            if applied.is_empty() {
                println!("{place} is up to date");
            }
            for name in applied {
                println!("applied {name} to {place}");
            }
            Ok(())
        }
        Command::Keys { command } => keys::run(&place, &command).await,
        Command::Export { file } => export::run(&place, &file).await,
        Command::Import { file } => import::run(&place, &file).await,
        Command::VerifyAudit(arguments) => verify_audit::run(&place, &arguments).await,
        Command::AuditHead => verify_audit::say_head(&place).await,
    }
}
