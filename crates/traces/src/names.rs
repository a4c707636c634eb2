//! The names of attributes: those of OpenTelemetry's semantic conventions (<https://opentelemetry.io/docs/specs/semconv/>; of models and MCP:
//! <https://github.com/open-telemetry/semantic-conventions-genai>), and a few of ours. `docs/traces.md` says which span has which.

// Ours.
/// The run, as the log names it.
pub const RUN_ID: &str = "edge_assistant.run.id";
/// 1 for the first executor of the run.
pub const RUN_ATTEMPT: &str = "edge_assistant.run.attempt";

// Of every failure.
/// Its code.
pub const ERROR_TYPE: &str = "error.type";

// HTTP.
/// The method.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The status.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The template of the route.
pub const HTTP_ROUTE: &str = "http.route";
/// Who is asked: the host's name.
pub const SERVER_ADDRESS: &str = "server.address";
/// And its port.
pub const SERVER_PORT: &str = "server.port";

// Databases.
/// Which database.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// The statement's name.
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";

// Models and tools.
/// What is done: `chat`, `invoke_agent`, `execute_tool`.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// Who is asked: the provider's name in the configuration.
pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The model that is asked for.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// Why the model stopped.
pub const GEN_AI_RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds from the request to the first piece of the answer.
pub const GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// Tokens of the request.
pub const GEN_AI_USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens of the answer.
pub const GEN_AI_USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// The conversation's id.
pub const GEN_AI_CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// The tool's name.
pub const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
/// The method of the protocol.
pub const MCP_METHOD_NAME: &str = "mcp.method.name";
/// The protocol's revision.
pub const MCP_PROTOCOL_VERSION: &str = "mcp.protocol.version";

// Whose spans they are.
/// What all components are parts of.
pub(crate) const SERVICE_NAMESPACE: &str = "service.namespace";
/// The component.
pub(crate) const SERVICE_NAME: &str = "service.name";
/// The release.
pub(crate) const SERVICE_VERSION: &str = "service.version";
/// The instance.
pub(crate) const SERVICE_INSTANCE_ID: &str = "service.instance.id";
