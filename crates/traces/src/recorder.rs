//! The spans that have ended and are not yet sent.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::{names, span::attribute};

/// More than an instance with sixteen requests has between two times that they are sent. What is beyond is lost.
const MAX_SPANS: usize = 2_048;

/// The longest batch that is taken: so many spans are half of it.
pub const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;

/// What all components are parts of.
const NAMESPACE: &str = "edge-assistant";

/// Spans in the form in which they are sent: an `ExportTraceServiceRequest` of OTLP as protocol buffers. Several, one behind the other, are one (Protocol
/// Buffers, "Encoding", "Last One Wins").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The request's body.
    pub body: Vec<u8>,
    /// How many spans are in it.
    pub spans: u64,
    /// How many there was no room for.
    pub lost: u64,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    spans: Vec<Span>,
    lost: u64,
}

impl Recorder {
    pub(crate) const fn new() -> Self {
        Self { inner: Mutex::new(Inner { spans: Vec::new(), lost: 0 }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, span: Span) {
        let mut inner = self.inner();
        if inner.spans.len() < MAX_SPANS {
            inner.spans.push(span);
        } else {
            inner.lost = inner.lost.saturating_add(1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner().spans.is_empty()
    }

    pub(crate) fn take(&self, component: &str, instance: &str) -> Option<Batch> {
        let (spans, lost) = {
            let mut inner = self.inner();
            (std::mem::take(&mut inner.spans), std::mem::take(&mut inner.lost))
        };
        if spans.is_empty() {
            return None;
        }
        let count = spans.len().try_into().unwrap_or(u64::MAX);
        let about = [
            (names::SERVICE_NAMESPACE, NAMESPACE),
            (names::SERVICE_NAME, component),
            (names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            (names::SERVICE_INSTANCE_ID, instance),
        ];
        let attributes = about.into_iter().map(|(name, value)| attribute(name, value.into())).collect();
        let scope = InstrumentationScope { name: NAMESPACE.to_owned(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        Some(Batch { body: ExportTraceServiceRequest { resource_spans }.encode_to_vec(), spans: count, lost })
    }
}

/// How many spans a batch of another component has, without making anything of them: what is two bytes here may be hundreds in memory. `None`: it is no batch,
/// or has more spans than an instance keeps.
#[must_use]
pub fn read(body: &[u8]) -> Option<u64> {
    let mut count = 0;
    let mut counted = |_: &[u8]| {
        count += 1;
        (count <= MAX_SPANS).then_some(())
    };
    // `resource_spans` of the request, `scope_spans` of each, `spans` of each (opentelemetry-proto, `trace_service.proto` and `trace.proto`).
    each(body, 1, &mut |of_resource| each(of_resource, 2, &mut |of_scope| each(of_scope, 2, &mut counted)))?;
    count.try_into().ok()
}

/// Does something with each message that a message has in a field. `None`: it is no message, or what was done says so.
fn each<'a>(mut message: &'a [u8], field: u32, visit: &mut dyn FnMut(&'a [u8]) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let (found, kind) = decode_key(&mut message).ok()?;
        if kind != WireType::LengthDelimited {
            skip_field(kind, found, &mut message, DecodeContext::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        let (contents, rest) = message.split_at_checked(length)?;
        message = rest;
        if found == field {
            visit(contents)?;
        }
    }
    Some(())
}
