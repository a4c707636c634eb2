//! Calls a tool, in as many rounds as the server needs to get its input.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Client, ClientError, Input, Progress, Transport,
    exchange::{Call, OnProgress, raw, reborrow},
    passing::parsed,
};
use crate::{
    header, lenient,
    model::{Content, Map, Tool},
    provider::{FailureKind, InputNeeded, Outcome},
    task::{CallAnswer, MAX_TTL, Task, Tasks},
    wire::{Era, HEADER_MISMATCH, META_FAILURE, TOOLS_CALL},
};

/// The most rounds of a call. A server that asks for input more often is in a loop.
const MAX_ROUNDS: usize = 8;

/// The fields of a result, in all spellings that servers use.
const PARTS: [&str; 8] = [
    "content",
    "contents",
    "structuredContent",
    "structured_content",
    "toolResult",
    "tool_result",
    "isError",
    "is_error",
];

/// A tool's result.
#[derive(Clone, PartialEq, Debug)]
pub struct CallResult {
    /// The content, for the model.
    pub content: Vec<Content>,
    /// The structured result, for programs.
    pub structured: Option<Value>,
    /// Whether the tool failed. If so, `content` says why.
    pub is_error: bool,
    /// The kind of failure, if the server names it. Untrusted.
    pub failure: Option<FailureKind>,
}

impl CallResult {
    /// Reads any result. The call was made, so everything in it that can be read is kept.
    pub(crate) fn read(result: Value) -> Self {
        let Value::Object(mut fields) = result else {
            return Self { content: lenient::contents(result), structured: None, is_error: false, failure: None };
        };
        let is_of_protocol = PARTS.iter().any(|part| fields.contains_key(*part));
        let meta = fields.remove("_meta");
        let failure = meta.as_ref().and_then(|meta| FailureKind::deserialize(meta.get(META_FAILURE)?).ok());
        fields.remove("resultType");
        if !is_of_protocol && !fields.is_empty() {
            // Without any field of the protocol, the object is the tool's own output.
            return Self {
                content: Vec::new(),
                structured: Some(Value::Object(fields)),
                is_error: false,
                failure: None,
            };
        }
        let mut take = |key: &str| fields.remove(key).filter(|value| !value.is_null());
        let mut either = |key: &str, other: &str| take(key).or_else(|| take(other));
        Self {
            failure,
            content: either("content", "contents").map(lenient::contents).unwrap_or_default(),
            // `toolResult` comes from the first revision, and the names with `_` from Python.
            structured: either("structuredContent", "structured_content")
                .or_else(|| either("toolResult", "tool_result")),
            is_error: either("isError", "is_error").is_some_and(|flag| lenient::flag(&flag)),
        }
    }
}

impl From<CallResult> for Outcome {
    fn from(result: CallResult) -> Self {
        Self { content: result.content, structured: result.structured, is_error: result.is_error }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kind {
    #[serde(default, deserialize_with = "lenient::field")]
    pub(super) result_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::field")]
    pub(super) input_requests: Map,
    #[serde(default, deserialize_with = "lenient::field")]
    pub(super) request_state: Option<String>,
}

impl From<Kind> for InputNeeded {
    fn from(kind: Kind) -> Self {
        Self { requests: kind.input_requests, state: kind.request_state }
    }
}

impl<T: Transport> Client<T> {
    /// Calls a tool of the listing. `arguments` is a JSON object and is sent unchanged. `meta` becomes `_meta`, with the protocol's own keys added.
    /// The server is asked for progress only if `on_progress` is given.
    ///
    /// # Errors
    /// [`ClientError`]. A tool that failed is a result with `is_error`.
    pub async fn call_tool(
        &self,
        tool: &Tool,
        arguments: &RawValue,
        meta: Map,
        on_progress: Option<&mut dyn FnMut(Progress)>,
    ) -> Result<CallResult, ClientError> {
        result_of(self.call_tool_or_task(tool, arguments, meta, on_progress, Tasks::Never).await?)
    }

    /// Like [`Self::call_tool`], but the call may become a task, as `tasks` says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call_tool_or_task(
        &self,
        tool: &Tool,
        arguments: &RawValue,
        meta: Map,
        on_progress: Option<&mut dyn FnMut(Progress)>,
        tasks: Tasks,
    ) -> Result<CallAnswer, ClientError> {
        self.call_as_defined(tool, arguments, &meta, None, on_progress, tasks).await
    }

    /// Calls a tool, and once more if its definition has changed. With `passed`, the server's requests for input go to another client, which answers
    /// them with its next call. Without it, they are answered here.
    pub(super) async fn call_as_defined(
        &self,
        tool: &Tool,
        arguments: &RawValue,
        meta: &Map,
        passed: Option<&Input>,
        mut on_progress: Option<OnProgress<'_>>,
        tasks: Tasks,
    ) -> Result<CallAnswer, ClientError> {
        let answer = self.rounds(tool, arguments, meta, passed, reborrow(&mut on_progress), tasks).await;
        if !matches!(answer, Err(ClientError::Protocol { code: HEADER_MISMATCH, .. })) {
            return answer;
        }
        // The tool's definition has changed, and the server has not made the call.
        let listing = self.list_tools().await?;
        match listing.tools.iter().find(|new| new.name == tool.name) {
            Some(tool) => self.rounds(tool, arguments, meta, passed, on_progress, tasks).await,
            None => answer,
        }
    }

    async fn rounds(
        &self,
        tool: &Tool,
        arguments: &RawValue,
        meta: &Map,
        passed: Option<&Input>,
        mut on_progress: Option<OnProgress<'_>>,
        tasks: Tasks,
    ) -> Result<CallAnswer, ClientError> {
        let era = self.connect().await?;
        let headers = match era {
            Era::Modern => parameter_headers(tool, arguments)?,
            Era::Legacy => Vec::new(),
        };
        let asks_for_task =
            era == Era::Legacy && self.makes_tasks_when_asked() && tool.execution.task_support.asks(tasks);
        let mut input = passed.cloned().unwrap_or_default();
        for _ in 0..MAX_ROUNDS {
            let mut call = Call::new(TOOLS_CALL);
            call.name = Some(&tool.name);
            call.meta = meta.clone();
            call.headers.clone_from(&headers);
            call.takes_task = tasks != Tasks::Never;
            call.params.insert("name", raw(&tool.name)?);
            call.params.insert("arguments", arguments.to_owned());
            if asks_for_task {
                let ttl_ms = u64::try_from(MAX_TTL.as_millis()).unwrap_or(u64::MAX);
                call.params.insert("task", raw(&serde_json::json!({"ttl": ttl_ms}))?);
            }
            input.add_to(&mut call.params)?;
            let result = self.exchange(call, reborrow(&mut on_progress)).await?;
            if asks_for_task && let Some(task) = Task::read_packed(&result) {
                let task = task.map_err(ClientError::Malformed)?;
                return Ok(CallAnswer::Task(Task { session: self.kept_session(), ..task }));
            }
            // A result that is not an object has no `resultType`.
            let kind: Kind = serde_json::from_str(result.get()).unwrap_or_default();
            match kind.result_type.as_deref() {
                None | Some("complete") => return parsed(&result).map(CallResult::read).map(CallAnswer::Result),
                Some("task") if tasks != Tasks::Never => {
                    let task = Task::read(&result).map_err(ClientError::Malformed)?;
                    return Ok(CallAnswer::Task(Task { session: self.kept_session(), ..task }));
                }
                Some("input_required") if passed.is_some() => return Err(ClientError::InputRequired(kind.into())),
                Some("input_required") => input = self.give(kind)?,
                Some(other) => return Err(ClientError::Malformed(format!("the resultType {other:?} is unknown"))),
            }
        }
        Err(ClientError::Malformed(format!("input was asked for {MAX_ROUNDS} times")))
    }

    /// Answers all of the server's requests. If one cannot be answered, none is.
    fn give(&self, kind: Kind) -> Result<Input, ClientError> {
        let answer = |request: &Value| {
            let input = self.options.input.as_ref()?;
            (input.answer)(request.get("method")?.as_str()?, request.get("params").unwrap_or(&Value::Null))
        };
        let responses: Option<Map> =
            kind.input_requests.iter().map(|(key, request)| Some((key.clone(), answer(request)?))).collect();
        match responses {
            Some(responses) if !responses.is_empty() || kind.request_state.is_some() => {
                Ok(Input { responses, state: kind.request_state, ..Input::default() })
            }
            _ => Err(ClientError::InputRequired(kind.into())),
        }
    }
}

/// The result of a call that must not become a task.
pub(super) fn result_of(answer: CallAnswer) -> Result<CallResult, ClientError> {
    match answer {
        CallAnswer::Result(result) => Ok(result),
        CallAnswer::Task(_) => Err(ClientError::Malformed("it is a task, and none was asked for".to_owned())),
    }
}

fn parameter_headers(
    tool: &Tool,
    arguments: &RawValue,
) -> Result<Vec<(http::HeaderName, http::HeaderValue)>, ClientError> {
    let parameters = header::parameters(&tool.input_schema).map_err(ClientError::Request)?;
    if parameters.is_empty() {
        return Ok(Vec::new());
    }
    let arguments: Map =
        serde_json::from_str(arguments.get()).map_err(|error| ClientError::Request(error.to_string()))?;
    let said = parameters.iter().filter_map(|it| Some((it.header.clone(), it.header_value(&arguments)?)));
    Ok(said.collect())
}
