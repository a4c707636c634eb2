//! The benchmark: the app's cost on top of a model's stream, compared with a plain relay, natively and as a component, for the same work.
//!
//! One run uses one machine and only loopback. Each part is a separate process, so that its CPU can be measured. The benchmark uses only what
//! `docs/api.md` describes; the exception is `dataset`, which fills the app's tables. `cargo dev bench` builds what it needs.

mod app;
mod case;
mod client;
mod dataset;
mod gateways;
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
        // Ctrl-C does not reach the servers, which are in separate process groups. Dropping them here stops them.
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

/// Prints the address on standard output, as the host does: [`process::start`] waits for that line.
async fn listen_and_tell(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}{}", process::SERVING, listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}
