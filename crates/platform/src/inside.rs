//! What one component has another one do, where nothing of the answer counts but whether it did. Whoever reads more sends with [`http_client`](crate::http_client).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use storage::Database;
use web::{
    App,
    log::{Level, log},
};

use crate::{http_client, spawn};

/// Asks a component at a private path, with the proof of [`App::prove`](web::App::prove). `body` is JSON, or empty.
///
/// # Errors
/// Why it was not done, for the log.
pub async fn ask(component: &str, path: &str, proof: web::Result<HeaderValue>, body: Bytes) -> Result<(), String> {
    let proof = proof.map_err(|error| error.causes().unwrap_or_default())?;
    let request = Request::post(format!("http://{component}.spin.internal{path}"))
        .header(header::AUTHORIZATION, proof)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("{component} answered {}", response.status)) }
}

/// Has a component do at a private path what nobody waits for. If that fails, whoever looks next tries again. `caller` is for the log.
pub(crate) fn wake<D: Database + 'static>(
    caller: &'static str,
    app: &App<D>,
    callee: &'static str,
    path: &'static str,
) {
    let app = app.clone();
    spawn(async move {
        let asked = ask(callee, path, app.prove(callee, None, "").await, Bytes::new());
        let Err(cause) = asked.await else { return };
        let fields = BTreeMap::from([("callee", callee.to_owned()), ("cause", cause)]);
        log(caller, Level::Warn, "work waits for the next look", fields);
    });
}
