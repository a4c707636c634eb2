//! Wakes the component that sends webhooks, after something happened that may be told. Nobody waits for it: if it fails, whoever comes by next wakes it
//! (docs/adr/0050).

use storage::Database;
use web::App;

use crate::inside;

/// The component, as `spin.toml` lets others call it.
const WEBHOOKS: &str = "webhooks";
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
    inside::wake(component, app, WEBHOOKS, PATH);
}
