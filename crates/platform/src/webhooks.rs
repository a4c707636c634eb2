//! Wakes the component that sends webhooks, after something happened that may be told. Nobody waits for it: if it fails, whoever comes by next wakes it
//! (docs/adr/0050).

use bytes::Bytes;
use http::{Request, header};
use storage::Database;
use web::{
    App,
    log::{Level, log},
};

use crate::{http_client, spawn};

/// The component, as `spin.toml` lets others call it.
const WEBHOOKS: &str = "webhooks";
const WEBHOOKS_ADDRESS: &str = "http://webhooks.spin.internal";
/// Where it is woken. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub const PATH: &str = "/internal/deliveries";

/// Has what is due sent, if this instance knows that anybody has a webhook. It reads nothing: one that is younger than what the instance knows waits for the
/// next look of `auth`.
pub fn wake_if_any<D: Database + 'static>(component: &'static str, app: &App<D>) {
    if app.had_webhooks() {
        wake(component, app);
    }
}

/// Has what is due sent. `component` is the caller, for the log.
pub fn wake<D: Database + 'static>(component: &'static str, app: &App<D>) {
    let app = app.clone();
    spawn(async move {
        let Err(cause) = ask(&app).await else { return };
        log(
            component,
            Level::Warn,
            "webhooks wait for the next look",
            std::collections::BTreeMap::from([("cause", cause)]),
        );
    });
}

async fn ask<D: Database>(app: &App<D>) -> Result<(), String> {
    let proof = app.prove(WEBHOOKS, None, "").await.map_err(|error| error.causes().unwrap_or_default())?;
    let request = Request::post(format!("{WEBHOOKS_ADDRESS}{PATH}")).header(header::AUTHORIZATION, proof);
    let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("webhooks answered {}", response.status)) }
}
