//! What is recorded of this server's answers ([`traces`]), and its way to `ops`, which passes it on. The server itself reaches no collector: a provider that is
//! composed with it may go wherever it may, and reads its variables (docs/adr/0053).

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use spin_sdk::{variables, wasip3::spawn};
use traces::{Sampling, Span, names};

/// Where `ops` takes spans (`components/ops/src/traces.rs`).
const COLLECTED: &str = "http://ops.spin.internal/internal/traces";

/// The time between two batches of one instance, and before the first, in which the answer leaves.
const INTERVAL: Duration = Duration::from_secs(1);

/// The method of a call, whose name is a tool.
const TOOLS_CALL: &str = "tools/call";

thread_local! {
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Has this instance record spans, if the configuration names a collector. `audience` is this server's id.
pub(crate) async fn set_up(audience: &str) {
    let endpoint = variables::get("otlp_endpoint").await.unwrap_or_default();
    let sampling = variables::get("otlp_sampling").await.unwrap_or_default();
    // As in `platform/src/tracing.rs`: all components decide alike.
    if let Ok(sampling) = Sampling::parse(&sampling, endpoint.trim())
        && !endpoint.trim().is_empty()
    {
        traces::record(audience, sampling);
    }
}

/// Records an answer (OpenTelemetry, "Semantic conventions for Model Context Protocol", "Server"), as far as the headers say what was asked.
pub(crate) fn record(headers: &HeaderMap, status: StatusCode, began: Instant) {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let method = said("mcp-method");
    // Other names are of resources and prompts: what is in an address may be somebody's.
    let tool = Some(said("mcp-name")).filter(|tool| method == TOOLS_CALL && !tool.is_empty());
    let mut span = match tool {
        Some(tool) => Span::of_request(format_args!("{method} {tool}"), began),
        None => Span::of_request(method, began),
    };
    span.set(names::MCP_METHOD_NAME, method);
    span.set(names::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
    if let Some(tool) = tool {
        span.set(names::GEN_AI_OPERATION_NAME, "execute_tool");
        span.set(names::GEN_AI_TOOL_NAME, tool);
    }
    if !status.is_success() {
        span.fail(status.as_str());
    }
}

/// Sends what was recorded in a while, unless somebody is about to.
pub(crate) fn soon() {
    if traces::is_empty() || IS_WAITING.replace(true) {
        return;
    }
    spawn(async {
        spin_sdk::time::sleep(INTERVAL).await;
        while let Some(batch) = traces::take() {
            let request = Request::post(COLLECTED).header(header::CONTENT_TYPE, "application/x-protobuf");
            if let Ok(request) = request.body(Bytes::from(batch.body)) {
                let _ = outgoing::send(request).await;
            }
        }
        IS_WAITING.set(false);
    });
}
