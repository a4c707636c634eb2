//! `cargo dev check-tools`: whether everything that has to name a tool server does. Changes nothing.

use std::process::ExitCode;

use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::tool_servers;

pub(crate) fn run(repo: &Repo) -> anyhow::Result<ExitCode> {
    let problems = tool_servers::problems(repo, &Manifest::read(repo)?)?;
    for problem in &problems {
        println!("- {problem}");
    }
    if problems.is_empty() {
        println!("All tool servers are named where they have to be.");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
