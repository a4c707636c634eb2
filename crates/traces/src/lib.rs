//! The spans of an instance: which work is recorded ([`Sampling`]), what is recorded of it ([`Span`]), and the form in which a collector of traces takes it
//! (OTLP, <https://opentelemetry.io/docs/specs/otlp/>). Names are those of OpenTelemetry's semantic conventions ([`names`]).
//!
//! It sends nothing: whoever [takes](take) the spans does (`docs/adr/0053-traces.md`). Until somebody says which traces are recorded ([`set_up`]), nothing is,
//! and a span costs a look at one number. No span contains what people, models or servers say, an address within a site, a token or a key: what is set is a
//! name from the code, from the configuration or of a tool, an id, a number or a code.

pub mod names;
mod recorder;
mod sampling;
mod sending;
mod span;

use std::sync::OnceLock;

pub use recorder::{Batch, MAX_BATCH_BYTES, read};
pub use sampling::{InvalidSampling, Sampling};
pub use sending::{COLLECTED, COLLECTED_PATH, MEDIA_TYPE, sending};
pub use span::{Kind, Span, Value, run_begun};

use recorder::Recorder;
use trace_context::TraceContext;

/// What this instance records, and as whom. It is the same for all of its life.
static RECORDING: OnceLock<Option<Recording>> = OnceLock::new();

/// The spans that have ended.
static RECORDER: Recorder = Recorder::new();

struct Recording {
    component: String,
    instance: String,
    sampling: Sampling,
}

/// Decides what this instance records, before its first request: nothing, unless the configuration names a collector. `component`: its id; `None`: it records
/// nothing. `variable` reads a variable of the configuration, trimmed: one, unless there is a collector. What cannot be read records nothing; `/ready` says so.
pub async fn set_up(component: Option<&str>, variable: impl AsyncFn(&'static str) -> String) {
    // Requests that come together may all get here; each of them knows the same.
    if is_decided() {
        return;
    }
    let Some(component) = component else { return record_nothing() };
    let endpoint = variable("otlp_endpoint").await;
    if endpoint.is_empty() {
        return record_nothing();
    }
    // Whoever chooses the id of a trace does not know the collector, and so not which traces are recorded.
    match Sampling::parse(&variable("otlp_sampling").await, &endpoint) {
        Ok(sampling) => record(component, sampling),
        Err(_) => record_nothing(),
    }
}

/// Records spans from now on: those of the component with this id, of the traces that `sampling` chooses. Only the first decision counts.
pub fn record(component: &str, sampling: Sampling) {
    let instance = TraceContext::continued(None).span_id();
    let _ = RECORDING.set(Some(Recording { component: component.to_owned(), instance, sampling }));
}

/// Records nothing, for all of this instance's life. Only the first decision counts.
fn record_nothing() {
    let _ = RECORDING.set(None);
}

/// Whether it is decided what is recorded. Before that, nothing is.
#[must_use]
pub fn is_decided() -> bool {
    RECORDING.get().is_some()
}

fn recording() -> Option<&'static Recording> {
    RECORDING.get()?.as_ref()
}

/// The same place in a trace, once it is decided whether the trace is recorded. If nothing is recorded here, what the caller said is passed on.
#[must_use]
pub fn decided(trace: TraceContext) -> TraceContext {
    recording().map_or(trace, |recording| trace.with_sampled(recording.sampling.chooses(&trace)))
}

/// Whether [`take`] has anything.
#[must_use]
pub fn is_empty() -> bool {
    RECORDER.is_empty()
}

/// All spans since the last time. Whoever takes them sends them; what cannot be sent is lost.
#[must_use]
pub fn take() -> Option<Batch> {
    let Recording { component, instance, .. } = recording()?;
    RECORDER.take(component, instance)
}
