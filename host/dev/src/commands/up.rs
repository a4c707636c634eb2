//! `cargo dev up`: builds what is stale, then replaces itself with the host that serves the app, or watches it.

use std::net::{TcpListener, ToSocketAddrs as _};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use crate::artifacts::{self, Profile};
use crate::environment::Environment;
use crate::host::{Host, State, become_program, file_from_here};
use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::tool_servers;
use crate::tools_file::{Composed, ToolsFlag};
use crate::watch;

/// Spin's own options, passed on to the host, and a few of ours.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address to serve on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: String,
    #[command(flatten)]
    state: State,
    /// Run SQL against the database first: SQL, or @FILE
    #[arg(long, value_name = "SQL", conflicts_with = "watch")]
    sqlite: Vec<String>,
    /// Requests that one instance serves in its life
    #[arg(long, value_name = "N")]
    max_instance_reuse_count: Option<String>,
    /// Requests that one instance serves at once
    #[arg(long, value_name = "N")]
    max_instance_concurrent_reuse_count: Option<String>,
    /// How long an idle instance is kept, such as 1s
    #[arg(long, value_name = "TIME")]
    idle_instance_timeout: Option<String>,
    /// Do not show the output of components
    #[arg(long)]
    quiet: bool,
    /// Show only the output of this component, such as mcp-clock; can be given several times. Spin calls it --follow
    #[arg(long, value_name = "COMPONENT", visible_alias = "follow", conflicts_with = "quiet")]
    log: Vec<String>,
    /// Talk to the built-in scripted model even if the environment names a real one
    #[arg(long)]
    model_server: bool,
    /// Build and serve again after each edit
    #[arg(long)]
    watch: bool,
    /// Build the components as they are deployed: faster at their work, and slower to build
    #[arg(long, conflicts_with = "watch")]
    release: bool,
    #[command(flatten)]
    tools: ToolsFlag,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(repo)?;
    free(&arguments.listen)?;
    for problem in tool_servers::problems(repo, &manifest)? {
        eprintln!("warning: {problem}");
    }
    let profile = if arguments.release { Profile::Release } else { Profile::Quick };
    // Checked first, because the build may take minutes.
    let composed = arguments.tools.composed(repo, profile)?;
    if !composed.names.is_empty() {
        eprintln!("with tools that are ready: {}", composed.names.join(", "));
    }
    artifacts::announce_first_build(repo, profile);
    if arguments.watch {
        return watch::run(repo, &arguments.listen, composed.files, |listen| {
            let composed = arguments.tools.composed(repo, profile)?;
            let command = command(repo, arguments, &composed, listen)?;
            Ok(watch::Start { command, files: composed.files })
        });
    }
    let built = artifacts::lock(repo)?;
    artifacts::app_and(repo, &manifest, &[], profile)?;
    drop(built);
    become_program(command(repo, arguments, &composed, &arguments.listen)?)
}

/// The host's command, for a manifest and the current environment.
fn command(repo: &Repo, arguments: &Arguments, composed: &Composed, listen: &str) -> anyhow::Result<Command> {
    let manifest = Manifest::parse(&composed.text)?;
    ::manifest::Manifest::parse(&composed.text).context("spin.toml is not a manifest that the host can serve")?;
    let mut environment = Environment::read(repo)?;
    if arguments.model_server {
        environment.forget_the_model();
    } else {
        environment.map_short_names();
    }
    let host = Host { repo, manifest: &manifest, state: &arguments.state, environment };
    let scripted = arguments.model_server || !host.names_a_model();
    let mut host = host.command("up")?;
    if arguments.release && composed.names.is_empty() {
        host.args(["--from", "spin.toml"]);
    } else {
        let file = repo.own("up.toml");
        std::fs::write(&file, &composed.text).with_context(|| format!("cannot write {}", file.display()))?;
        host.arg("--from").arg(file).arg("--root").arg(repo.path(""));
    }
    host.args(["--listen", listen]);
    for sql in &arguments.sqlite {
        host.args(["--sqlite", &file_from_here(sql)?]);
    }
    let limits = [
        ("--max-instance-reuse-count", &arguments.max_instance_reuse_count),
        ("--max-instance-concurrent-reuse-count", &arguments.max_instance_concurrent_reuse_count),
        ("--idle-instance-timeout", &arguments.idle_instance_timeout),
    ];
    for (flag, value) in limits {
        if let Some(value) = value {
            host.args([flag, value]);
        }
    }
    if arguments.quiet {
        host.arg("--quiet");
    }
    for component in &arguments.log {
        host.args(["--follow", component]);
    }
    if scripted {
        host.arg("--model-server");
    }
    Ok(host)
}

/// Checks that the address is free before a build that may take minutes.
fn free(address: &str) -> anyhow::Result<()> {
    let addresses: Vec<_> = address
        .to_socket_addrs()
        .with_context(|| format!("--listen: `{address}` is not an address and port, such as 127.0.0.1:3000"))?
        .collect();
    if let Err(error) = TcpListener::bind(addresses.as_slice()) {
        bail!(
            "cannot serve on {address}: {error}. End what serves there, or choose another address: `--listen 127.0.0.1:0` takes a free \
             port"
        );
    }
    Ok(())
}
