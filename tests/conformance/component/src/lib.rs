//! The conformance suite's server behind the adapter: a component that exports the contract and uses `conformance-provider`.
//!
//! It only translates, with [`to_contract`] and [`from_contract`]; the fixture decides. It is not shipped.

mod from_contract;
mod to_contract;

use conformance_provider::{Step, asking, content, tools};
use mcp::{Answer, Failure};
use tool_provider::{
    bindings::wit_stream,
    provider::contract::{self, Notice},
    wasip3,
};

struct Component;

impl contract::Guest for Component {
    async fn describe() -> contract::Description {
        contract::Description {
            name: "conformance".to_owned(),
            title: Some("Conformance".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: Some("Only for tests.".to_owned()),
            tools: tools::list().into_iter().map(to_contract::tool).collect(),
            secrets: Vec::new(),
            resources: content::resources().into_iter().map(to_contract::resource).collect(),
            templates: content::templates().into_iter().map(to_contract::template).collect(),
            prompts: content::prompts().into_iter().map(to_contract::listed_prompt).collect(),
            has_completions: true,
        }
    }

    async fn call_tool(call: contract::ToolCall) -> Result<contract::Reply, contract::Failure> {
        let arguments = from_contract::object(&call.arguments)?;
        let asked = from_contract::Asked::of(&call.context)?;
        match tools::call(&call.name, asked.input(&arguments)).map_err(to_contract::failure)? {
            Step::Done(outcome) => to_contract::outcome(outcome).map(contract::Reply::Done),
            Step::Live(notices) => Ok(contract::Reply::Live(live(notices))),
            Step::Asks(needed) => Ok(contract::Reply::NeedsInput(to_contract::input_needed(needed))),
        }
    }

    async fn read_resource(uri: String, _: contract::Context) -> Result<contract::ResourceReply, contract::Failure> {
        let contents = content::read(&uri).ok_or(contract::Failure::Unknown(uri))?;
        Ok(contract::ResourceReply::Done(vec![to_contract::contents(contents)]))
    }

    async fn get_prompt(
        name: String,
        arguments: String,
        context: contract::Context,
    ) -> Result<contract::PromptReply, contract::Failure> {
        let arguments = from_contract::object(&arguments)?;
        let asked = from_contract::Asked::of(&context)?;
        let plain = content::prompt(&name, &arguments).map(Answer::Done);
        match plain.or_else(|| asking::prompt(&name, asked.input(&arguments))) {
            Some(Answer::Done(prompt)) => Ok(contract::PromptReply::Done(to_contract::prompt(prompt))),
            Some(Answer::NeedsInput(needed)) => {
                Ok(contract::PromptReply::NeedsInput(to_contract::input_needed(needed)))
            }
            None => Err(to_contract::failure(Failure::Unknown(name))),
        }
    }

    async fn complete(
        request: contract::CompletionRequest,
        _: contract::Context,
    ) -> Result<contract::Completion, contract::Failure> {
        let values = content::completions(&request.value);
        Ok(contract::Completion { total: u64::try_from(values.len()).ok(), values, has_more: false })
    }
}

/// The notices, written one by one as the adapter reads them. The adapter may stop reading.
fn live(notices: Vec<mcp::Notice>) -> wasip3::wit_bindgen::StreamReader<Notice> {
    let (mut writer, reader) = wit_stream::new();
    wasip3::spawn(async move {
        for notice in notices {
            if writer.write_one(to_contract::notice(notice)).await.is_some() {
                return;
            }
        }
    });
    reader
}

tool_provider::bindings::export_provider!(Component with_types_in tool_provider::bindings);
