//! `cargo dev check-tools`: whether everything that has to name a tool server does, and with `--built` what is wrong with the tools that they
//! list. Changes and builds nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::artifacts;
use crate::listing::{self, Tool};
use crate::manifest::{Manifest, TOOL_SERVER};
use crate::repo::Repo;
use crate::tool_servers;
use crate::tools_file::composed;
use crate::trial::Trial;

/// What is to be looked at.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ask those that are built what they have, and look at their schemas, names and secrets
    #[arg(long)]
    built: bool,
    /// The file of tools that are ready; `tools.toml` beside spin.toml if it is there
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut problems = tool_servers::problems(repo, &Manifest::read(repo)?)?;
    let manifest = Manifest::parse(&composed(repo, arguments.tools.as_deref())?.text)?;
    let mut looked_at = 0;
    if arguments.built {
        let is_there = |name: &&str| {
            let files = manifest.files_of(&format!("{TOOL_SERVER}{name}"));
            files.iter().all(|file| repo.path(file).exists())
        };
        let (built, not): (Vec<&str>, Vec<&str>) = manifest.tool_servers().into_iter().partition(is_there);
        if !not.is_empty() {
            println!("not built, so their tools were not looked at: {}. `cargo dev up` builds them", not.join(", "));
        }
        if !built.is_empty() && artifacts::program(repo, "embedded-host").exists() {
            looked_at = built.len();
            problems.extend(described(repo, &manifest, &built)?);
        }
    }
    for problem in &problems {
        println!("- {problem}");
    }
    if problems.is_empty() {
        println!("All tool servers are named where they have to be.");
        if looked_at > 0 {
            println!("Nothing is wrong with the tools of {looked_at} of them.");
        }
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// What is wrong with the tools that these list.
fn described(repo: &Repo, manifest: &Manifest, names: &[&str]) -> anyhow::Result<Vec<String>> {
    let trial = Trial::start(repo, manifest, names, &[]).context("the tool servers cannot be asked")?;
    let mut problems = Vec::new();
    for name in names {
        match trial.server(name).tools() {
            Ok(tools) => {
                let tools: Vec<Tool> = tools.into_iter().map(Tool::new).collect();
                problems.extend(listing::problems(name, &tools));
            }
            Err(error) => problems.push(format!("{TOOL_SERVER}{name} does not say what it has: {error:#}")),
        }
    }
    Ok(problems)
}
