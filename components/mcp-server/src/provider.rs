//! The composed provider as the crate `mcp` wants one.

use std::{cell::OnceCell, rc::Rc, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use mcp::{
    Answer, Completion, CompletionReference, CompletionRequest, Context, Description, Failure, Map, PromptContent,
    Reply, ResourceContents, ToolCall,
};

use crate::{bindings::provider as wit, from_provider, log, to_provider};

/// The least time between two pieces of progress: as often as a person sees something move. A tool may tell each file of thousands.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

thread_local! {
    /// Does not depend on who calls, and the provider lives as long as this instance.
    static DESCRIPTION: OnceCell<Rc<Description>> = const { OnceCell::new() };
}

/// The one provider there is.
pub(crate) struct Composed;

impl mcp::Provider for Composed {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        if let Some(description) = DESCRIPTION.with(|known| known.get().cloned()) {
            return Ok(description);
        }
        let description = Rc::new(from_provider::description(wit::describe().await));
        Ok(DESCRIPTION.with(|known| Rc::clone(known.get_or_init(|| description))))
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        let ToolCall { name, arguments, context } = call;
        let call =
            wit::ToolCall { name, arguments: arguments.get().to_owned(), context: to_provider::context(&context) };
        match wit::call_tool(call).await.map_err(from_provider::failure)? {
            wit::Reply::Done(outcome) => Ok(Reply::Done(from_provider::outcome(outcome))),
            wit::Reply::NeedsInput(request) => from_provider::input_needed(request).map(Reply::NeedsInput),
            wit::Reply::Live(notices) => {
                let notices =
                    futures::stream::unfold(notices, async |mut notices| Some((notices.next().await?, notices)));
                // They come when the answer is read, which nobody does for this request alone.
                let scope = trace_context::current();
                let notices = notices.inspect(move |notice| trace_context::with(scope.clone(), || log::write(notice)));
                let notices = notices.map(from_provider::notice);
                let pause = || spin_sdk::time::sleep(PROGRESS_INTERVAL).boxed_local();
                Ok(Reply::Live(Box::pin(mcp::throttle(notices.boxed_local(), pause))))
            }
        }
    }

    async fn read_resource(&self, uri: &str, context: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        let context = to_provider::context(&context);
        match wit::read_resource(uri.to_owned(), context).await.map_err(from_provider::failure)? {
            wit::ResourceReply::Done(contents) => {
                Ok(Answer::Done(contents.into_iter().map(from_provider::contents).collect()))
            }
            wit::ResourceReply::NeedsInput(request) => from_provider::input_needed(request).map(Answer::NeedsInput),
        }
    }

    async fn get_prompt(&self, name: &str, arguments: Map, context: Context) -> Result<Answer<PromptContent>, Failure> {
        let arguments = serde_json::Value::Object(arguments).to_string();
        let context = to_provider::context(&context);
        match wit::get_prompt(name.to_owned(), arguments, context).await.map_err(from_provider::failure)? {
            wit::PromptReply::Done(prompt) => Ok(Answer::Done(from_provider::prompt(prompt))),
            wit::PromptReply::NeedsInput(request) => from_provider::input_needed(request).map(Answer::NeedsInput),
        }
    }

    async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        let of = match request.reference {
            CompletionReference::Prompt(name) => name,
            CompletionReference::Resource(uri) => uri,
        };
        let others = request.others.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
        let context = to_provider::context(&Context { meta: request.meta, ..Context::default() });
        let request =
            wit::CompletionRequest { of, argument: request.argument, value: request.value, others: others.collect() };
        let wit::Completion { values, total, has_more } =
            wit::complete(request, context).await.map_err(from_provider::failure)?;
        Ok(Completion { values, total, has_more })
    }
}
