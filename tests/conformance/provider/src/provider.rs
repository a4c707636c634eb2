//! The fixture as a provider of the crate `mcp`.

use std::rc::Rc;

use futures::stream;
use mcp::{
    Answer, Completion, CompletionRequest, Context, Description, Failure, Map, PromptContent, Provider, Reply,
    ResourceContents, ToolCall,
};

use crate::{Input, Step, asking, content, tools};

/// Long enough for a cache to be useful, short enough not to wait for.
const TTL_MS: u64 = 60_000;

/// The suite's server as a native provider.
#[derive(Clone, Copy, Default, Debug)]
pub struct Fixture;

fn input<'a>(arguments: &'a Map, context: &'a Context) -> Input<'a> {
    Input {
        arguments,
        responses: &context.input_responses,
        state: context.request_state.as_deref(),
        capabilities: &context.client_capabilities,
    }
}

impl Provider for Fixture {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        Ok(Rc::new(Description {
            name: "conformance".to_owned(),
            title: Some("Conformance".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: Some("Only for tests.".to_owned()),
            tools: tools::list(),
            resources: content::resources(),
            templates: content::templates(),
            prompts: content::prompts(),
            has_completions: true,
            has_logging: true,
            has_tasks: false,
            ttl_ms: Some(TTL_MS),
            private: false,
            tells_features: true,
        }))
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        let arguments: Map =
            serde_json::from_str(call.arguments.get()).map_err(|error| Failure::InvalidArguments(error.to_string()))?;
        Ok(match tools::call(&call.name, input(&arguments, &call.context))? {
            Step::Done(outcome) => Reply::Done(outcome),
            Step::Live(notices) => Reply::Live(Box::pin(stream::iter(notices))),
            Step::Asks(needed) => Reply::NeedsInput(needed),
        })
    }

    async fn read_resource(&self, uri: &str, _: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        let contents = content::read(uri).ok_or_else(|| Failure::Unknown(uri.to_owned()))?;
        Ok(Answer::Done(vec![contents]))
    }

    async fn get_prompt(&self, name: &str, arguments: Map, context: Context) -> Result<Answer<PromptContent>, Failure> {
        let plain = content::prompt(name, &arguments).map(Answer::Done);
        plain
            .or_else(|| asking::prompt(name, input(&arguments, &context)))
            .ok_or_else(|| Failure::Unknown(name.to_owned()))
    }

    async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        let values = content::completions(&request.value);
        Ok(Completion { total: u64::try_from(values.len()).ok(), values, has_more: false })
    }
}
