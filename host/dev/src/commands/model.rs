//! `cargo dev model`: serves only the scripted model, for other clients and for trying its options.

use std::process::ExitCode;

use crate::artifacts;
use crate::host::become_program;
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    listen: String,
    /// Answer requests without a key too
    #[arg(long)]
    without_key: bool,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let built = artifacts::lock(repo)?;
    artifacts::model(repo)?;
    drop(built);
    let mut model = repo.command(artifacts::program(repo, "scripted-model"));
    model.args(["--listen", &arguments.listen]);
    if arguments.without_key {
        model.arg("--without-key");
    }
    become_program(model)
}
