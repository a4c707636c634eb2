//! What servers do wrong, and the way to them, as calls tell it.

use std::time::Duration;

use mcp::{ClientError, INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_CAPABILITY, TransportError};
use serde_json::Value;
use toolbox::{CallFailure, KnownTool};

/// What a component of this installation did wrong, or that there is none. It speaks the protocol as the adapter does: an answer that breaks off
/// means that the component ended.
pub(crate) fn failed_here(tool: &KnownTool, error: ClientError, after: Duration) -> CallFailure {
    let component = format!("mcp-{}", tool.server);
    match error {
        ClientError::Transport(TransportError::Absent) => CallFailure::NotInstalled { component },
        ClientError::Http { status, .. } if status == http::StatusCode::INTERNAL_SERVER_ERROR => {
            CallFailure::Crashed { component, seconds: after.as_secs() }
        }
        ClientError::Transport(TransportError::Connection(_)) | ClientError::Malformed(_) => {
            CallFailure::Crashed { component, seconds: after.as_secs() }
        }
        // Servers elsewhere give this number what meaning they like, and their words are all there is to it.
        ClientError::Protocol { code: MISSING_CAPABILITY, data, .. } => unanswerable(data.as_ref()),
        other => failed(tool, other),
    }
}

/// What our adapter says of a question that nobody can be asked.
pub(crate) fn unanswerable(data: Option<&Value>) -> CallFailure {
    let question = data.and_then(|data| data.get("detail")?.as_str()).unwrap_or_default().to_owned();
    let capabilities = data.and_then(|data| data.get("requiredCapabilities")?.as_object()).cloned().unwrap_or_default();
    CallFailure::Unanswerable { question, capabilities }
}

/// What a server or the way to it did wrong. Its own words are other people's: the crate `toolbox` cuts them.
pub(crate) fn failed(tool: &KnownTool, error: ClientError) -> CallFailure {
    match error {
        ClientError::Transport(TransportError::TimedOut) => CallFailure::TimedOut,
        ClientError::Transport(TransportError::Connection(cause)) => {
            broken_off(tool, &format!("the connection to its server broke: {cause}"))
        }
        ClientError::Transport(error) => CallFailure::Unreachable(error.to_string()),
        ClientError::TooLarge => CallFailure::TooLarge,
        ClientError::InputRequired(needed) => CallFailure::InputNeeded(needed),
        ClientError::Protocol { code: INVALID_PARAMS, message, .. } => CallFailure::InvalidArguments(message),
        ClientError::Protocol { code: METHOD_NOT_FOUND, .. } => CallFailure::Unknown,
        ClientError::Http { status, .. } if status.is_server_error() => {
            broken_off(tool, &format!("its server broke off the call ({status})"))
        }
        ClientError::Http { status, .. } if status == http::StatusCode::UNAUTHORIZED => {
            CallFailure::NotConfigured("its server wants an authorization that it was not given".to_owned())
        }
        ClientError::Malformed(_) | ClientError::TooManyMessages => broken_off(tool, &error.to_string()),
        other => CallFailure::Upstream(other.to_string()),
    }
}

/// The call may have reached the server, and its result did not come back.
fn broken_off(tool: &KnownTool, words: &str) -> CallFailure {
    let unknown = if tool.reads_only() { "" } else { "; whether the call took effect is not known" };
    CallFailure::Upstream(format!("{words}{unknown}"))
}
