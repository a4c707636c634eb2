//! Has this instance record spans ([`traces`]), and sends them to `ops`, which passes on those of all components together to the collector that the
//! configuration names. Only `ops` knows how to reach it (docs/adr/0053).

use bytes::Bytes;
use http::{Request, header};
use traces::{COLLECTED, MEDIA_TYPE, Sampling};

use crate::{http_client, measuring, sleep, spawn, variables::variable};

/// The component that takes the spans of all others. It would tell of its telling, and cannot ask itself.
const COLLECTING: &str = "ops";

/// Decides what this instance records, before its first request: nothing, unless the configuration names a collector. What cannot be read records nothing;
/// `/ready` says so.
pub(crate) async fn set_up(component: &str) {
    // Requests that come together may all get here; each of them knows the same.
    if traces::is_decided() {
        return;
    }
    let (endpoint, sampling) = (variable("otlp_endpoint").await, variable("otlp_sampling").await);
    // Whoever chooses the id of a trace does not know the collector, and so not which traces are recorded.
    match Sampling::parse(&sampling, &endpoint) {
        Ok(sampling) if !endpoint.is_empty() && component != COLLECTING => traces::record(component, sampling),
        _ => traces::record_nothing(),
    }
}

/// Sends what was recorded in a while, unless somebody is about to.
pub(crate) fn soon(component: &'static str) {
    let lost = move |count| {
        metrics::spans_lost(count);
        measuring::soon(component);
    };
    if let Some(sending) = traces::sending(sleep, send, lost) {
        // It belongs to no request: it is about many, and is not recorded itself.
        spawn(trace_context::within(None, sending));
    }
}

async fn send(body: Vec<u8>) -> bool {
    let request = Request::post(COLLECTED).header(header::CONTENT_TYPE, MEDIA_TYPE).body(Bytes::from(body));
    let Ok(request) = request else { return false };
    http_client::send(request).await.is_ok_and(|response| response.status.is_success())
}
