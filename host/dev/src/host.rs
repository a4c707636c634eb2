//! Starts the embedded host. Secrets are passed in the environment, because every process of the machine can read a command line.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, anyhow};

use crate::artifacts;
use crate::environment::Environment;
use crate::manifest::Manifest;
use crate::repo::Repo;

/// The options for configuration and state of every command of the host.
#[derive(clap::Args)]
pub(crate) struct State {
    /// Folder of the databases and logs; `.spin` at the root if not given
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) variables: Variables,
}

/// The manifest's variables that are set on the command line.
#[derive(clap::Args, Clone)]
pub(crate) struct Variables {
    /// Set a variable: NAME=VALUE, or @FILE
    #[arg(long = "variable", visible_alias = "variables", value_name = "NAME=VALUE")]
    pub(crate) given: Vec<String>,
}

/// The parts of the host's command line.
pub(crate) struct Host<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) manifest: &'a Manifest,
    pub(crate) state: &'a State,
    pub(crate) environment: Environment,
}

impl Host<'_> {
    /// `embedded-host <subcommand>` with the options for its state, and the environment.
    pub(crate) fn command(mut self, subcommand: &str) -> anyhow::Result<Command> {
        let mut host = self.repo.command(artifacts::program(self.repo, "embedded-host"));
        host.arg(subcommand);
        if let Some(folder) = &self.state.state_dir {
            host.arg("--state-dir").arg(absolute(folder)?);
        }
        for variable in &self.state.variables.given {
            match variable.split_once('=') {
                Some((name, value)) if self.manifest.is_secret(name) => self.environment.set_variable(name, value),
                _ => {
                    host.args(["--variable", &file_from_here(variable)?]);
                }
            }
        }
        self.environment.give_to(&mut host);
        Ok(host)
    }

    /// Whether a variable or the environment names a model.
    pub(crate) fn names_a_model(&self) -> bool {
        let names = |variable: &String| matches!(variable.split_once('='), Some(("openai_api_key" | "openai_base_url", value)) if !value.is_empty());
        self.environment.names_a_model() || self.state.variables.given.iter().any(names)
    }
}

/// `@FILE` relative to the person's folder; the host itself runs at the root.
pub(crate) fn file_from_here(argument: &str) -> anyhow::Result<String> {
    match argument.strip_prefix('@') {
        Some(file) => Ok(format!("@{}", absolute(Path::new(file))?.display())),
        None => Ok(argument.to_owned()),
    }
}

/// A path relative to the person's folder.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("`{}` is not a path", path.display()))
}

/// Replaces this process, so that signals and the exit code are those of the program.
pub(crate) fn become_program(mut program: Command) -> anyhow::Result<ExitCode> {
    let error = program.exec();
    Err(anyhow!(error).context(format!("cannot start {}", program.get_program().display())))
}
