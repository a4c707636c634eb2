//! What an instance records, as a collector reads it. One test: an instance decides once what is recorded.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Recorded, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use trace_context::{Scope, TraceContext};
use traces::{Kind, Sampling, Span, names};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn scope(flag: &str) -> Option<Arc<Scope>> {
    let trace = TraceContext::continued(Some(&format!("00-{TRACE}-b7ad6b7169203331-{flag}")));
    Some(Arc::new(Scope { trace: traces::decided(trace), request_id: None }))
}

fn text(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    let said = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(said) => said,
        Value::IntValue(said) => said.to_string(),
        Value::DoubleValue(said) => said.to_string(),
        Value::ArrayValue(said) => format!("{} values", said.values.len()),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.as_str(), said(attribute))).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn work() {
    let began = Instant::now();
    let mut outer = Span::begin(Kind::Client, format_args!("chat {}", "m"));
    outer.set(names::GEN_AI_REQUEST_MODEL, "x".repeat(1_000).as_str());
    outer.set(names::GEN_AI_USAGE_INPUT_TOKENS, 7_u64);
    outer.set(names::GEN_AI_RESPONSE_FINISH_REASONS, &["stop"][..]);
    outer.set(names::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, 0.5);
    trace_context::with(outer.scope(), || {
        let mut inner = Span::begin(Kind::Internal, "inner");
        inner.fail("timed_out");
        inner.fail("another");
        inner.link(&TraceContext::named(5));
    });
    drop(outer);
    traces::run_begun(0x0123_4567_89ab_cdef_0000_0000_0000_0002, "the-run");
    drop(Span::of_request("GET /things/{id}", began));
}

#[test]
fn spans_of_chosen_traces_are_recorded_in_the_form_of_otlp() {
    // Nobody has said yet that anything is recorded.
    assert!(!traces::is_decided());
    trace_context::with(scope("01"), work);
    assert!(traces::is_empty() && traces::take().is_none());
    assert!(
        scope("01").unwrap().trace.is_sampled() && !scope("00").unwrap().trace.is_sampled(),
        "what was said goes on"
    );

    traces::record("chat", Sampling::parse("parent", "").unwrap());
    trace_context::with(scope("00"), work);
    trace_context::with(None, work);
    assert!(traces::is_empty(), "none of these is recorded");

    let current = scope("01");
    trace_context::with(current.clone(), work);
    let batch = traces::take().unwrap();
    assert_eq!((batch.spans, batch.lost, traces::read(&batch.body)), (4, 0, Some(4)));
    assert!(traces::take().is_none(), "each is taken once");
    let twice = [batch.body.clone(), batch.body.clone()].concat();
    assert_eq!(traces::read(&twice), Some(8), "batches are gathered by writing one behind the other");
    assert_eq!(traces::read(b"no batch"), None);
    assert_eq!(traces::read(&batch.body[..batch.body.len() - 1]), None, "it is cut");
    // Empty messages, of which a collector would make much more than their two bytes: 3,000 spans of one scope of one resource.
    let field = |number: u8, contents: &[u8]| {
        let mut message = vec![number << 3 | 2];
        prost::encoding::encode_varint(contents.len() as u64, &mut message);
        [message, contents.to_vec()].concat()
    };
    let many = |count| field(1, &field(2, &field(2, &[]).repeat(count)));
    assert_eq!((traces::read(&many(2_000)), traces::read(&many(3_000))), (Some(2_000), None));

    let request = ExportTraceServiceRequest::decode(batch.body.as_slice()).unwrap();
    let [of_resource] = request.resource_spans.try_into().unwrap();
    let resource = of_resource.resource.unwrap();
    let about = text(&resource.attributes);
    assert_eq!(about[..2], [("service.namespace", "edge-assistant".to_owned()), ("service.name", "chat".to_owned())]);
    assert_eq!((about[2].0, about[3].0, about[3].1.len()), ("service.version", "service.instance.id", 16));
    let [of_scope] = of_resource.scope_spans.try_into().unwrap();
    let [inner, outer, begun, request]: [Recorded; 4] = of_scope.spans.try_into().unwrap();

    let own = current.unwrap().trace;
    assert_eq!((hex(&request.trace_id).as_str(), hex(&request.span_id)), (TRACE, own.span_id()));
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!((request.name.as_str(), request.kind), ("GET /things/{id}", SpanKind::Server.into()));
    assert_eq!((&outer.parent_span_id, &inner.parent_span_id), (&request.span_id, &outer.span_id));
    assert_eq!(
        (outer.name.as_str(), outer.kind, inner.kind),
        ("chat m", SpanKind::Client.into(), SpanKind::Internal.into())
    );
    let said = text(&outer.attributes);
    assert_eq!((said[0].0, said[0].1.len()), ("gen_ai.request.model", 256), "long texts are cut");
    assert_eq!(
        said[1..],
        [
            ("gen_ai.usage.input_tokens", "7".to_owned()),
            ("gen_ai.response.finish_reasons", "1 values".to_owned()),
            ("gen_ai.response.time_to_first_chunk", "0.5".to_owned()),
        ]
    );
    assert_eq!(text(&inner.attributes), [("error.type", "timed_out".to_owned())]);
    let status = inner.status.clone().unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error.into(), ""));
    assert_eq!(hex(&inner.links[0].trace_id), format!("{:032x}", 5));
    assert_eq!(
        (hex(&begun.trace_id).as_str(), hex(&begun.span_id).as_str()),
        ("0123456789abcdef0000000000000002", "0000000000000002")
    );
    assert_eq!((begun.kind, &begun.links[0].span_id), (SpanKind::Producer.into(), &request.span_id));
    for span in [&inner, &outer, &begun, &request] {
        assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano);
        assert!(span.start_time_unix_nano >= request.start_time_unix_nano.saturating_sub(1_000_000));
    }

    assert!(inner.attributes.len() == 1, "a failure has one code");
    let lots = scope("01");
    trace_context::with(lots, || (0..3_000).for_each(|_| drop(Span::begin(Kind::Internal, "x"))));
    let batch = traces::take().unwrap();
    assert_eq!((batch.spans, batch.lost), (2_048, 952), "nothing grows without end");

    // Batches leave one after the other, with pauses, and what is not taken is told of.
    let (sent, pauses, lost) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()), Cell::new(0));
    let record = || trace_context::with(scope("01"), || drop(Span::begin(Kind::Internal, "x")));
    let sleep = async |pause: Duration| pauses.borrow_mut().push(pause);
    let send = async |body: Vec<u8>| {
        sent.borrow_mut().push(traces::read(&body));
        if sent.borrow().len() == 1 {
            record();
        }
        sent.borrow().len() == 1
    };
    let send_all = || traces::sending(&sleep, &send, |count| lost.set(count));
    assert!(send_all().is_none(), "there is nothing");
    record();
    let sending = send_all().unwrap();
    assert!(send_all().is_none(), "somebody is about to");
    block_on(sending);
    assert_eq!((sent.into_inner(), lost.get()), (vec![Some(1), Some(1)], 1));
    let [first, second] = pauses.into_inner().try_into().unwrap();
    assert!(first < Duration::from_millis(100) && second >= Duration::from_secs(1), "{first:?}, {second:?}");
}
