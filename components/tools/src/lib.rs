//! Tools: the one place they are listed and executed from, for the model and for programs that speak MCP.
//!
//! Which tools there are is the crate `tool-catalogue`; which way a call takes, the crate `toolbox`; how servers are spoken to, the crate
//! `mcp`. Here they meet the database, HTTP and Spin.

mod access_tokens;
mod calls;
mod client_document;
mod config;
mod connected_lists;
mod connections;
mod failures;
mod features;
mod files;
mod gateway;
mod gateway_caller;
mod gateway_tasks;
mod host;
mod input;
mod list;
mod memory;
mod metadata;
mod offers;
mod passed;
mod policies;
mod progress;
mod record;
mod router;
mod rules;
mod secrets;
mod sessions;
mod state;
mod tasks;
mod world;

use std::rc::Rc;

use platform::{Answer, Request};

use crate::{
    config::{COMPONENT, Config},
    host::SpinHost,
    state::{Memory, Tools},
};

thread_local! {
    static MEMORY: Rc<Memory<SpinHost>> = Rc::default();
}

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, config::checks, async |app| {
        let config = Config::read([memory::server(), files::server()]).await;
        let host = SpinHost(app.clone());
        router::router(Tools::new(app, config, host, MEMORY.with(Rc::clone)))
    })
    .await
}
