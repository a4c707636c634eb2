//! A request to a server as a span (OpenTelemetry, "Semantic conventions for Model Context Protocol", "Client"). Of what is asked and answered, it has the
//! method and the tool's name.

use serde::Deserialize;
use serde_json::value::RawValue;
use traces::{Kind, Span, names};

use super::{ClientError, TransportError};
use crate::wire::TOOLS_CALL;

/// What the convention calls the failure of a tool that is a result.
const TOOL_ERROR: &str = "tool_error";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(default)]
    is_error: bool,
}

/// Sends a request in a span of its own. `version`: the revision, if every server of this era speaks it.
pub(super) async fn traced(
    (method, name): (&'static str, Option<&str>),
    version: Option<&str>,
    exchange: impl Future<Output = Result<Box<RawValue>, ClientError>>,
) -> Result<Box<RawValue>, ClientError> {
    // Other names are of resources and prompts: what is in an address may be somebody's.
    let tool = name.filter(|_| method == TOOLS_CALL);
    let mut span = match tool {
        Some(tool) => Span::begin(Kind::Client, format_args!("{method} {tool}")),
        None => Span::begin(Kind::Client, method),
    };
    span.set(names::MCP_METHOD_NAME, method);
    if let Some(version) = version {
        span.set(names::MCP_PROTOCOL_VERSION, version);
    }
    if let Some(tool) = tool {
        span.set(names::GEN_AI_OPERATION_NAME, "execute_tool");
        span.set(names::GEN_AI_TOOL_NAME, tool);
    }
    let answer = trace_context::within(span.scope(), exchange).await;
    match &answer {
        Ok(result) if span.is_recorded() && tool.is_some() => {
            if serde_json::from_str(result.get()).is_ok_and(|Said { is_error }| is_error) {
                span.fail(TOOL_ERROR);
            }
        }
        Ok(_) => {}
        Err(error) => span.fail(&code(error)),
    }
    answer
}

/// A code for an error, without the server's words.
fn code(error: &ClientError) -> String {
    let code = match error {
        ClientError::Transport(error) => match error {
            TransportError::NotAllowed(_) => "not_allowed",
            TransportError::NoName(_) => "no_name",
            TransportError::Refused(_) => "refused",
            TransportError::Tls(_) => "tls",
            TransportError::Absent => "absent",
            TransportError::Connection(_) => "connection",
            TransportError::TimedOut => "timed_out",
        },
        ClientError::Http { status, .. } | ClientError::Moved { status, .. } => status.as_str(),
        ClientError::Protocol { code, .. } => return code.to_string(),
        ClientError::SessionEnded => "session_ended",
        ClientError::TooLarge | ClientError::TooManyMessages => "too_large",
        ClientError::InputRequired(_) => "input_required",
        ClientError::Version(_) => "version",
        ClientError::Malformed(_) => "malformed",
        ClientError::Request(_) => "request",
    };
    code.to_owned()
}
