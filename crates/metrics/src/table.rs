//! All metrics. `docs/metrics.md` has the same table for operators, with when each grows; a test compares the two.

/// How a metric behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// Its counts in buckets only grow.
    Histogram,
    /// It is what is there when it is read.
    Gauge,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name without the prefix, and without the `_total` of a counter. The unit is its end.
    pub name: &'static str,
    /// What it counts, for people.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Whether its values are kept in millionths.
    pub is_in_millionths: bool,
    /// The names of its labels. If somebody outside can choose one's values, it is the first: of those, the database keeps only so many.
    pub labels: &'static [&'static str],
}

/// Requests that components with a database have answered.
pub static HTTP_REQUESTS: Metric = Metric {
    name: "http_requests",
    help: "Requests that were answered.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["component", "method", "route", "status"],
};
/// How long they took, until the answer's head.
pub static HTTP_REQUEST_DURATION: Metric = Metric {
    name: "http_request_duration_seconds",
    help: "Time from a request to the head of its answer.",
    kind: Kind::Histogram,
    is_in_millionths: true,
    labels: &["component", "method", "route"],
};
/// Runs that have ended.
pub static RUNS_ENDED: Metric = Metric {
    name: "runs_ended",
    help: "Runs that have ended, and the code of the failure.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["outcome", "code"],
};
/// Runs that another executor went on with.
pub static RUN_TAKEOVERS: Metric = Metric {
    name: "run_takeovers",
    help: "Times that a run was taken over from an executor that was gone.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &[],
};
/// Tokens, as providers report them.
pub static TOKENS: Metric = Metric {
    name: "tokens",
    help: "Tokens that runs and programs have used, as providers report them.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["model", "kind"],
};
/// What they cost.
pub static COST: Metric = Metric {
    name: "cost",
    help: "What runs and programs have cost, in units of the currency, where the price is known.",
    kind: Kind::Counter,
    is_in_millionths: true,
    labels: &["model", "currency"],
};
/// From asking a provider to the first piece of its answer.
pub static TIME_TO_FIRST_TOKEN: Metric = Metric {
    name: "time_to_first_token_seconds",
    help: "Time from asking a provider to the first piece of its answer.",
    kind: Kind::Histogram,
    is_in_millionths: true,
    labels: &["model"],
};
/// Requests to providers of models.
pub static PROVIDER_REQUESTS: Metric = Metric {
    name: "provider_requests",
    help: "Requests of runs and programs to providers of models: ok, or the code of the failure.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["provider", "outcome"],
};
/// Calls of tools, by what came of them.
pub static TOOL_CALLS: Metric = Metric {
    name: "tool_calls",
    help: "Tool calls, by what came of them, as in the record.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["tool", "outcome"],
};
/// How long tool servers take.
pub static TOOL_CALL_DURATION: Metric = Metric {
    name: "tool_call_duration_seconds",
    help: "Time that a tool server takes to answer a call.",
    kind: Kind::Histogram,
    is_in_millionths: true,
    labels: &["tool"],
};
/// Decisions of people about calls.
pub static APPROVALS_DECIDED: Metric = Metric {
    name: "approvals_decided",
    help: "Decisions of people about tool calls.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["decision"],
};
/// Whether caches had what was looked for.
pub static CACHE_REQUESTS: Metric = Metric {
    name: "cache_requests",
    help: "Looks into an instance's caches.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &["cache", "result"],
};
/// The share of these that had it.
pub static CACHE_HIT_RATIO: Metric = Metric {
    name: "cache_hit_ratio",
    help: "Share of all looks into a cache that found something.",
    kind: Kind::Gauge,
    is_in_millionths: true,
    labels: &["cache"],
};
/// Spans that are lost.
pub static SPANS_LOST: Metric = Metric {
    name: "spans_lost",
    help: "Recorded spans that did not reach the collector of traces.",
    kind: Kind::Counter,
    is_in_millionths: false,
    labels: &[],
};
/// Sessions of people and programs.
pub static ACTIVE_SESSIONS: Metric = Metric {
    name: "active_sessions",
    help: "Sessions that have neither ended nor expired; more than 10000 are not counted.",
    kind: Kind::Gauge,
    is_in_millionths: false,
    labels: &[],
};
/// Runs that have not ended.
pub static ACTIVE_RUNS: Metric = Metric {
    name: "active_runs",
    help: "Runs that have not ended.",
    kind: Kind::Gauge,
    is_in_millionths: false,
    labels: &["state"],
};
/// How long a run has waited for an executor.
pub static QUEUE_AGE: Metric = Metric {
    name: "queue_age_seconds",
    help: "How long the oldest run has waited for an executor, up to ten minutes; 0: none waits.",
    kind: Kind::Gauge,
    is_in_millionths: true,
    labels: &[],
};
/// Questions to people.
pub static APPROVALS_WAITING: Metric = Metric {
    name: "approvals_waiting",
    help: "Tool calls that wait for the decision of a person.",
    kind: Kind::Gauge,
    is_in_millionths: false,
    labels: &[],
};
/// Of budgets, the one that is used most.
pub static BUDGET_USED: Metric = Metric {
    name: "budget_used_ratio",
    help: "Used and reserved share of the budget that is used most, of each kind of subject and budget.",
    kind: Kind::Gauge,
    is_in_millionths: true,
    labels: &["subject", "budget"],
};

/// All of them, in the order in which they are written.
pub static ALL: [&Metric; 19] = [
    &HTTP_REQUESTS,
    &HTTP_REQUEST_DURATION,
    &RUNS_ENDED,
    &RUN_TAKEOVERS,
    &TOKENS,
    &COST,
    &TIME_TO_FIRST_TOKEN,
    &PROVIDER_REQUESTS,
    &TOOL_CALLS,
    &TOOL_CALL_DURATION,
    &APPROVALS_DECIDED,
    &CACHE_REQUESTS,
    &CACHE_HIT_RATIO,
    &SPANS_LOST,
    &ACTIVE_SESSIONS,
    &ACTIVE_RUNS,
    &QUEUE_AGE,
    &APPROVALS_WAITING,
    &BUDGET_USED,
];
