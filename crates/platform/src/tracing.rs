//! Has this instance record spans ([`traces`]), and sends them to `ops`, which passes on those of all components together to the collector that the
//! configuration names. Only `ops` knows how to reach it (docs/adr/0053).

use bytes::Bytes;
use http::{Request, header};
use traces::{COLLECTED, MEDIA_TYPE};

use crate::{http_client, measuring, sleep, spawn, variables::variable};

/// The component that takes the spans of all others. It would tell of its telling, and cannot ask itself.
const COLLECTING: &str = "ops";

/// Decides what this instance records, before its first request.
pub(crate) async fn set_up(component: &str) {
    traces::set_up(Some(component).filter(|component| *component != COLLECTING), variable).await;
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
