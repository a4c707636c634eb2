//! The executable: command line in, exit code out.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    embedded_host::cli::run(embedded_host::cli::Command::parse()).await
}
