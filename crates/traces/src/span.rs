//! A piece of work that is recorded, from its beginning to its end.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value},
    trace::v1::{
        Span as Recorded, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use trace_context::{Scope, TraceContext};

use crate::{RECORDER, names, recording};

/// Longer texts are cut: names of models and tools are shorter.
const MAX_TEXT_BYTES: usize = 256;

/// The flags of a span: the trace is recorded (W3C Trace Context, section 3.2.2.5.1).
const SAMPLED: u32 = 1;

/// Which part of the work a span is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It makes a request, and waits for its answer.
    Client,
    /// It is done here.
    Internal,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Client => Self::Client,
            Kind::Internal => Self::Internal,
        }
    }
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A name, an id or a code.
    Text(String),
    /// Several of these.
    Texts(Vec<String>),
    /// A number.
    Integer(i64),
    /// A number that need not be whole.
    Double(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(cut(text))
    }
}

impl From<&[&str]> for Value {
    fn from(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(|text| cut(text)).collect())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

/// A piece of work. It ends when it is dropped, also if nobody waits for its end any more. Of a trace that is not recorded there is nothing in it, and nothing
/// done with it does anything.
#[derive(Debug, Default)]
#[must_use = "it ends when it is dropped"]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    scope: Arc<Scope>,
    began: Instant,
    recorded: Recorded,
}

impl Span {
    /// A part of the current work that begins now.
    pub fn begin(kind: Kind, name: impl Display) -> Self {
        let part = |scope: Arc<Scope>| Scope { trace: scope.trace.child(), request_id: scope.request_id.clone() };
        recorded_scope()
            .map(|scope| Self::open(Arc::new(part(scope)), kind.into(), name, Instant::now()))
            .unwrap_or_default()
    }

    /// The beginning of work that others take up later, at the place that its id names ([`TraceContext::named`]), with a link to the current work.
    fn of_beginning(id: u128, name: impl Display) -> Self {
        let Some(current) = recorded_scope() else { return Self::default() };
        let trace = TraceContext::named(id).with_sampled(true);
        let scope = Scope { trace, request_id: current.request_id.clone() };
        let mut span = Self::open(Arc::new(scope), SpanKind::Producer, name, Instant::now());
        span.link(&current.trace);
        span
    }

    /// Says that it goes on with what was begun at another place.
    pub fn link(&mut self, to: &TraceContext) {
        if let Some(open) = &mut self.0 {
            let (trace_id, span_id, _) = to.ids();
            let link =
                Link { trace_id: trace_id.to_vec(), span_id: span_id.to_vec(), flags: SAMPLED, ..Link::default() };
            open.recorded.links.push(link);
        }
    }

    /// The current work itself: a request that a server answers since `began`.
    pub fn of_request(name: impl Display, began: Instant) -> Self {
        recorded_scope().map(|scope| Self::open(scope, SpanKind::Server, name, began)).unwrap_or_default()
    }

    fn open(scope: Arc<Scope>, kind: SpanKind, name: impl Display, began: Instant) -> Self {
        let (trace_id, span_id, parent_id) = scope.trace.ids();
        let began_at = SystemTime::now().checked_sub(began.elapsed()).unwrap_or(UNIX_EPOCH);
        let since = began_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let recorded = Recorded {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            parent_span_id: parent_id.map(Vec::from).unwrap_or_default(),
            flags: SAMPLED,
            name: cut(&name.to_string()),
            kind: kind.into(),
            start_time_unix_nano: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            ..Recorded::default()
        };
        Self(Some(Box::new(Open { scope, began, recorded })))
    }

    /// The scope of what is done in it: what begins there is a part of it. Of a trace that is not recorded, the current one.
    #[must_use]
    pub fn scope(&self) -> Option<Arc<Scope>> {
        self.0.as_ref().map_or_else(trace_context::current, |open| Some(Arc::clone(&open.scope)))
    }

    /// Its place in the trace, for a request that it is. `None`: the trace is not recorded.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.0.as_ref().map(|open| &open.scope.trace)
    }

    /// Whether there is anything in it.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Says something about it; `name` is one of [`names`].
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.set(name, value.into());
        }
    }

    /// It has failed, with this code, unless it had before. Messages have no place in it.
    pub fn fail(&mut self, code: &str) {
        if let Some(open) = self.0.as_mut().filter(|open| open.recorded.status.is_none()) {
            open.set(names::ERROR_TYPE, code.into());
            open.recorded.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
        }
    }
}

/// Records that a run was begun, at the place that its id names ([`TraceContext::named`]), so that whoever executes it finds it there. `shown` is the id.
pub fn run_begun(id: u128, shown: impl Display) {
    let mut span = Span::of_beginning(id, "begin run");
    if span.is_recorded() {
        span.set(names::RUN_ID, shown.to_string().as_str());
    }
}

impl Open {
    #[cold]
    #[inline(never)]
    fn set(&mut self, name: &str, value: Value) {
        self.recorded.attributes.push(attribute(name, value));
    }
}

/// The scope of the work that asks, if it is recorded.
#[inline(never)]
fn recorded_scope() -> Option<Arc<Scope>> {
    recording()?;
    trace_context::current().filter(|scope| scope.trace.is_sampled())
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            end(*open);
        }
    }
}

/// Most work is not recorded, and everything that is measured is compiled into many places: so what is only for recorded work is compiled once.
#[cold]
#[inline(never)]
fn end(Open { began, mut recorded, .. }: Open) {
    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    recorded.end_time_unix_nano = recorded.start_time_unix_nano.saturating_add(took);
    RECORDER.push(recorded);
}

pub(crate) fn attribute(name: &str, value: Value) -> KeyValue {
    let text = any_value::Value::StringValue;
    let value = match value {
        Value::Text(said) => text(said),
        Value::Texts(said) => {
            let values = said.into_iter().map(|said| AnyValue { value: Some(text(said)) }).collect();
            any_value::Value::ArrayValue(ArrayValue { values })
        }
        Value::Integer(number) => any_value::Value::IntValue(number),
        Value::Double(number) => any_value::Value::DoubleValue(number),
    };
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or_default().to_owned()
}
