//! `cargo dev`: builds what is stale, serves the app, tests it and lists missing requirements of a machine.
//!
//! Everything that is needed for serving is in other programs, which this one builds and starts, so that it compiles in seconds. Each command has one
//! file in `commands/`.

mod artifacts;
mod commands;
mod database;
mod environment;
mod fetched;
mod fixtures;
mod host;
mod javascript;
mod listing;
mod manifest;
mod manifest_edit;
mod mcp;
mod npm;
mod prerequisites;
mod python;
mod repo;
mod rings;
mod serving;
mod step;
mod test_programs;
mod tool_servers;
mod tools_file;
mod trial;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repo::Repo;

/// Builds, serves and tests the app.
#[derive(Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what is stale and serve the app on http://127.0.0.1:3000
    Up(commands::up::Arguments),
    /// Run the tests, all rings or the named ones
    Test(commands::test::Arguments),
    /// Measure how many lines of the pure crates and the components their tests run
    Coverage(commands::coverage::Arguments),
    /// Begin a new tool: a provider that works, and its lines in spin.toml
    NewTool(commands::new_tool::Arguments),
    /// Take a tool's lines out of spin.toml again; its folder stays
    RemoveTool(commands::remove_tool::Arguments),
    /// List the tools of a tool server, or call one, without the app
    Tool(commands::tool::Arguments),
    /// Say whether everything that has to name a tool server does
    CheckTools(commands::check_tools::Arguments),
    /// Write spin.toml with tools in it that are ready, for any host
    Manifest(commands::manifest::Arguments),
    /// Build the app for deployment and write a folder with all that a server needs
    Bundle(commands::bundle::Arguments),
    /// Say what this machine lacks and how to get it
    Doctor,
    /// Serve the scripted model, an OpenAI-compatible server that answers from a script
    Model(commands::model::Arguments),
    /// Measure the app beside a plain native relay, and write docs/benchmarks.md; `--quick` only prints
    #[command(disable_help_flag = true)]
    Bench(commands::bench::Arguments),
    /// Apply the migrations to the database without serving
    Migrate(commands::migrate::Arguments),
    /// Copy a database to a new file, which holds private keys; the app may go on meanwhile
    ExportDb(commands::export_db::Arguments),
    /// Copy such a file into an empty database, and compare; stop the app before
    ImportDb(commands::import_db::Arguments),
    /// List the keys of an installation, or rotate them: `keys rotate`, or people's data keys: `keys rotate-data`, also while it runs
    Keys(commands::keys::Arguments),
    /// Check whether somebody tampered with the audit log of a database
    Audit(commands::audit::Arguments),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let repo = Repo::here()?;
    match command {
        Command::Up(arguments) => commands::up::run(&repo, arguments),
        Command::Test(arguments) => commands::test::run(&repo, arguments),
        Command::Coverage(arguments) => commands::coverage::run(&repo, arguments),
        Command::NewTool(arguments) => commands::new_tool::run(&repo, arguments),
        Command::RemoveTool(arguments) => commands::remove_tool::run(&repo, arguments),
        Command::Tool(arguments) => commands::tool::run(&repo, arguments),
        Command::CheckTools(arguments) => commands::check_tools::run(&repo, arguments),
        Command::Manifest(arguments) => commands::manifest::run(&repo, arguments),
        Command::Bundle(arguments) => commands::bundle::run(&repo, arguments),
        Command::Doctor => commands::doctor::run(&repo),
        Command::Model(arguments) => commands::model::run(&repo, arguments),
        Command::Bench(arguments) => commands::bench::run(&repo, arguments),
        Command::Migrate(arguments) => commands::migrate::run(&repo, arguments),
        Command::ExportDb(arguments) => commands::export_db::run(&repo, arguments),
        Command::ImportDb(arguments) => commands::import_db::run(&repo, arguments),
        Command::Keys(arguments) => commands::keys::run(&repo, arguments),
        Command::Audit(arguments) => commands::audit::run(&repo, arguments),
    }
}
