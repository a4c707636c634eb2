//! Converts the fixture's output to the types of the contract.

use base64::{Engine, prelude::BASE64_STANDARD};
use mcp::{
    Content, Failure, InputNeeded, Notice, Outcome, Prompt, PromptContent, PromptMessage, Resource, ResourceBody,
    ResourceContents, ResourceTemplate, Role, Tool,
};
use serde_json::Value;
use tool_provider::provider::contract as wit;

pub(crate) fn tool(tool: Tool) -> wit::Tool {
    let annotations = tool.annotations;
    wit::Tool {
        name: tool.name,
        title: tool.title,
        description: tool.description.unwrap_or_default(),
        input_schema: tool.input_schema.get().to_owned(),
        output_schema: tool.output_schema.map(|schema| schema.get().to_owned()),
        // The protocol's defaults for tools without annotations.
        annotations: wit::Annotations {
            read_only: annotations.read_only.unwrap_or(false),
            destructive: annotations.destructive.unwrap_or(true),
            idempotent: annotations.idempotent.unwrap_or(false),
            open_world: annotations.open_world.unwrap_or(true),
            always_asks: false,
        },
        secrets: Vec::new(),
        cache_ms: None,
    }
}

pub(crate) fn resource(resource: Resource) -> wit::ResourceEntry {
    let Resource { uri, name, description, mime_type, .. } = resource;
    wit::ResourceEntry { uri, name, description, mime_type }
}

pub(crate) fn template(template: ResourceTemplate) -> wit::ResourceTemplate {
    let ResourceTemplate { uri_template, name, description, mime_type, .. } = template;
    wit::ResourceTemplate { uri_template, name, description, mime_type }
}

pub(crate) fn listed_prompt(prompt: Prompt) -> wit::PromptEntry {
    let argument = |argument: mcp::PromptArgument| wit::PromptArgument {
        name: argument.name,
        description: argument.description,
        required: argument.required,
    };
    wit::PromptEntry {
        name: prompt.name,
        title: prompt.title,
        description: prompt.description,
        arguments: prompt.arguments.into_iter().map(argument).collect(),
    }
}

/// The contract has no results that are errors: a failed call is a failure with the result's text.
pub(crate) fn outcome(outcome: Outcome) -> Result<wit::Outcome, wit::Failure> {
    if outcome.is_error {
        let words = outcome.content.into_iter().filter_map(|content| match content {
            Content::Text { text } => Some(text),
            _ => None,
        });
        return Err(wit::Failure::UpstreamFailed(words.collect::<Vec<_>>().join("\n")));
    }
    Ok(wit::Outcome {
        content: outcome.content.into_iter().map(content).collect(),
        structured: outcome.structured.map(|value| value.to_string()),
    })
}

fn content(content: Content) -> wit::Content {
    match content {
        Content::Text { text } => wit::Content::Text(text),
        Content::Image { data, mime_type } => wit::Content::Image(media(&data, mime_type)),
        Content::Audio { data, mime_type } => wit::Content::Audio(media(&data, mime_type)),
        Content::Resource { resource } => wit::Content::Resource(contents(resource)),
        // Not in the contract, and not used by the fixture.
        Content::ResourceLink(resource) => wit::Content::Text(resource.uri),
        Content::Other(kind) => wit::Content::Text(kind),
    }
}

fn media(base64: &str, mime_type: String) -> wit::Media {
    wit::Media { data: bytes(base64), mime_type }
}

/// The fixture's bytes are constants. If they were wrong, the suite would report them as missing.
fn bytes(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64).unwrap_or_default()
}

pub(crate) fn contents(contents: ResourceContents) -> wit::ResourceContents {
    wit::ResourceContents {
        uri: contents.uri,
        mime_type: contents.mime_type,
        body: match contents.body {
            ResourceBody::Text(text) => wit::ResourceBody::Text(text),
            ResourceBody::Blob(base64) => wit::ResourceBody::Bytes(bytes(&base64)),
        },
    }
}

pub(crate) fn prompt(prompt: PromptContent) -> wit::Prompt {
    let message = |message: PromptMessage| wit::PromptMessage {
        role: match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
        .to_owned(),
        content: content(message.content),
    };
    wit::Prompt { description: prompt.description, messages: prompt.messages.into_iter().map(message).collect() }
}

pub(crate) fn input_needed(needed: InputNeeded) -> wit::InputRequest {
    let requests = needed.requests.into_iter().map(|(key, request)| (key, request.to_string()));
    wit::InputRequest { requests: requests.collect(), state: needed.state }
}

pub(crate) fn notice(notice: Notice) -> wit::Notice {
    match notice {
        Notice::Progress { progress, total, message } => {
            wit::Notice::Progress(wit::Progress { progress, total, message })
        }
        Notice::Log { level, logger, data } => {
            let level = serde_json::to_value(level).ok();
            let level = level.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            wit::Notice::Log(wit::LogEntry { level, logger, data: data.to_string() })
        }
        // A component has none.
        Notice::Task(task) => wit::Notice::Done(Err(wit::Failure::UpstreamFailed(task.id))),
        Notice::Done(result) => wit::Notice::Done(result.map_err(failure).and_then(outcome)),
    }
}

pub(crate) fn failure(failure: Failure) -> wit::Failure {
    match failure {
        Failure::Unknown(name) => wit::Failure::Unknown(name),
        Failure::InvalidArguments(words) => wit::Failure::InvalidArguments(words),
        Failure::NotConfigured(words) => wit::Failure::NotConfigured(words),
        Failure::InvalidState(words) => wit::Failure::InvalidInput(words),
        Failure::MissingCapability(missing) => {
            wit::Failure::MissingCapability(Value::Object(missing.capabilities).to_string())
        }
        Failure::TimedOut => wit::Failure::TimedOut,
        Failure::UpstreamFailed(words) | Failure::Internal(words) => wit::Failure::UpstreamFailed(words),
        // A component gives out no tasks.
        Failure::TooLarge | Failure::OnlyAsTask => wit::Failure::UpstreamFailed(failure.to_string()),
    }
}
