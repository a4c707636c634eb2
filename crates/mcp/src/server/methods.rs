//! Dispatches requests by method. Decides which methods each era has.

use futures::stream;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{
    Body, Refusal, call, input,
    request::{Asked, Reference},
    results::{Cache, Frame},
    tasks,
};
use crate::{
    model::{Implementation, LogLevel, Map, Tool},
    provider::{Answer, CompletionReference, CompletionRequest, Description, Failure, Provider},
    task::ToolExecution,
    wire::{
        self, Era, INTERNAL_ERROR, INVALID_PARAMS, LEGACY_RESOURCE_NOT_FOUND, LEGACY_VERSION, META_FEATURES,
        META_SUBSCRIPTION, MODERN_VERSION, SUPPORTED_VERSIONS,
    },
};

/// The most values of a completion, from the protocol's schema.
const MAX_COMPLETIONS: usize = 100;

/// Answers a request. The larger parts are boxed: together their futures are more than a guest's stack should hold.
pub(crate) async fn dispatch<P: Provider>(
    provider: &P,
    headers: &HeaderMap,
    method: &str,
    id: &Value,
    params: Option<&RawValue>,
) -> Result<Body, Refusal> {
    let asked = Asked::read(headers, method, id, params)?;
    let era = asked.era;
    let mut frame = Frame { era, id: id.clone(), server: None };
    // These need no description of the provider.
    match (era, method) {
        (Era::Legacy, "ping") => return Ok(Body::Json(frame.complete(Map::new(), None))),
        (Era::Legacy, "tools/call") if asked.params.task.is_none() => {
            return Box::pin(call::call_tool(provider, asked, frame, None)).await;
        }
        _ => {}
    }
    let description = provider.describe().await.map_err(|failure| refusal(era, failure))?;
    frame.server = Some(software(&description));
    let cache = Some(Cache::of(&description));
    let has_resources = !description.resources.is_empty() || !description.templates.is_empty();
    let has_prompts = !description.prompts.is_empty();
    let message = match (era, method) {
        (Era::Modern, "server/discover") => frame.complete(discovered(&description), cache),
        (Era::Legacy, "initialize") => {
            let asked_for = asked.params.protocol_version.as_deref();
            frame.complete(initialized(&description, asked_for), None)
        }
        (_, "tools/list") => {
            whole(&asked)?;
            match era {
                Era::Modern => {
                    let features = description.tells_features.then(|| description.features());
                    let features = features.map(|features| (META_FEATURES, json!(features)));
                    frame.complete_with(json_list("tools", &modern_tools(&description.tools)), cache, features)
                }
                Era::Legacy => frame.complete(json_list("tools", &legacy_tools(&description.tools)), None),
            }
        }
        (_, "tools/call") => return Box::pin(call::call_tool(provider, asked, frame, Some(&description))).await,
        (_, "resources/list") if has_resources => {
            whole(&asked)?;
            frame.complete(json_list("resources", &description.resources), cache)
        }
        (_, "resources/templates/list") if has_resources => {
            whole(&asked)?;
            frame.complete(json_list("resourceTemplates", &description.templates), cache)
        }
        (_, "resources/read") if has_resources => read_resource(provider, asked, &frame).await?,
        (_, "prompts/list") if has_prompts => {
            whole(&asked)?;
            frame.complete(json_list("prompts", &description.prompts), cache)
        }
        (_, "prompts/get") if has_prompts => get_prompt(provider, asked, &frame, &description).await?,
        (_, "completion/complete") if description.has_completions => complete(provider, asked, &frame).await?,
        (_, "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result") if description.has_tasks => {
            Box::pin(tasks::answer(provider, asked, frame)).await?
        }
        (Era::Modern, "subscriptions/listen") => return Ok(listen(&asked, &frame)),
        (Era::Legacy, "logging/setLevel") if description.has_logging => {
            let level = asked.params.level.as_ref().map(LogLevel::deserialize);
            level.and_then(Result::ok).ok_or_else(|| Refusal::within(INVALID_PARAMS, "Unknown log level"))?;
            frame.complete(Map::new(), None)
        }
        // No change is ever notified, so the subscription need not be stored.
        (Era::Legacy, "resources/subscribe" | "resources/unsubscribe") if has_resources => {
            frame.complete(Map::new(), None)
        }
        _ => return Err(asked.unknown_method()),
    };
    Ok(Body::Json(message))
}

fn software(description: &Description) -> Implementation {
    Implementation {
        name: description.name.clone(),
        title: description.title.clone(),
        version: description.version.clone(),
    }
}

/// The capabilities. Lists change only when the server is replaced, and clients are not notified, so `listChanged` and `subscribe` are not declared.
fn capabilities(description: &Description, era: Era) -> Value {
    let mut capabilities = json!({"tools": {}});
    let more = [
        ("resources", !description.resources.is_empty() || !description.templates.is_empty()),
        ("prompts", !description.prompts.is_empty()),
        ("completions", description.has_completions),
        ("logging", description.has_logging),
    ];
    if let Value::Object(capabilities) = &mut capabilities {
        capabilities.extend(more.into_iter().filter(|(_, has)| *has).map(|(name, _)| (name.to_owned(), json!({}))));
        if description.has_tasks {
            let (name, value) = tasks::capability(era);
            capabilities.insert(name.to_owned(), value);
        }
    }
    capabilities
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovered<'a> {
    supported_versions: &'a [&'a str],
    capabilities: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

fn discovered(description: &Description) -> Discovered<'_> {
    Discovered {
        supported_versions: &SUPPORTED_VERSIONS,
        capabilities: capabilities(description, Era::Modern),
        instructions: description.instructions.as_deref(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initialized<'a> {
    protocol_version: &'a str,
    capabilities: Value,
    server_info: Implementation,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

fn initialized<'a>(description: &'a Description, asked_for: Option<&'a str>) -> Initialized<'a> {
    // 2026-07-28 has no `initialize`. A client that asks for this version gets the last version that has it.
    let legacy = asked_for.filter(|version| *version != MODERN_VERSION && SUPPORTED_VERSIONS.contains(version));
    Initialized {
        protocol_version: legacy.unwrap_or(LEGACY_VERSION),
        capabilities: capabilities(description, Era::Legacy),
        server_info: software(description),
        instructions: description.instructions.as_deref(),
    }
}

/// Lists have one page, so no cursor was ever given out. Some clients ask for the first page with an empty cursor.
fn whole(asked: &Asked<'_>) -> Result<(), Refusal> {
    match &asked.params.cursor {
        None => Ok(()),
        Some(Value::String(cursor)) if cursor.is_empty() => Ok(()),
        Some(_) => Err(Refusal::within(INVALID_PARAMS, "Invalid cursor")),
    }
}

fn json_list<'a, T: Serialize>(name: &'a str, items: &'a [T]) -> std::collections::BTreeMap<&'a str, &'a [T]> {
    [(name, items)].into()
}

/// In 2026-07-28 tools do not say whether calls become tasks.
fn modern_tools(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().map(|tool| Tool { execution: ToolExecution::default(), ..tool.clone() }).collect()
}

/// Before 2026-07-28 structured results are objects. Clients refuse a whole list if one output schema allows anything else.
fn legacy_tools(tools: &[Tool]) -> Vec<Tool> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    let is_object =
        |schema: &RawValue| serde_json::from_str::<Kind>(schema.get()).is_ok_and(|schema| schema.r#type == "object");
    let legacy = |tool: &Tool| {
        let output_schema = tool.output_schema.clone().filter(|schema| is_object(schema));
        Tool { output_schema, ..tool.clone() }
    };
    tools.iter().map(legacy).collect()
}

/// The arguments as sent, or `{}`.
pub(crate) fn arguments(arguments: Option<Box<RawValue>>) -> Result<Box<RawValue>, Refusal> {
    let arguments = match arguments {
        Some(arguments) => arguments,
        None => serde_json::value::to_raw_value(&Map::new())
            .map_err(|error| Refusal::within(INTERNAL_ERROR, error.to_string()))?,
    };
    if arguments.get().trim_start().starts_with('{') {
        Ok(arguments)
    } else {
        Err(Refusal::within(INVALID_PARAMS, "Invalid params: arguments must be an object"))
    }
}

async fn read_resource<P: Provider>(provider: &P, mut asked: Asked<'_>, frame: &Frame) -> Result<Vec<u8>, Refusal> {
    let uri = asked.params.uri.take().ok_or_else(|| Refusal::within(INVALID_PARAMS, "Invalid params: no uri"))?;
    let context = asked.context();
    let capabilities = context.client_capabilities.clone();
    match provider.read_resource(&uri, context).await {
        Ok(Answer::Done(contents)) => Ok(frame.complete(json_list("contents", &contents), Some(Cache::NEVER))),
        Ok(Answer::NeedsInput(needed)) => asks_back(frame, needed, &capabilities),
        Err(Failure::Unknown(_)) => {
            let code = if frame.era == Era::Modern { INVALID_PARAMS } else { LEGACY_RESOURCE_NOT_FOUND };
            Err(Refusal::within(code, "Resource not found").with_data(json!({"uri": uri})))
        }
        Err(failure) => Err(refusal(frame.era, failure)),
    }
}

async fn get_prompt<P: Provider>(
    provider: &P,
    mut asked: Asked<'_>,
    frame: &Frame,
    description: &Description,
) -> Result<Vec<u8>, Refusal> {
    let invalid = |why: String| Refusal::within(INVALID_PARAMS, why);
    let name = asked.params.name.take().ok_or_else(|| invalid("Invalid params: no name".to_owned()))?;
    let arguments = arguments(asked.params.arguments.take())?;
    let arguments: Map = serde_json::from_str(arguments.get()).map_err(|error| invalid(error.to_string()))?;
    let prompt = description.prompts.iter().find(|prompt| prompt.name == name);
    let missing = prompt.and_then(|prompt| {
        prompt.arguments.iter().find(|argument| argument.required && !arguments.contains_key(&argument.name))
    });
    if let Some(missing) = missing {
        return Err(invalid(format!("Missing argument: {}", missing.name)));
    }
    let context = asked.context();
    let capabilities = context.client_capabilities.clone();
    match provider.get_prompt(&name, arguments, context).await {
        Ok(Answer::Done(prompt)) => Ok(frame.complete(prompt, None)),
        Ok(Answer::NeedsInput(needed)) => asks_back(frame, needed, &capabilities),
        Err(Failure::Unknown(name)) => Err(invalid(format!("Unknown prompt: {name}"))),
        Err(failure) => Err(refusal(frame.era, failure)),
    }
}

fn asks_back(frame: &Frame, needed: crate::InputNeeded, capabilities: &Map) -> Result<Vec<u8>, Refusal> {
    match frame.era {
        Era::Modern => input::required(frame, needed, capabilities),
        Era::Legacy => Err(Refusal::within(
            INTERNAL_ERROR,
            "This asks for input, which is possible only in the revision 2026-07-28",
        )),
    }
}

async fn complete<P: Provider>(provider: &P, mut asked: Asked<'_>, frame: &Frame) -> Result<Vec<u8>, Refusal> {
    let (Some(reference), Some(argument)) = (asked.params.r#ref.take(), asked.params.argument.take()) else {
        return Err(Refusal::within(INVALID_PARAMS, "Invalid params: ref and argument are needed"));
    };
    let request = CompletionRequest {
        reference: match reference {
            Reference::Prompt { name } => CompletionReference::Prompt(name),
            Reference::Resource { uri } => CompletionReference::Resource(uri),
        },
        argument: argument.name,
        value: argument.value,
        others: asked.params.context.take().map(|context| context.arguments).unwrap_or_default(),
        meta: asked.params.meta.take().unwrap_or_default(),
    };
    match provider.complete(request).await {
        Ok(mut completion) => {
            completion.has_more |= completion.values.len() > MAX_COMPLETIONS;
            completion.values.truncate(MAX_COMPLETIONS);
            Ok(frame.complete(json!({"completion": completion}), None))
        }
        Err(Failure::Unknown(name)) => Err(Refusal::within(INVALID_PARAMS, format!("Unknown: {name}"))),
        Err(failure) => Err(refusal(frame.era, failure)),
    }
}

/// Answers a subscription. No changes are ever notified: the acknowledgement says so, and the stream ends.
fn listen(asked: &Asked<'_>, frame: &Frame) -> Body {
    let meta = json!({META_SUBSCRIPTION: asked.id});
    let params = json!({"_meta": meta, "notifications": {}});
    let acknowledged = wire::call(None, "notifications/subscriptions/acknowledged", params);
    let mut meta = meta;
    if let (Value::Object(meta), Some(server)) = (&mut meta, &frame.server) {
        meta.insert(wire::META_SERVER_INFO.to_owned(), json!(server));
    }
    let closed = wire::result(asked.id, json!({"resultType": "complete", "_meta": meta}));
    Body::Events(Box::pin(stream::iter([call::event(&acknowledged), call::event(&closed)])))
}

/// The error for a failure outside of a tool call.
fn refusal(era: Era, failure: Failure) -> Refusal {
    match failure {
        Failure::InvalidArguments(_) | Failure::InvalidState(_) | Failure::Unknown(_) => {
            Refusal::within(INVALID_PARAMS, failure.to_string())
        }
        Failure::MissingCapability(missing) if era == Era::Modern => input::missing_capability(missing),
        failure => Refusal::within(INTERNAL_ERROR, failure.to_string()),
    }
}
