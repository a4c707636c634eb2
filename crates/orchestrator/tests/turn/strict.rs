//! The strictest server, combined from all known ones: what it accepts, every server accepts.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The first fault of a request, if there is one. `also` are additional fields, roles and kinds of content that are allowed.
pub(crate) fn complaint(request: &Value, also: &[String]) -> Option<String> {
    check(request, also).err()
}

fn check(request: &Value, also: &[String]) -> Result<(), String> {
    let fields = object(request, "the request")?;
    let known = ["model", "messages", "stream", "stream_options", "tools", "tool_choice"];
    only(fields, &also.iter().map(String::as_str).chain(known).collect::<Vec<_>>())?;
    let messages = request["messages"].as_array().ok_or("no messages")?;
    let mut rest = messages.iter().peekable();
    let is_also = |name: &Value| name.as_str().is_some_and(|name| also.iter().any(|also| also == name));
    if rest.next_if(|message| message["role"] == "system" || is_also(&message["role"])).is_some() {
        text(&messages[0])?;
    }
    let mut ids = HashSet::new();
    let mut next = "user";
    while let Some(message) = rest.next() {
        let role = message["role"].as_str().ok_or("a message without role")?;
        if role != next {
            return Err(format!("{role} after what {next} should follow"));
        }
        if role == "user" {
            only(object(message, "a message")?, &["role", "content"])?;
            text(message)?;
            next = "assistant";
            continue;
        }
        let known = also.iter().map(String::as_str).chain(["role", "content", "tool_calls"]);
        only(object(message, "a message")?, &known.collect::<Vec<_>>())?;
        let Some(calls) = message.get("tool_calls") else {
            text(message)?;
            next = "user";
            continue;
        };
        let is_in_parts = message["content"].is_array() && is_also(&"parts".into());
        if !(message["content"].is_null() || is_also(&message["content"]) || is_in_parts) {
            text(message)?;
        }
        let calls = calls.as_array().filter(|calls| !calls.is_empty()).ok_or("no calls in tool_calls")?;
        for call in calls {
            check_call(call, also, &mut ids)?;
            let result = rest.next().ok_or("a call without result")?;
            only(object(result, "a result")?, &["role", "content", "tool_call_id"])?;
            text(result)?;
            if result["role"] != "tool" || result["tool_call_id"] != call["id"] {
                return Err(format!("no result for {call} but {result}"));
            }
        }
        next = "assistant";
    }
    let last = messages.last().and_then(|message| message["role"].as_str());
    if !matches!(last, Some("user" | "tool")) {
        return Err(format!("{last:?} has the last word"));
    }
    check_tools(request, !ids.is_empty())
}

fn check_call(call: &Value, also: &[String], ids: &mut HashSet<String>) -> Result<(), String> {
    let known = also.iter().map(String::as_str).chain(["id", "type", "function"]);
    only(object(call, "a call")?, &known.collect::<Vec<_>>())?;
    only(object(&call["function"], "a function")?, &["name", "arguments"])?;
    let id = call["id"].as_str().ok_or("a call without id")?;
    if id.len() != 9 || !id.chars().all(|character| character.is_ascii_alphanumeric()) || !ids.insert(id.to_owned()) {
        return Err(format!("the id {id:?}"));
    }
    name(&call["function"]["name"])?;
    let arguments = call["function"]["arguments"].as_str().ok_or("arguments that are no text")?;
    serde_json::from_str::<Map<String, Value>>(arguments)
        .map_err(|error| format!("arguments {arguments:?}: {error}"))?;
    Ok(())
}

fn check_tools(request: &Value, called: bool) -> Result<(), String> {
    let Some(tools) = request.get("tools") else {
        return if called { Err("calls without tools".into()) } else { Ok(()) };
    };
    let tools = tools.as_array().filter(|tools| (1..=128).contains(&tools.len())).ok_or("no tools, or too many")?;
    let mut names = HashSet::new();
    for tool in tools {
        let function = object(&tool["function"], "a tool's function")?;
        only(function, &["name", "description", "parameters"])?;
        if !names.insert(name(&function["name"])?) {
            return Err(format!("two tools are named {}", function["name"]));
        }
        if function.get("parameters").is_some_and(|parameters| parameters["type"] != "object") {
            return Err(format!("{} is no object's schema", function["parameters"]));
        }
    }
    Ok(())
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is {value}"))
}

fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(format!("extra field {name}")))
}

fn text(message: &Value) -> Result<(), String> {
    let said = message["content"].as_str().is_some_and(|text| !text.trim().is_empty());
    if said { Ok(()) } else { Err(format!("no content in {message}")) }
}

fn name(value: &Value) -> Result<&str, String> {
    let valid = |name: &&str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    value.as_str().filter(valid).ok_or_else(|| format!("the name {value}"))
}
