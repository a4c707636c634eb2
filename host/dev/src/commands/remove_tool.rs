//! `cargo dev remove-tool`: removes the lines that `new-tool` added to `spin.toml`. It deletes no file, because the tool is somebody's work.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::manifest_edit::without_tool_server;
use crate::repo::Repo;
use crate::tool_servers::FOLDER;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The tool's name, that of its folder
    name: String,
}

pub(crate) fn run(repo: &Repo, Arguments { name }: &Arguments) -> anyhow::Result<ExitCode> {
    let path = repo.path("spin.toml");
    let manifest = std::fs::read_to_string(&path).context("cannot read spin.toml")?;
    let edited = without_tool_server(&manifest, name).context("nothing was changed")?;
    std::fs::write(&path, edited).context("cannot write spin.toml")?;
    println!("taken out of spin.toml: the component mcp-{name}; `tools` neither lists it nor may reach it");
    if repo.path(FOLDER).join(name).exists() {
        println!("{FOLDER}/{name} is still there: delete it if it is no longer wanted");
    }
    // While the folder exists without a package, Cargo needs this line.
    let folder = format!("{FOLDER}/{name}");
    if std::fs::read_to_string(repo.path("Cargo.toml"))
        .is_ok_and(|workspace| workspace.contains(&format!("{folder:?}")))
    {
        println!("Cargo.toml still leaves it out: once it is deleted, take {folder:?} out of `exclude`");
    }
    Ok(ExitCode::SUCCESS)
}
