//! `cargo dev manifest`: writes `spin.toml` with the tools of `tools.toml` in it, for whatever host is to serve them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::host::absolute;
use crate::repo::Repo;
use crate::tools_file::{FILE, composed};

/// From what, and to where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The file of tools that are ready; `tools.toml` beside spin.toml if it is there
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// The manifest to write, beside spin.toml
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(repo: &Repo, Arguments { tools, out }: &Arguments) -> anyhow::Result<ExitCode> {
    let out = absolute(out)?;
    let folder = out.parent().and_then(|folder| folder.canonicalize().ok());
    // Its paths are relative to where it lies, and hosts mount no folder from outside of that.
    ensure!(
        folder.is_some_and(|folder| repo.path("").canonicalize().is_ok_and(|root| root == folder)),
        "--out: {} is not beside spin.toml, where its paths lead to the right files",
        out.display()
    );
    ensure!(
        out.file_name().is_none_or(|name| name != "spin.toml"),
        "--out: spin.toml is what it is made of: choose another name"
    );
    let composed = composed(repo, tools.as_deref())?;
    ensure!(
        !composed.names.is_empty(),
        "there is no tool to add: name the file with --tools, or put {FILE} beside spin.toml"
    );
    let made_of = "# Made by `cargo dev manifest` out of spin.toml and tools.toml: change those.\n";
    std::fs::write(&out, format!("{made_of}{}", composed.text))
        .with_context(|| format!("cannot write {}", out.display()))?;
    println!("wrote {} with {}", out.display(), composed.names.join(", "));
    Ok(ExitCode::SUCCESS)
}
