//! What is recorded of a turn: which requests there were and how they ended, and nothing of what was said.

use std::sync::Arc;

use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message as _;
use trace_context::{Scope, TraceContext};
use traces::Sampling;

use crate::{
    script::{Answer, answer, tool_call},
    world::World,
};

/// The spans of a turn that a reader executes whose trace is recorded, and all of their text.
async fn recorded(world: &World, said: &str) -> (Vec<Span>, String) {
    let run = world.send(said).await;
    let trace = TraceContext::continued(None).with_sampled(true);
    trace_context::within(Some(Arc::new(Scope { trace, request_id: None })), world.read(run, 0)).await;
    let batch = traces::take().unwrap();
    let request = ExportTraceServiceRequest::decode(batch.body.as_slice()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    (scopes.flat_map(|scope| scope.spans).collect(), String::from_utf8_lossy(&batch.body).into_owned())
}

/// One test: what was recorded is taken for the whole process.
#[tokio::test(start_paused = true)]
async fn a_turn_is_recorded_with_its_requests_and_without_what_was_said() {
    traces::record("stream", Sampling::parse("parent", "").unwrap());
    let call = tool_call(&[("c1", "mail_send", r#"{"to":"eve@example.org"}"#)]);
    let world = World::new([call, answer(&["A secret", " answer."])]).with_tool("mail_send", true);
    let (spans, text) = recorded(&world, "My question.").await;
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["chat m", "chat m", "invoke_agent"]);
    let run = spans.last().unwrap();
    assert!(spans[..2].iter().all(|span| span.parent_span_id == run.span_id && span.status.is_none()));
    assert_eq!(run.links.len(), 1);
    let has = |span: &Span, name: &str| span.attributes.iter().any(|attribute| attribute.key == name);
    for name in ["gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "gen_ai.response.time_to_first_chunk"] {
        assert!(has(&spans[1], name), "{name}: {spans:?}");
    }
    for said in ["question", "secret", "eve@", "mail_send"] {
        assert!(!text.contains(said), "{said} is recorded");
    }

    let world = World::new([Answer::Refuse(401, None, "the server's words".to_owned())]);
    let (spans, text) = recorded(&world, "My question.").await;
    assert!(spans.iter().all(|span| has(span, "error.type") && span.status.is_some()), "{spans:?}");
    assert!(text.contains("model_unauthorized") && !text.contains("words"), "{text}");
}
