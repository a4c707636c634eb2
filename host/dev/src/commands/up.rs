//! `cargo dev up`: builds what is stale, then becomes the host that serves the app.

use std::net::{TcpListener, ToSocketAddrs as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::artifacts;
use crate::environment::Environment;
use crate::host::{Host, State, become_program, file_from_here};
use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::tool_servers;

/// Spin's own flags, passed on to the host.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address to serve on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: String,
    #[command(flatten)]
    state: State,
    /// Run SQL against the database first: SQL, or @FILE
    #[arg(long, value_name = "SQL")]
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
    /// Show nothing of what components print
    #[arg(long)]
    quiet: bool,
    /// Talk to the built-in scripted model even if the environment names a real one
    #[arg(long)]
    model_server: bool,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(repo)?;
    free(&arguments.listen)?;
    for problem in tool_servers::problems(repo, &manifest)? {
        eprintln!("warning: {problem}");
    }
    let mut environment = Environment::read(repo)?;
    if arguments.model_server {
        environment.forget_the_model();
    } else {
        environment.map_short_names();
    }
    if !artifacts::program(repo, "embedded-host").exists() {
        eprintln!("Nothing is built yet. That takes up to 13 minutes on two cores, once; later starts take seconds.");
    }
    let built = artifacts::lock(repo)?;
    artifacts::app(repo, &manifest)?;
    drop(built);

    let host = Host { repo, manifest: &manifest, state: &arguments.state, environment };
    let scripted = arguments.model_server || !host.names_a_model();
    let mut host = host.command("up")?;
    host.args(["--from", "spin.toml", "--listen", &arguments.listen]);
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
    if scripted {
        host.arg("--model-server");
    }
    become_program(host)
}

/// Whether the address can be served on: better said now than after minutes of building.
fn free(address: &str) -> anyhow::Result<()> {
    let addresses: Vec<_> = address
        .to_socket_addrs()
        .with_context(|| format!("--listen: `{address}` is no address and port, such as 127.0.0.1:3000"))?
        .collect();
    if let Err(error) = TcpListener::bind(addresses.as_slice()) {
        bail!(
            "cannot serve on {address}: {error}. End what serves there, or choose another address: `--listen 127.0.0.1:0` takes a free \
             port"
        );
    }
    Ok(())
}
