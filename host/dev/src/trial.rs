//! Serves tool servers without the app: no chat, no account, no model, and a temporary state.

use anyhow::Context as _;
use tempfile::TempDir;

use crate::environment::Environment;
use crate::host::{Host, State, Variables};
use crate::manifest::Manifest;
use crate::mcp::Server;
use crate::repo::Repo;
use crate::serving::{INTERRUPTED, Serving, Supervisor};
use crate::step::aside;

/// The running tool servers. Dropping this ends them and deletes their state.
pub(crate) struct Trial {
    serving: Serving,
    _state: TempDir,
}

impl Trial {
    /// Serves these tool servers of a manifest, each with the permissions of its section. Their output goes to standard error.
    pub(crate) fn start(
        repo: &Repo,
        manifest: &Manifest,
        names: &[&str],
        variables: &Variables,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let supervisor = Supervisor::default();
        let state = folder.path().to_owned();
        supervisor.hear_signals(INTERRUPTED, move || {
            // If the folder cannot be removed, the machine will clean up its temporary folders.
            let _ = std::fs::remove_dir_all(&state);
        })?;
        let file = folder.path().join("spin.toml");
        std::fs::write(&file, manifest.of_tool_servers(names)?).context("cannot write a temporary manifest")?;
        let state = State { state_dir: Some(folder.path().to_owned()), variables: variables.clone() };
        let host = Host { repo, manifest, state: &state, environment: Environment::read(repo)? };
        let mut command = host.command("up")?;
        command.arg("--from").arg(file).arg("--root").arg(repo.path("")).args(["--listen", "127.0.0.1:0"]);
        let told = |line: &str| {
            // The other lines are about routes.
            if line.starts_with('[') {
                aside(|| eprintln!("{line}"));
            }
        };
        let serving = supervisor.start(command, told, |_| {})?;
        Ok(Self { serving, _state: folder })
    }

    /// A client for one of the servers.
    pub(crate) fn server(&self, name: &str) -> Server {
        Server::at(format!("http://{}/{name}/mcp", self.serving.address))
    }
}
