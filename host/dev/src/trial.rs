//! Tool servers served without the app: no chat, no account, no model, and a state that is gone afterwards.

use anyhow::Context as _;
use tempfile::TempDir;

use crate::environment::Environment;
use crate::host::{Host, State};
use crate::manifest::Manifest;
use crate::mcp::Server;
use crate::repo::Repo;
use crate::serving::Serving;
use crate::step::aside;

/// What shells say of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Ended, with all that it has written, when this is dropped.
pub(crate) struct Trial {
    serving: Serving,
    _state: TempDir,
}

impl Trial {
    /// Serves these tool servers of a manifest, each with what its section allows it. What they print goes to standard error.
    pub(crate) fn start(
        repo: &Repo,
        manifest: &Manifest,
        names: &[&str],
        variables: &[String],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let file = folder.path().join("spin.toml");
        std::fs::write(&file, manifest.of_tool_servers(names)?).context("cannot write a temporary manifest")?;
        let state = State { state_dir: Some(folder.path().to_owned()), variables: variables.to_vec() };
        let host = Host { repo, manifest, state: &state, environment: Environment::read(repo)? };
        let mut command = host.command("up")?;
        command.arg("--from").arg(file).arg("--root").arg(repo.path("")).args(["--listen", "127.0.0.1:0"]);
        let serving = Serving::start(command, |line| {
            // The rest is about routes.
            if line.starts_with('[') {
                aside(|| eprintln!("{line}"));
            }
        })?;
        let (ends, state) = (serving.signal(), folder.path().to_owned());
        ctrlc::set_handler(move || {
            ends();
            // What cannot be removed is the machine's to tidy up.
            let _ = std::fs::remove_dir_all(&state);
            std::process::exit(INTERRUPTED);
        })
        .context("signals cannot be heard")?;
        Ok(Self { serving, _state: folder })
    }

    /// One of them.
    pub(crate) fn server(&self, name: &str) -> Server {
        Server::at(format!("http://{}/{name}/mcp", self.serving.address))
    }
}
