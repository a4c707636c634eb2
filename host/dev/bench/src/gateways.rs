//! Gateways that pass a program's request to a model and its answer back: `/v1` of the app, and others that it is compared with, which run in a Python that
//! the caller has made. Each is one process.

use std::net::SocketAddr;
use std::path::Path;

use crate::process::{Server, start};

/// The app, asked by a program.
pub(crate) const PROGRAMS: &str = "`/v1` of the app";
/// LiteLLM's proxy.
const LITELLM: &str = "LiteLLM's proxy";
/// The least that somebody writes who needs a gateway: FastAPI, and OpenAI's SDK.
const FASTAPI: &str = "FastAPI with OpenAI's SDK";

/// The programs, by the names of what they serve.
const OTHERS: [(&str, &str); 2] =
    [(LITELLM, "host/dev/bench/gateways/litellm_proxy.py"), (FASTAPI, "host/dev/bench/gateways/fastapi_relay.py")];

/// Whether a subject is a gateway.
pub(crate) fn is_one(name: &str) -> bool {
    name == PROGRAMS || OTHERS.iter().any(|(other, _)| *other == name)
}

/// Starts all others before a model. `python` has their packages.
pub(crate) async fn start_all(python: &Path, model: SocketAddr) -> anyhow::Result<Vec<(&'static str, Server)>> {
    let mut started = Vec::new();
    for (name, script) in OTHERS {
        started.push((name, start(python, [script.to_owned(), format!("http://{model}/v1")]).await?));
    }
    Ok(started)
}
