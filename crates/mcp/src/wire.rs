//! JSON-RPC 2.0 as the protocol uses it: versions, names, error codes and messages.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::lenient;

/// The stateless revision.
pub const MODERN_VERSION: &str = "2026-07-28";
/// The last revision that begins with `initialize`.
pub const LEGACY_VERSION: &str = "2025-11-25";
/// The versions that the server half supports, best first. 2025-06-18 differs in nothing that is sent here. Older versions require batches.
pub const SUPPORTED_VERSIONS: [&str; 3] = [MODERN_VERSION, LEGACY_VERSION, "2025-06-18"];

/// The two kinds of revisions that the specification distinguishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Era {
    /// 2026-07-28: every request names its version and the client's capabilities.
    Modern,
    /// 2025-11-25 and earlier: a client begins with `initialize`.
    Legacy,
}

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: the method is unknown.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: the params are invalid. MCP also uses this code for unknown tools, prompts and resources.
pub const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;
/// The resource is unknown, before 2026-07-28.
pub(crate) const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
/// A person must open a page first (2025-11-25, "URL Elicitation Required Error").
pub(crate) const URL_ELICITATION_REQUIRED: i64 = -32042;
pub(crate) const HEADER_MISMATCH: i64 = -32020;
/// The client did not declare a capability that the server needs.
pub const MISSING_CAPABILITY: i64 = -32021;
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;

pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const META_CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const META_CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The key in a result's `_meta` for its [`crate::FailureKind`].
pub(crate) const META_FAILURE: &str = "edge-assistant/failure";
/// The key in the `_meta` of a list of tools for the server's [`crate::Features`].
pub(crate) const META_FEATURES: &str = "edge-assistant/features";
pub(crate) const META_SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The key in `_meta` that names the task to which a message belongs, in 2025-11-25.
pub(crate) const META_RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
pub(crate) const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// The extension that lets a call continue as a task (SEP-2663).
pub(crate) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
pub(crate) const PROGRESS_TOKEN: &str = "progressToken";

/// The method of a call.
pub(crate) const TOOLS_CALL: &str = "tools/call";

pub(crate) const HEADER_VERSION: &str = "mcp-protocol-version";
pub(crate) const HEADER_METHOD: &str = "mcp-method";
pub(crate) const HEADER_NAME: &str = "mcp-name";
pub(crate) const HEADER_SESSION: &str = "mcp-session-id";

/// An incoming request, notification or response.
#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(default, deserialize_with = "lenient::field")]
    pub(crate) jsonrpc: String,
    /// `Some(Null)` is an id that is `null`. No request may have it; some error responses do.
    #[serde(default, deserialize_with = "present")]
    pub(crate) id: Option<Value>,
    #[serde(default, deserialize_with = "lenient::field")]
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) params: Option<Box<RawValue>>,
    /// `null` counts as a result: that of a tool that returns nothing.
    #[serde(default, deserialize_with = "present")]
    pub(crate) result: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) error: Option<RpcError>,
}

impl Message {
    /// Whether the message answers the request with this id. Some servers send the id as a string or as a fraction.
    pub(crate) fn answers(&self, id: u64) -> bool {
        match &self.id {
            Some(Value::Number(number)) => number.as_u64() == Some(id) || number.as_f64() == Some(id as f64),
            Some(Value::String(text)) => text.trim() == id.to_string(),
            _ => false,
        }
    }

    /// Whether the message has no id.
    pub(crate) fn is_unnamed(&self) -> bool {
        matches!(self.id, None | Some(Value::Null))
    }
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A JSON-RPC error.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
}

impl<'de> Deserialize<'de> for RpcError {
    /// Accepts every form of error that servers send: a string, an object without a code, a code as a string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = match Value::deserialize(deserializer)? {
            Value::Object(fields) => fields,
            Value::String(message) => return Ok(Self::new(INTERNAL_ERROR, message)),
            other => return Ok(Self::new(INTERNAL_ERROR, other.to_string())),
        };
        let code = match fields.get("code") {
            Some(Value::Number(code)) => code.as_i64().or_else(|| code.as_f64().map(|code| code as i64)),
            Some(Value::String(code)) => code.trim().parse().ok(),
            _ => None,
        };
        let message = match fields.get("message") {
            Some(Value::String(message)) => message.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let data = fields.get("data").filter(|data| !data.is_null()).cloned();
        Ok(Self { code: code.unwrap_or(INTERNAL_ERROR), message, data })
    }
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// An outgoing message.
#[derive(Serialize)]
pub(crate) struct Outgoing<'a, T: Serialize> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    #[serde(flatten)]
    content: Content<'a, T>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a, T> {
    Call { method: &'a str, params: T },
    Result { result: T },
    Error { error: T },
}

/// Sent in place of a message that cannot be written as JSON, so that the other side gets an answer.
const UNWRITABLE: &[u8] =
    br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"The answer cannot be written as JSON"}}"#;

fn to_vec<T: Serialize>(id: Option<&Value>, content: Content<'_, T>) -> Vec<u8> {
    serde_json::to_vec(&Outgoing { jsonrpc: "2.0", id, content }).unwrap_or_else(|_| UNWRITABLE.to_vec())
}

/// A request, or a notification if there is no id.
pub(crate) fn call(id: Option<&Value>, method: &str, params: impl Serialize) -> Vec<u8> {
    to_vec(id, Content::Call { method, params })
}

pub(crate) fn result(id: &Value, result: impl Serialize) -> Vec<u8> {
    to_vec(Some(id), Content::Result { result })
}

pub(crate) fn error(id: Option<&Value>, error: &RpcError) -> Vec<u8> {
    to_vec(id, Content::Error { error })
}
