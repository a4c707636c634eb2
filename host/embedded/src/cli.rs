//! The command line: `embedded-host up`.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser};
use manifest::Manifest;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::application::{Application, Options};
use crate::connections::ClientLimits;
use crate::instance::Limits;
use crate::private::make_folder;
use crate::server::serve;
use crate::sqlite::{Connection, DatabaseFile};

/// Serves a Spin application on a machine without Spin. For development: production is Spin.
#[derive(Debug, Parser)]
#[command(name = "embedded-host", version)]
pub enum Command {
    /// Serve the application.
    Up(Up),
}

/// The flags of `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The manifest.
    #[arg(long, short = 'f', default_value = "spin.toml")]
    from: PathBuf,
    /// What the manifest's paths are relative to, where the manifest itself lies elsewhere.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// The address to serve at; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Where databases, key-value stores and logs lie; beside the manifest unless given.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Where compiled components are kept, a folder that only those who are trusted may write into; in `target/` beside the manifest unless
    /// given.
    #[arg(long)]
    cache_dir: Option<PathBuf>,
    /// A variable, `name=value`, or `@file` with a JSON or TOML table of them.
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// SQL to run on the default database before serving, or `@file` with it.
    #[arg(long, value_name = "SQL|@FILE")]
    sqlite: Vec<String>,
    /// Requests in an instance's life.
    #[arg(long, default_value_t = 128)]
    max_instance_reuse_count: usize,
    /// Requests at once in an instance.
    #[arg(long, default_value_t = 16)]
    max_instance_concurrent_reuse_count: usize,
    /// Component instances alive at once. When half of them are at work, further requests wait for as long as a client may be waited for; then they
    /// are answered 503.
    #[arg(long, default_value_t = 1_000)]
    max_instances: u32,
    /// How long an instance without work is kept, for example 1s or 250ms.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    idle_instance_timeout: Duration,
    /// How long a guest may compute without waiting for anything; Spin has no such limit.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    max_cpu_time: Duration,
    /// How long a client may take for the head of a request, or take nothing of an answer; and what it has for a body beside a second for each
    /// 1,024 bytes.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    client_patience: Duration,
    /// Connections at once. For one more the host ends the one that has waited longest for its client.
    #[arg(long, default_value_t = 4_096)]
    max_connections: usize,
    /// Leave Nagle's algorithm on for requests to the outside, as Spin does: what is sent in small pieces then waits for acknowledgements.
    #[arg(long, env = "EMBEDDED_HOST_OUTBOUND_NAGLE", value_parser = clap::builder::BoolishValueParser::new())]
    outbound_nagle: bool,
    /// Keep guests' output off the terminal; it is in the logs all the same.
    #[arg(long)]
    quiet: bool,
    /// Show on the terminal only what this component prints; can be given several times.
    #[arg(long, value_name = "COMPONENT", conflicts_with = "quiet")]
    follow: Vec<String>,
    /// Start the scripted model and point the application at it.
    #[arg(long)]
    model_server: bool,
}

/// Runs a command until it is told to stop.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(up) => up.run().await,
    }
}

impl Up {
    async fn run(self) -> Result<()> {
        let manifest = Manifest::read(&self.from)?;
        if let Some(unknown) = self.follow.iter().find(|id| !manifest.components.contains_key(*id)) {
            let known: Vec<&str> = manifest.components.keys().map(String::as_str).collect();
            bail!("--follow {unknown}: there is no such component; there are {}", known.join(", "));
        }
        let folder = self.root.unwrap_or_else(|| self.from.parent().unwrap_or(Path::new("")).to_owned());
        let mut variables = given_variables(&self.variables)?;
        if self.model_server {
            start_model(&manifest, &mut variables).await?;
        }
        // Bind before compiling, so that a user who waited for it does not learn only then that the port is taken.
        let listener = TcpListener::bind(self.listen).await.with_context(|| {
            format!("cannot listen on {}: another program has it; give another with --listen", self.listen)
        })?;
        let address = listener.local_addr()?;
        let options = Options {
            manifest_folder: folder.clone(),
            state_folder: self.state_dir.unwrap_or_else(|| folder.join(".spin")),
            cache_folder: self.cache_dir.unwrap_or_else(|| folder.join("target/embedded-host")),
            variables,
            limits: Limits {
                max_requests: self.max_instance_reuse_count.max(1),
                max_concurrent: self.max_instance_concurrent_reuse_count.max(1),
                idle_timeout: self.idle_instance_timeout,
                cpu_time: self.max_cpu_time,
            },
            max_instances: self.max_instances.max(2),
            patience: self.client_patience,
            outbound_nagle: self.outbound_nagle,
            quiet: self.quiet,
            followed: self.follow,
        };
        let limits = ClientLimits { connections: self.max_connections.max(1), patience: self.client_patience };
        run_sql(&options.state_folder, &self.sqlite)?;
        let name = manifest.application.name.clone();
        let application = tokio::task::spawn_blocking(move || Application::load(&manifest, &options)).await??;
        application.set_address(address);
        announce(&name, address, &application);
        serve(listener, Arc::new(application), limits, stop_signal()?).await;
        Ok(())
    }
}

fn announce(name: &str, address: SocketAddr, application: &Application) {
    let mut out = std::io::stdout().lock();
    let mut told = format!("{name} on the embedded host, for development only: production is Spin\n");
    told += &format!("\nServing http://{address}\nAvailable Routes:\n");
    for (route, id) in application.routes() {
        told += &match route.strip_suffix("/...") {
            Some(prefix) => format!("  {id}: http://{address}{prefix} (wildcard)\n"),
            None => format!("  {id}: http://{address}{route}\n"),
        };
    }
    let _ = out.write_all(told.as_bytes()).and_then(|()| out.flush());
}

/// Completes at the first interrupt or termination; the second ends the process.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ =
            writeln!(std::io::stderr(), "Stopping after running requests have ended; a second signal stops at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}

fn given_variables(given: &[String]) -> Result<HashMap<String, String>> {
    let mut variables = HashMap::new();
    for entry in given {
        if let Some(file) = entry.strip_prefix('@') {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read --variable @{file}"))?;
            let table: HashMap<String, String> = if file.ends_with(".json") {
                serde_json::from_str(&text).with_context(|| format!("{file} is not a JSON object of strings"))?
            } else {
                toml::from_str(&text).with_context(|| format!("{file} is not a TOML table of strings"))?
            };
            variables.extend(table);
        } else {
            let Some((name, value)) = entry.split_once('=') else {
                bail!("--variable {entry:?} is neither name=value nor @file");
            };
            // `name=@file` is the file's content, as in Spin.
            let value = match value.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?,
                None => value.to_owned(),
            };
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// Starts the scripted model on a free loopback port and sets the variables that lead to it, unless they are given.
async fn start_model(manifest: &Manifest, variables: &mut HashMap<String, String>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen for the scripted model")?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        if let Err(error) = scripted_model::serve(listener).await {
            let _ = writeln!(std::io::stderr(), "The scripted model ended: {error:#}");
        }
    });
    let base_url = format!("http://{address}/v1");
    let _ = writeln!(std::io::stderr(), "The scripted model answers at {base_url}");
    let model = [
        ("openai_base_url", base_url.as_str()),
        ("openai_api_key", "scripted"),
        ("openai_model", "scripted"),
        ("openai_models", "scripted*"),
    ];
    for (name, value) in model {
        if manifest.variables.contains_key(name) {
            variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    Ok(())
}

fn run_sql(state_folder: &Path, statements: &[String]) -> Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    make_folder(state_folder).with_context(|| format!("cannot make the folder {}", state_folder.display()))?;
    let database = Connection::open(&Arc::new(DatabaseFile::new(state_folder)))?;
    for entry in statements {
        let sql = match entry.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read --sqlite @{file}"))?,
            None => entry.clone(),
        };
        database.execute_batch(&sql).with_context(|| format!("in --sqlite {entry:?}"))?;
    }
    Ok(())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| format!("{text:?} has no number: write for example 1s"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("{text:?} has no unit: write ms, s or m")),
    }
}
