//! What is measured: the metrics with their names and labels ([`table`]), the observations of an instance until they are stored ([`Recorder`]), and the
//! text that Prometheus reads ([`text`]).
//!
//! It stores nothing: `storage` adds an instance's [`Sample`]s to those of all others, and says them back (`docs/adr/0049-metrics.md`). Labels never name a
//! person, a conversation or an address; where they name what somebody could choose, such as a model, the database keeps only so many.

mod recorder;
pub mod table;
pub mod text;

use std::time::{Duration, Instant};

pub use recorder::Recorder;
pub use table::{Kind, Metric};

/// The most labels of a metric.
pub const MAX_LABELS: usize = 4;

/// The upper bounds of the buckets of every histogram, in microseconds: from a small request to a model or a tool that takes its time.
pub const BUCKETS_US: [i64; 13] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
    60_000_000,
];
/// The bucket of what is above all bounds.
pub const INFINITE: i64 = i64::MAX;
/// Not a bucket: the sum of a histogram's observations.
pub const SUM: i64 = -1;
/// Not a bucket: the value of a counter or a gauge.
pub const VALUE: i64 = 0;

/// One number of one series.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sample {
    /// The metric's name in [`table`].
    pub metric: String,
    /// The values of its labels, in the metric's order; the rest is empty.
    pub labels: [String; MAX_LABELS],
    /// What of the series it is: [`VALUE`], [`SUM`], or the upper bound of a bucket in microseconds. Buckets are not cumulative.
    pub bucket: i64,
    /// The number: in millionths where the metric says so, as with seconds.
    pub value: i64,
}

/// What an instance keeps of things that it has read or verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cache {
    /// Access tokens whose signature was verified.
    Tokens,
    /// Who has which API key.
    ApiKeys,
    /// What decides about tokens and roles.
    Access,
    /// Results of tools that say for how long they hold.
    ToolResults,
}

impl Cache {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::ApiKeys => "api_keys",
            Self::Access => "access",
            Self::ToolResults => "tool_results",
        }
    }
}

/// The observations of this instance.
static RECORDER: Recorder = Recorder::new();

/// A request that a component has answered. `route` is the router's template; empty if no route fits. `took` is the time until the answer's head.
pub fn http_request(component: &str, method: &str, route: &str, status: u16, took: Duration) {
    let method = match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => "other",
    };
    let status = match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    let route = if route.is_empty() { "none" } else { route };
    RECORDER.count(&table::HTTP_REQUESTS, &[component, method, route, status]);
    RECORDER.observe(&table::HTTP_REQUEST_DURATION, &[component, method, route], took);
}

/// A model that has begun to answer, so long after it was asked.
pub fn first_token(model: &str, took: Duration) {
    RECORDER.observe(&table::TIME_TO_FIRST_TOKEN, &[model], took);
}

/// A request to a provider of models: `ok`, or the code of its failure.
pub fn provider_request(provider: &str, outcome: &'static str) {
    RECORDER.count(&table::PROVIDER_REQUESTS, &[provider, outcome]);
}

/// Spans that were recorded and did not reach the collector of traces.
pub fn spans_lost(count: u64) {
    if count > 0 {
        RECORDER.add(&table::SPANS_LOST, &[], count);
    }
}

/// Whether a cache had what was looked for.
pub fn cache_request(cache: Cache, is_hit: bool) {
    RECORDER.count(&table::CACHE_REQUESTS, &[cache.as_str(), if is_hit { "hit" } else { "miss" }]);
}

/// A call that a tool server has been given. It is measured when it is dropped, so also if nobody waits for its answer any more.
#[derive(Debug)]
pub struct ToolCall {
    name: String,
    began: Instant,
}

impl ToolCall {
    /// A call that begins now, named `server:tool` as in the record.
    #[must_use]
    pub fn begin(name: String) -> Self {
        Self { name, began: Instant::now() }
    }
}

impl Drop for ToolCall {
    fn drop(&mut self) {
        RECORDER.observe(&table::TOOL_CALL_DURATION, &[&self.name], self.began.elapsed());
    }
}

/// Whether [`take`] has anything.
#[must_use]
pub fn is_empty() -> bool {
    RECORDER.is_empty()
}

/// Everything since the last time. Whoever takes it stores it, or [puts it back](put_back).
#[must_use]
pub fn take() -> Vec<Sample> {
    RECORDER.take()
}

/// What could not be stored: it is taken again with the next.
pub fn put_back(samples: Vec<Sample>) {
    RECORDER.put_back(samples);
}
