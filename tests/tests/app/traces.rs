//! Traces: one turn with a tool is one trace through all components, as a collector of traces gets it; nothing that people say is in it; and a collector that is
//! away holds up nobody.

use std::{
    collections::BTreeMap,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Said},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Person, start_model, text, until};

use crate::rotel::Rotel;

const TRACE: &str = "5d0af7651916cd43dd8448eb211c8032";
const PARENT: &str = "b7ad6b7169203331";
/// What the person says, and what must be in no span.
const ARGUMENTS: &str = r#"{"time_zone":"Asia/Tokyo"}"#;

/// A turn has three requests. The component that sends spans waits two seconds for the one that takes them, and that ten for the collector.
const MAX_TURN: Duration = Duration::from_secs(5);

/// A span, and whose it is.
#[derive(Clone, Debug)]
struct Recorded {
    service: String,
    span: Span,
}

impl Recorded {
    fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.span.attributes, name)
    }

    fn is(&self, service: &str, name: &str) -> bool {
        self.service == service && self.span.name == name
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Said::StringValue(said) => said.clone(),
        Said::IntValue(said) => said.to_string(),
        Said::DoubleValue(said) => said.to_string(),
        other => format!("{other:?}"),
    })
}

fn digits(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A collector on this machine. It keeps what it gets, and passes it on to another.
#[derive(Clone, Default)]
struct Collector {
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    onward: Option<String>,
}

impl Collector {
    async fn start(onward: Option<String>) -> Result<(Self, String)> {
        let collector = Self { onward, ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/v1/traces", post(Self::receive)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((collector, url))
    }

    async fn receive(State(collector): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        collector.got.lock().unwrap_or_else(PoisonError::into_inner).push((headers.clone(), body.clone()));
        let Some(onward) = collector.onward else { return StatusCode::OK };
        let kind = headers.get(header::CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("none"));
        let request = reqwest::Client::new().post(format!("{onward}/v1/traces")).header(header::CONTENT_TYPE, kind);
        let answer = request.body(body).send().await;
        answer.map_or(StatusCode::BAD_GATEWAY, |answer| answer.status())
    }

    fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn spans(&self) -> Result<Vec<Recorded>> {
        let mut spans = Vec::new();
        for (headers, body) in self.got() {
            let body = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
                Some(b"gzip") => unpacked(&body)?,
                _ => body,
            };
            for of_resource in ExportTraceServiceRequest::decode(body)?.resource_spans {
                let resource = of_resource.resource.unwrap_or_default();
                let service = attribute(&resource.attributes, "service.name").context("whose spans are these?")?;
                let found = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(found.map(|span| Recorded { service: service.clone(), span }));
            }
        }
        Ok(spans)
    }
}

fn unpacked(body: &[u8]) -> Result<Bytes> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain)?;
    Ok(plain.into())
}

/// A turn with a tool, from the message to the last event, in one trace. Returns the run.
async fn turn(person: &Person) -> Result<String> {
    let conversation = person.converse("scripted-tool=clock_now-delay=0-ttft=0").await?;
    let traceparent = format!("00-{TRACE}-{PARENT}-00");
    let path = format!("/api/conversations/{conversation}/messages");
    let sent = person.request(Method::POST, &path).json(&json!({ "content": ARGUMENTS }));
    let sent: Value = sent.header("traceparent", &traceparent).send().await?.error_for_status()?.json().await?;
    let run = text(&sent, "/run/id")?;
    let events = person.request(Method::GET, &format!("/api/runs/{run}/events")).header("traceparent", &traceparent);
    let events = tests::Events::new(events.send().await?)?.all().await?;
    ensure!(events.last().is_some_and(|end| end.kind() == "complete"), "{events:?}");
    Ok(run)
}

#[tokio::test]
async fn a_turn_with_a_tool_is_one_trace_through_all_components_without_what_people_say() -> Result<()> {
    // What a collector that others made has understood is passed on to the last; without one, the first has it.
    let (last, address) = Collector::start(None).await?;
    let rotel = Rotel::start_or_skip(&address)?;
    let (first, url) = Collector::start(rotel.as_ref().map(|rotel| rotel.url.clone())).await?;
    let collector = if rotel.is_some() { &last } else { &first };
    let options = start_model()?.options().variable("otlp_endpoint", &url).variable("otlp_host", &url);
    let options = options.variable("otlp_headers", "x-tenant=t%2C1");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    let run = turn(&person).await?;

    // Each component sends what it has soon after.
    let spans = until("all spans have arrived", async || {
        let spans = collector.spans()?;
        let has = |service: &str, name: &str| spans.iter().any(|span| span.is(service, name));
        let is_complete = has("chat", "POST /api/conversations/{id}/messages")
            && has("stream", "invoke_agent")
            && has("tools", "POST /internal/calls")
            && has("mcp-clock", "tools/call now");
        Ok(is_complete.then_some(spans))
    })
    .await?;
    let of_trace: Vec<&Recorded> = spans.iter().filter(|span| digits(&span.span.trace_id) == TRACE).collect();
    let by_id: BTreeMap<String, &Recorded> = of_trace.iter().map(|span| (digits(&span.span.span_id), *span)).collect();
    ensure!(by_id.len() == of_trace.len(), "two spans have one id");
    let find = |service: &str, name: &str| {
        of_trace
            .iter()
            .find(|span| span.is(service, name))
            .with_context(|| format!("{name} of {service}: {of_trace:#?}"))
    };

    // From the provider of the tool up to whoever asked.
    let mut path = Vec::new();
    let mut at = Some(*find("mcp-clock", "tools/call now")?);
    while let Some(span) = at {
        path.push(format!("{} {}", span.service, span.span.name));
        let parent = digits(&span.span.parent_span_id);
        at = by_id.get(&parent).copied();
        ensure!(at.is_some() || parent == PARENT, "{path:?} is below nothing");
    }
    assert_eq!(
        path,
        [
            "mcp-clock tools/call now",
            "tools POST",
            "tools tools/call now",
            "tools POST /internal/calls",
            "stream POST",
            "stream invoke_agent",
            "stream GET /api/runs/{id}/events",
        ]
    );

    let model = *find("stream", "chat scripted-tool=clock_now-delay=0-ttft=0")?;
    assert_eq!(model.attribute("gen_ai.operation.name").as_deref(), Some("chat"));
    assert_eq!(model.span.kind, i32::from(SpanKind::Client));
    for known in ["gen_ai.provider.name", "gen_ai.usage.input_tokens", "gen_ai.response.time_to_first_chunk"] {
        ensure!(model.attribute(known).is_some(), "{known}: {model:#?}");
    }
    let below = |of: &Recorded, name: &str| {
        of_trace.iter().any(|span| span.span.parent_span_id == of.span.span_id && span.span.name == name)
    };
    ensure!(below(model, "POST"), "the request to the model's server");
    let message = *find("chat", "POST /api/conversations/{id}/messages")?;
    assert_eq!(digits(&message.span.parent_span_id), PARENT);
    assert_eq!(message.attribute("http.response.status_code").as_deref(), Some("201"));
    let statement = of_trace.iter().find(|span| span.span.parent_span_id == message.span.span_id);
    ensure!(statement.is_some_and(|span| span.attribute("db.system.name").is_some()), "a statement");

    // Whoever executes the run is linked to where it was begun, and that to the request.
    let executed = *find("stream", "invoke_agent")?;
    assert_eq!(executed.attribute("edge_assistant.run.id").as_ref(), Some(&run));
    let link = executed.span.links.first().context("a link")?;
    let begun = spans.iter().find(|span| span.span.trace_id == link.trace_id && span.span.span_id == link.span_id);
    let begun = begun.context("where it was begun")?;
    ensure!(begun.is("chat", "begin run") && digits(&begun.span.trace_id) == run.replace('-', ""), "{begun:#?}");
    let link = begun.span.links.first().context("a link")?;
    assert_eq!((digits(&link.trace_id).as_str(), &link.span_id), (TRACE, &message.span.span_id));

    // Whoever takes the spans of all records none, and nothing was lost.
    let scrape = until("scrapes are counted", async || {
        let scrape = person.request(Method::GET, "/metrics").send().await?.error_for_status()?.text().await?;
        Ok(scrape.contains("edge_assistant_http_requests_total{component=\"ops\"").then_some(scrape))
    })
    .await?;
    ensure!(scrape.contains("edge_assistant_spans_lost_total 0\n"), "{scrape}");
    ensure!(!first.spans()?.iter().any(|span| span.service == "ops"), "ops tells of itself");

    for (headers, body) in first.got() {
        assert_eq!(headers.get("x-tenant").context("the header of otlp_headers")?, "t,1");
        let body = String::from_utf8_lossy(&body).into_owned();
        for said in ["Asia/Tokyo", "time_zone", person.email.as_str(), "Bearer "] {
            ensure!(!body.contains(said), "{said} is in a span");
        }
    }
    Ok(())
}

#[tokio::test]
async fn nobody_waits_for_a_collector_that_does_not_answer() -> Result<()> {
    // Connections are made, and nobody accepts them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let options = start_model()?.options().variable("otlp_endpoint", &url).variable("otlp_host", &url);
    let Some((host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    turn(&person).await?;
    // By now, the first spans wait for the collector. Each request that waited with them would take seconds.
    for _ in 0..3 {
        let began = Instant::now();
        turn(&person).await?;
        ensure!(began.elapsed() < MAX_TURN, "a turn took {:?}", began.elapsed());
    }
    drop(listener);
    until("it is told in the log", async || {
        let log = std::fs::read_to_string(host.state_folder().join("logs/ops_stdout.txt")).unwrap_or_default();
        Ok(log.contains("traces could not be sent").then_some(()))
    })
    .await
}
