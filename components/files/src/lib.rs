//! Files that people attach to messages: the component behind `/api/files/...`, and the only one that reaches the configured store.
//!
//! A file arrives and leaves in pieces, each sealed with the file's key, so nobody holds a whole one (docs/adr/0054). It must not look into a file further than
//! its type needs: what is in files is for others to read, and `extract` alone turns documents into text (docs/adr/0057).

mod config;
mod content;
mod files;
mod multipart;
mod names;
mod objects;
mod outside;
mod reader;
mod reading;
mod receiving;
mod resumable;
mod router;
mod sweeping;
mod types;
mod upload;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "files";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, config::checks, async |app| {
        let config = config::Config::read().await;
        router::router(router::Files::new(app, config, outside::send, reader::send, soon))
    })
    .await
}

/// Work that nobody waits for. Each kind of it does not wait for the other: a store of pieces that is away keeps no document from being read.
fn soon<D: storage::Database + 'static>(files: router::Files<D>) {
    reading::soon(files.clone());
    sweeping::soon(files);
}
