//! How an instance's spans leave it: in batches, to the component that passes them on to the collector. Whoever sends them brings the way out and the clock.

use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};

use futures::future::{Either, select};

/// Where `ops` takes spans. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub const COLLECTED: &str = "http://ops.spin.internal/internal/traces";
/// The path of that.
pub const COLLECTED_PATH: &str = "/internal/traces";
/// The media type of OTLP's protocol buffers (OTLP specification, "Binary Protobuf Encoding").
pub const MEDIA_TYPE: &str = "application/x-protobuf";

/// Time for an answer to leave before the first batch.
const AFTER_RESPONSE: Duration = Duration::from_millis(20);
/// The time between two batches of one instance.
const INTERVAL: Duration = Duration::from_secs(2);
/// `ops` only takes them; it answers at once, unless it has no room.
const LIMIT: Duration = Duration::from_secs(2);

thread_local! {
    static SENT: Cell<Option<Instant>> = const { Cell::new(None) };
    static IS_SENDING: Cell<bool> = const { Cell::new(false) };
}

/// Work that sends what was recorded, and what is recorded meanwhile, until nothing is left. `None`: there is nothing, or somebody is about to. `send` says
/// whether a batch was taken, `lost` is told how many spans were not.
///
/// As with metrics, an instance does not learn when it ends: the first time is soon after its first request, and after that once in some seconds. Nobody waits
/// for it, and what cannot be sent is lost.
pub fn sending(
    sleep: impl AsyncFn(Duration),
    send: impl AsyncFn(Vec<u8>) -> bool,
    lost: impl Fn(u64),
) -> Option<impl Future<Output = ()>> {
    if crate::is_empty() || IS_SENDING.replace(true) {
        return None;
    }
    let since = SENT.get().map(|sent| sent.elapsed());
    let mut wait = since.map_or(AFTER_RESPONSE, |since| INTERVAL.saturating_sub(since).max(AFTER_RESPONSE));
    Some(async move {
        while !crate::is_empty() {
            sleep(wait).await;
            wait = INTERVAL;
            let Some(batch) = crate::take() else { break };
            let is_taken = matches!(select(pin!(send(batch.body)), pin!(sleep(LIMIT))).await, Either::Left((true, _)));
            let not_sent = batch.lost.saturating_add(if is_taken { 0 } else { batch.spans });
            if not_sent > 0 {
                lost(not_sent);
            }
        }
        SENT.set(Some(Instant::now()));
        IS_SENDING.set(false);
    })
}
