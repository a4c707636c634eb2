//! Passes requests of another client on to a server that speaks 2026-07-28, one round each. When the server asks for input, its requests go to that
//! client, and the answers come with that client's next request (2026-07-28, "Multi Round-Trip Requests").

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    CallResult, Client, ClientError, Transport,
    call::{Kind, result_of},
    exchange::{Call, Params, raw},
};
use crate::{
    model::{Map, ResourceContents, Tool},
    provider::{Completion, CompletionReference, CompletionRequest, PromptContent},
    task::Tasks,
    wire::META_CLIENT_CAPABILITIES,
};

/// The other client's capabilities and its answers.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Input {
    /// The other client's capabilities. The server must not ask for anything else.
    pub capabilities: Map,
    /// The other client's answers, by the server's keys.
    pub responses: Map,
    /// The state that the server sent with its requests for input.
    pub state: Option<String>,
}

impl Input {
    /// Whether this is the first round.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.responses.is_empty() && self.state.is_none()
    }

    /// Adds the answers and the state to a request.
    pub(super) fn add_to(&self, params: &mut Params) -> Result<(), ClientError> {
        if !self.responses.is_empty() {
            params.insert("inputResponses", raw(&self.responses)?);
        }
        if let Some(state) = &self.state {
            params.insert("requestState", raw(state)?);
        }
        Ok(())
    }

    /// Declares the other client's capabilities in a request's `_meta`.
    fn declare_in(&self, meta: &mut Map) {
        meta.insert(META_CLIENT_CAPABILITIES.to_owned(), Value::Object(self.capabilities.clone()));
    }
}

impl<T: Transport> Client<T> {
    /// Calls a tool, as [`Self::call_tool`] does, in one round.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::InputRequired`] if the server asks for input.
    pub async fn pass_call(
        &self,
        tool: &Tool,
        arguments: &RawValue,
        mut meta: Map,
        input: &Input,
        on_progress: Option<&mut dyn FnMut(super::Progress)>,
    ) -> Result<CallResult, ClientError> {
        input.declare_in(&mut meta);
        result_of(self.call_as_defined(tool, arguments, &meta, Some(input), on_progress, Tasks::Never).await?)
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// As [`Self::pass_call`].
    pub async fn read_resource(
        &self,
        uri: &str,
        meta: Map,
        input: &Input,
    ) -> Result<Vec<ResourceContents>, ClientError> {
        #[derive(Deserialize)]
        struct Read {
            contents: Vec<ResourceContents>,
        }
        let mut call = Call::new("resources/read");
        call.name = Some(uri);
        call.meta = meta;
        call.params.insert("uri", raw(&uri)?);
        let result = self.round(call, input).await?;
        parsed(&result).map(|read: Read| read.contents)
    }

    /// Gets a prompt, filled with arguments.
    ///
    /// # Errors
    /// As [`Self::pass_call`].
    pub async fn get_prompt(
        &self,
        name: &str,
        arguments: &Map,
        meta: Map,
        input: &Input,
    ) -> Result<PromptContent, ClientError> {
        let mut call = Call::new("prompts/get");
        call.name = Some(name);
        call.meta = meta;
        call.params.insert("name", raw(&name)?);
        call.params.insert("arguments", raw(arguments)?);
        parsed(&self.round(call, input).await?)
    }

    /// Asks for proposed values of an argument.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn complete(&self, request: &CompletionRequest, meta: Map) -> Result<Completion, ClientError> {
        #[derive(Deserialize)]
        struct Completed {
            completion: Completion,
        }
        let reference = match &request.reference {
            CompletionReference::Prompt(name) => json!({ "type": "ref/prompt", "name": name }),
            CompletionReference::Resource(uri) => json!({ "type": "ref/resource", "uri": uri }),
        };
        let mut call = Call::new("completion/complete");
        call.meta = meta;
        call.params.insert("ref", raw(&reference)?);
        call.params.insert("argument", raw(&json!({ "name": request.argument, "value": request.value }))?);
        call.params.insert("context", raw(&json!({ "arguments": request.others }))?);
        let result = self.exchange(call, None).await?;
        parsed(&result).map(|completed: Completed| completed.completion)
    }

    async fn round(&self, mut call: Call<'_>, input: &Input) -> Result<Box<RawValue>, ClientError> {
        input.declare_in(&mut call.meta);
        input.add_to(&mut call.params)?;
        let result = self.exchange(call, None).await?;
        let kind: Kind = serde_json::from_str(result.get()).unwrap_or_default();
        match kind.result_type.as_deref() {
            None | Some("complete") => Ok(result),
            Some("input_required") => Err(ClientError::InputRequired(kind.into())),
            Some(other) => Err(ClientError::Malformed(format!("the resultType {other:?} is unknown"))),
        }
    }
}

pub(super) fn parsed<'a, R: Deserialize<'a>>(json: &'a RawValue) -> Result<R, ClientError> {
    serde_json::from_str(json.get()).map_err(|error| ClientError::Malformed(error.to_string()))
}
