//! The scripted model as a separate program, for `cargo dev model`. It only opens the listener.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;

/// An OpenAI-compatible server that answers from a script.
#[derive(Parser)]
#[command(after_help = scripted_model::knobs())]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// Answer requests that carry no `Authorization: Bearer` header too.
    #[arg(long)]
    without_key: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}: choose another address with --listen", arguments.listen))?;
    println!("Serving the scripted model on http://{}/v1", listener.local_addr()?);
    if arguments.without_key {
        scripted_model::serve_open(listener).await
    } else {
        scripted_model::serve(listener).await
    }
}
