//! Sends the spans of this instance ([`traces`]) to `ops`, which passes on those of all components together to the collector that the configuration names.
//! Only `ops` knows how to reach it (docs/adr/0053).
//!
//! As with metrics, an instance does not learn when it ends: the first time is soon after its first request, and after that once in some seconds. Nobody
//! waits for it, and what cannot be sent is lost.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, header};
use traces::Sampling;

use crate::{AFTER_RESPONSE, http_client, sleep, spawn, variables::variable, within};

/// Where `ops` takes spans. `spin.toml` has no trigger for it, so it cannot be reached from outside.
const COLLECTED: &str = "http://ops.spin.internal/internal/traces";

/// The media type of OTLP's protocol buffers (OTLP specification, "Binary Protobuf Encoding").
pub const MEDIA_TYPE: &str = "application/x-protobuf";

/// The time between two batches of one instance.
const INTERVAL: Duration = Duration::from_secs(2);
/// `ops` only takes them; it answers at once, unless it has no room.
const LIMIT: Duration = Duration::from_secs(2);

thread_local! {
    static SENT: Cell<Option<Instant>> = const { Cell::new(None) };
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Has this instance record spans, from its first request on, if the configuration names a collector. What cannot be read records nothing; `/ready` says so.
pub(crate) async fn set_up(component: &str) {
    static IS_SET_UP: AtomicBool = AtomicBool::new(false);
    if IS_SET_UP.swap(true, Ordering::Relaxed) {
        return;
    }
    let endpoint = variable("otlp_endpoint").await;
    if endpoint.is_empty() {
        return;
    }
    // Whoever chooses the id of a trace does not know the collector, and so not which traces are recorded.
    if let Ok(sampling) = Sampling::parse(&variable("otlp_sampling").await, &endpoint) {
        traces::record(component, sampling);
    }
}

/// Sends what was recorded in a while, unless somebody is about to.
pub(crate) fn soon() {
    if traces::is_empty() || IS_WAITING.replace(true) {
        return;
    }
    let since = SENT.get().map(|sent| sent.elapsed());
    let wait = since.map_or(AFTER_RESPONSE, |since| INTERVAL.saturating_sub(since).max(AFTER_RESPONSE));
    // It belongs to no request: it is about many, and is not recorded itself.
    spawn(trace_context::within(None, async move {
        sleep(wait).await;
        while let Some(batch) = traces::take() {
            let is_sent = within(LIMIT, send(batch.body)).await == Some(true);
            metrics::spans_lost(batch.lost.saturating_add(if is_sent { 0 } else { batch.spans }));
        }
        SENT.set(Some(Instant::now()));
        IS_WAITING.set(false);
    }));
}

async fn send(body: Vec<u8>) -> bool {
    let request = Request::post(COLLECTED).header(header::CONTENT_TYPE, MEDIA_TYPE).body(Bytes::from(body));
    let Ok(request) = request else { return false };
    http_client::send(request).await.is_ok_and(|response| response.status.is_success())
}
