//! What is recorded of this server's answers ([`traces`]), and its way to `ops`, which passes it on. The server itself reaches no collector: a provider that is
//! composed with it may go wherever it may, and reads its variables (docs/adr/0053).

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use spin_sdk::{variables, wasip3::spawn};
use traces::{COLLECTED, MEDIA_TYPE, Span, names};

/// The method of a call, whose name is a tool.
const TOOLS_CALL: &str = "tools/call";

/// Decides what this instance records, before its first request: nothing without `name`, this server's id.
pub(crate) async fn set_up(name: Option<&str>) {
    let variable = async |name: &str| variables::get(name).await.unwrap_or_default().trim().to_owned();
    traces::set_up(name, variable).await;
}

/// The span of a request that is answered since `began` (OpenTelemetry, "Semantic conventions for Model Context Protocol", "Server"), as far as the headers say
/// what is asked.
pub(crate) fn begin(headers: &HeaderMap, began: Instant) -> Span {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let method = said("mcp-method");
    // Other names are of resources and prompts: what is in an address may be somebody's.
    let tool = Some(said("mcp-name")).filter(|tool| method == TOOLS_CALL && !tool.is_empty());
    let mut span = match tool {
        Some(tool) => Span::of_request(format_args!("{method} {tool}"), began),
        None => Span::of_request(method, began),
    };
    span.set(names::MCP_METHOD_NAME, method);
    if let Some(tool) = tool {
        span.set(names::GEN_AI_OPERATION_NAME, "execute_tool");
        span.set(names::GEN_AI_TOOL_NAME, tool);
    }
    span
}

/// It was answered.
pub(crate) fn end(mut span: Span, status: StatusCode) {
    span.set(names::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
    if !status.is_success() {
        span.fail(status.as_str());
    }
}

/// Sends what was recorded in a while, unless somebody is about to. What is lost here is not counted: there is no database.
pub(crate) fn soon() {
    if let Some(sending) = traces::sending(spin_sdk::time::sleep, send, |_| {}) {
        spawn(sending);
    }
}

async fn send(body: Vec<u8>) -> bool {
    let request = Request::post(COLLECTED).header(header::CONTENT_TYPE, MEDIA_TYPE).body(Bytes::from(body));
    let Ok(request) = request else { return false };
    outgoing::send(request).await.is_ok_and(|response| response.status().is_success())
}
