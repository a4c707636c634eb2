//! `cargo dev check-tools`: checks that all places name the same tool servers, and with `--built` the tools that they list. It builds nothing. Tools
//! that `tools.toml` names by an address are fetched if they are missing.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::artifacts::{self, Profile};
use crate::host::Variables;
use crate::listing::{self, ServedTool};
use crate::manifest::{Manifest, TOOL_SERVER};
use crate::repo::Repo;
use crate::tool_servers;
use crate::tools_file::ToolsFlag;
use crate::trial::Trial;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also ask the tool servers that are built for their tools, and check schemas, names and secrets
    #[arg(long)]
    built: bool,
    #[command(flatten)]
    tools: ToolsFlag,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut problems = tool_servers::problems(repo, &Manifest::read(repo)?)?;
    let mut asked = 0;
    // A fault here must not hide the problems above.
    match arguments.tools.composed(repo, Profile::Quick).and_then(|composed| Manifest::parse(&composed.text)) {
        Ok(manifest) if arguments.built => {
            let built = built(repo, &manifest);
            asked = built.len();
            if asked > 0 {
                let found = described(repo, &manifest, &built).unwrap_or_else(|error| vec![format!("{error:#}")]);
                if !found.is_empty() {
                    println!(
                        "The last build was checked. `cargo dev tool list` builds changed tools first, and then checks them."
                    );
                }
                problems.extend(found);
            }
        }
        Ok(_) => {}
        Err(error) => problems.push(format!("{error:#}")),
    }
    for problem in &problems {
        println!("- {problem}");
    }
    if problems.is_empty() {
        println!("All tool servers are named where they have to be.");
        if asked > 0 {
            println!("Nothing is wrong with the tools of {asked} of them.");
        }
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// The tool servers that are built. Prints the names of the others.
fn built<'a>(repo: &Repo, manifest: &'a Manifest) -> Vec<&'a str> {
    let has_host = artifacts::program(repo, "embedded-host").exists();
    let is_built = |name: &&str| {
        has_host && manifest.files_of(&format!("{TOOL_SERVER}{name}")).iter().all(|file| repo.path(file).exists())
    };
    let (built, not_built): (Vec<&str>, Vec<&str>) = manifest.tool_servers().into_iter().partition(is_built);
    if !not_built.is_empty() {
        let what = if has_host { "they are not built" } else { "the host is not built" };
        println!(
            "The tools of these were not checked, because {what}: {}. `cargo dev up` builds them",
            not_built.join(", ")
        );
    }
    built
}

/// The faults in the tools that these servers list.
fn described(repo: &Repo, manifest: &Manifest, names: &[&str]) -> anyhow::Result<Vec<String>> {
    let none = Variables { given: Vec::new() };
    let trial = Trial::start(repo, manifest, names, &none).context("the tool servers cannot be asked")?;
    let mut problems = Vec::new();
    for name in names {
        match trial.server(name).tools() {
            Ok(tools) => {
                let tools: Vec<ServedTool> = tools.into_iter().map(ServedTool::new).collect();
                problems.extend(listing::problems(name, &tools));
            }
            Err(error) => problems.push(format!("{TOOL_SERVER}{name} does not list its tools: {error:#}")),
        }
    }
    Ok(problems)
}
