//! The benchmark: what the app adds to a model's stream, beside a plain relay that is given the same work, natively and as a component.
//!
//! One run, one machine, everything on loopback and each part in a process of its own, so that its CPU can be told
//! apart. It knows of the app what `docs/api.md` says, and must not reach into it, but for `dataset`, which fills its tables.
//! `cargo dev bench` builds what it takes.

mod app;
mod client;
mod dataset;
mod plan;
mod postgres;
mod process;
mod rate;
mod relay;
mod report;
mod transcript;

use std::io::Write as _;
use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

/// Measures the app.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure and report
    Run(Box<plan::Arguments>),
    /// Serve the scripted model
    #[command(hide = true)]
    Model {
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Serve the native relay
    #[command(hide = true)]
    Relay {
        /// Where the model is
        #[arg(long)]
        model: SocketAddr,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        // Servers are in groups of their own: who stops the benchmark stops them by leaving it.
        Command::Run(arguments) => tokio::select! {
            ended = plan::run(&arguments) => ended,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped"),
        },
        Command::Model { listen } => scripted_model::serve_open(listen_and_tell(listen).await?).await,
        Command::Relay { model } => {
            relay::serve(listen_and_tell(SocketAddr::from(([127, 0, 0, 1], 0))).await?, model).await
        }
    }
}

/// Says the address on standard output, as the host does: [`process::start`] waits for that line.
async fn listen_and_tell(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}{}", process::SERVING, listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}
