//! What a provider says, in the words of the protocol. A provider may be written in any language and say rubbish: what is no JSON where
//! JSON belongs is left out, or fails the one call.

use base64::{Engine, prelude::BASE64_STANDARD};
use mcp::{
    Annotations, Content, Description, Failure, InputNeeded, LogLevel, Map, MissingCapability, Notice, Outcome, Prompt,
    PromptArgument, PromptContent, PromptMessage, Resource, ResourceBody, ResourceContents, ResourceTemplate, Role,
    Tool,
};
use serde_json::{Value, json, value::RawValue};

use crate::bindings::provider as wit;

/// Where `tools` finds what the protocol has no place for:
/// `{"secrets": [{"name", "title", "description", "visible", "optional"}], "cacheMs": 60000, "alwaysAsks": true}` of a tool.
const META_TOOL: &str = "edge-assistant/tool";

/// How long lists stay as they are: as long as this deployment. Clients that remember them should notice the next one soon.
const TTL_MS: u64 = 60_000;

/// What the provider is and has.
pub(crate) fn description(description: wit::Description) -> Description {
    Description {
        name: description.name,
        title: description.title,
        version: description.version,
        instructions: description.instructions,
        tools: description.tools.into_iter().map(|entry| tool(entry, &description.secrets)).collect(),
        resources: description.resources.into_iter().map(resource).collect(),
        templates: description.templates.into_iter().map(template).collect(),
        prompts: description.prompts.into_iter().map(listed_prompt).collect(),
        has_completions: description.has_completions,
        has_logging: true,
        has_tasks: false,
        ttl_ms: Some(TTL_MS),
        private: false,
        tells_features: true,
    }
}

fn tool(tool: wit::Tool, declared: &[wit::Secret]) -> Tool {
    let mut meta = Map::new();
    let always_asks = tool.annotations.always_asks;
    if !tool.secrets.is_empty() || tool.cache_ms.is_some() || always_asks {
        let secrets: Vec<Value> = tool.secrets.iter().map(|name| secret(name, declared)).collect();
        meta.insert(
            META_TOOL.to_owned(),
            json!({ "secrets": secrets, "cacheMs": tool.cache_ms, "alwaysAsks": always_asks }),
        );
    }
    Tool {
        name: tool.name,
        title: tool.title,
        description: Some(tool.description),
        input_schema: schema(tool.input_schema),
        output_schema: tool.output_schema.and_then(|schema| RawValue::from_string(schema).ok()),
        annotations: Annotations {
            title: None,
            read_only: Some(tool.annotations.read_only),
            destructive: Some(tool.annotations.destructive),
            idempotent: Some(tool.annotations.idempotent),
            open_world: Some(tool.annotations.open_world),
        },
        // A component does not outlive its request.
        execution: mcp::ToolExecution::default(),
        meta: (!meta.is_empty()).then_some(meta),
    }
}

/// A schema; one that is no JSON stays a text, of which `tools` says what is wrong with it.
fn schema(text: String) -> Box<RawValue> {
    let as_text = || serde_json::value::to_raw_value(&text).unwrap_or_else(|_| RawValue::NULL.to_owned());
    RawValue::from_string(text.clone()).unwrap_or_else(|_| as_text())
}

/// What a person must enter. What a tool names and its provider does not describe can be entered all the same, unseen.
fn secret(name: &str, declared: &[wit::Secret]) -> Value {
    match declared.iter().find(|secret| secret.name == name) {
        Some(wit::Secret { name, title, description, visible, optional }) => {
            json!({ "name": name, "title": title, "description": description, "visible": visible, "optional": optional })
        }
        None => json!({ "name": name, "title": name, "description": "", "visible": false, "optional": false }),
    }
}

fn resource(entry: wit::ResourceEntry) -> Resource {
    let wit::ResourceEntry { uri, name, description, mime_type } = entry;
    Resource { uri, name, description, mime_type, ..Resource::default() }
}

fn template(template: wit::ResourceTemplate) -> ResourceTemplate {
    let wit::ResourceTemplate { uri_template, name, description, mime_type } = template;
    ResourceTemplate { uri_template, name, description, mime_type, ..ResourceTemplate::default() }
}

fn listed_prompt(prompt: wit::PromptEntry) -> Prompt {
    let argument = |argument: wit::PromptArgument| {
        let wit::PromptArgument { name, description, required } = argument;
        PromptArgument { name, description, required, ..PromptArgument::default() }
    };
    Prompt {
        name: prompt.name,
        title: prompt.title,
        description: prompt.description,
        arguments: prompt.arguments.into_iter().map(argument).collect(),
    }
}

/// A call's result.
pub(crate) fn outcome(outcome: wit::Outcome) -> Outcome {
    match outcome.structured.as_deref().map(serde_json::from_str::<Map>).transpose() {
        Ok(structured) => Outcome {
            content: outcome.content.into_iter().map(content).collect(),
            structured: structured.map(Value::Object),
            is_error: false,
        },
        Err(error) => Outcome::error(format!("The tool's structured result is no JSON object: {error}.")),
    }
}

fn content(content: wit::Content) -> Content {
    match content {
        wit::Content::Text(text) => Content::Text { text },
        wit::Content::Image(media) => {
            Content::Image { data: BASE64_STANDARD.encode(media.data), mime_type: media.mime_type }
        }
        wit::Content::Audio(media) => {
            Content::Audio { data: BASE64_STANDARD.encode(media.data), mime_type: media.mime_type }
        }
        wit::Content::Resource(resource) => Content::Resource { resource: contents(resource) },
    }
}

/// What is in a resource.
pub(crate) fn contents(contents: wit::ResourceContents) -> ResourceContents {
    ResourceContents {
        uri: contents.uri,
        mime_type: contents.mime_type,
        body: match contents.body {
            wit::ResourceBody::Text(text) => ResourceBody::Text(text),
            wit::ResourceBody::Bytes(bytes) => ResourceBody::Blob(BASE64_STANDARD.encode(bytes)),
        },
    }
}

/// A prompt, filled in.
pub(crate) fn prompt(prompt: wit::Prompt) -> PromptContent {
    let message = |message: wit::PromptMessage| PromptMessage {
        role: if message.role == "assistant" { Role::Assistant } else { Role::User },
        content: content(message.content),
    };
    PromptContent { description: prompt.description, messages: prompt.messages.into_iter().map(message).collect() }
}

/// What the caller is to answer.
pub(crate) fn input_needed(request: wit::InputRequest) -> Result<InputNeeded, Failure> {
    let read = |(key, json): (String, String)| Ok((key, serde_json::from_str(&json)?));
    let requests: serde_json::Result<Map> = request.requests.into_iter().map(read).collect();
    let requests =
        requests.map_err(|error| Failure::Internal(format!("It asks something that is no JSON: {error}.")))?;
    Ok(InputNeeded { requests, state: request.state })
}

/// Something that happens during a call.
pub(crate) fn notice(notice: wit::Notice) -> Notice {
    match notice {
        wit::Notice::Progress(progress) => {
            let wit::Progress { progress, total, message } = progress;
            Notice::Progress { progress, total, message }
        }
        wit::Notice::Log(entry) => Notice::Log {
            level: serde_json::from_value(Value::String(entry.level)).unwrap_or(LogLevel::Info),
            logger: entry.logger,
            data: serde_json::from_str(&entry.data).unwrap_or(Value::String(entry.data)),
        },
        wit::Notice::Done(result) => Notice::Done(result.map(outcome).map_err(failure)),
    }
}

/// Why there is no result.
pub(crate) fn failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::Unknown(name) => Failure::Unknown(name),
        wit::Failure::InvalidArguments(words) => Failure::InvalidArguments(words),
        wit::Failure::NotConfigured(words) => Failure::NotConfigured(words),
        wit::Failure::UpstreamFailed(words) => Failure::UpstreamFailed(words),
        wit::Failure::TimedOut => Failure::TimedOut,
        wit::Failure::InvalidInput(words) => Failure::InvalidState(words),
        wit::Failure::MissingCapability(json) => match serde_json::from_str(&json) {
            Ok(capabilities) => Failure::MissingCapability(MissingCapability { capabilities, words: None }),
            Err(_) => Failure::Internal("The tool needs a capability that it could not name.".to_owned()),
        },
    }
}
