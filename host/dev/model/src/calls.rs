//! The tool calls of the script. Texts are made in `answer`.

use serde_json::{Map, Value};

use crate::request::{ChatRequest, Function, ToolChoice};
use crate::script::Script;

/// The most calls in one answer, however many a message asks for.
const CALLS_MAX: usize = 128;
/// The first word of an instruction of the knob `obey`.
const INSTRUCTION: &str = "CALL ";

/// A tool call of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON as text.
    pub(crate) arguments: String,
}

/// The calls to make now. None: the script answers with text.
pub(crate) fn wanted(request: &ChatRequest, script: &Script) -> Vec<ToolCall> {
    let mut calls = choose(request, script);
    calls.truncate(CALLS_MAX);
    calls
        .into_iter()
        .enumerate()
        .map(|(index, (name, arguments))| ToolCall {
            id: format!("call_{:016x}{index:03}", request.fingerprint),
            name,
            arguments,
        })
        .collect()
}

fn choose(request: &ChatRequest, script: &Script) -> Vec<(String, String)> {
    let Some(first) = request.tools.first().map(|tool| tool.function.name.as_str()) else {
        return Vec::new();
    };
    let mut required = false;
    match &request.tool_choice {
        Some(ToolChoice::Named { function }) => return vec![(function.name.clone(), arguments(request))],
        Some(ToolChoice::Mode(mode)) if mode == "none" => return Vec::new(),
        Some(ToolChoice::Mode(mode)) => required = mode == "required",
        None => {}
    }
    if script.obey {
        let last = request.messages.last().map(|message| message.text()).unwrap_or_default();
        let calls = instructions(&last);
        if !calls.is_empty() {
            return calls;
        }
    }
    let round = request.rounds();
    let scripted = script.tool.is_some() || script.rounds.is_some() || script.parallel_calls.is_some();
    if scripted && round < script.rounds.unwrap_or(1) {
        // A tool that was not offered is called too: real models invent names.
        let name = script.tool.as_deref().unwrap_or(first);
        return vec![(name.to_owned(), arguments(request)); script.parallel_calls.unwrap_or(1)];
    }
    if required {
        return vec![(first.to_owned(), arguments(request))];
    }
    if round == 0 && !scripted && !script.echo && !script.obey {
        let text = request.last_user_text();
        let call = asked_for(request, &text).map(|function| {
            let arguments = first_object(&text).unwrap_or_else(|| arguments_in_words(function, &text));
            (function.name.clone(), arguments)
        });
        return call.into_iter().collect();
    }
    Vec::new()
}

/// The tool that the person names in a sentence, such as "use web fetch", or a tool for the time.
fn asked_for<'a>(request: &'a ChatRequest, text: &str) -> Option<&'a Function> {
    let text = spoken(text);
    let functions = || request.tools.iter().map(|tool| &tool.function);
    let by_name = functions().find(|function| {
        let name = spoken(&function.name);
        ["use", "use the"].iter().any(|use_| text.contains(&format!(" {use_}{name}")))
    });
    let asks_for_time = text.contains(" time ");
    by_name.or_else(|| functions().find(|function| asks_for_time && spoken(&function.name).ends_with(" now ")))
}

/// The words of a text in lower case, with a space around each: `web__fetch` becomes "web fetch".
fn spoken(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |said, word| said + word + " ")
}

/// Arguments taken from a sentence, for required texts: a URL if the argument is one, otherwise the sentence.
fn arguments_in_words(function: &Function, text: &str) -> String {
    let url = text.split_whitespace().find(|word| word.starts_with("http://") || word.starts_with("https://"));
    let arguments: Map<String, Value> = function
        .required_texts()
        .into_iter()
        .filter_map(|name| {
            let value = if name == "url" { url?.trim_end_matches(['.', ',', '?', '!']) } else { text };
            Some((name.to_owned(), Value::from(value)))
        })
        .collect();
    Value::Object(arguments).to_string()
}

/// The JSON object in the last user message, or an empty one.
fn arguments(request: &ChatRequest) -> String {
    first_object(&request.last_user_text()).unwrap_or_else(|| "{}".to_owned())
}

fn first_object(text: &str) -> Option<String> {
    text.find('{').and_then(|start| text.get(start..)).and_then(object)
}

/// The JSON object at the beginning of the text, as it was written.
fn object(text: &str) -> Option<String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    match values.next() {
        Some(Ok(_)) => text.get(..values.byte_offset()).map(str::to_owned),
        _ => None,
    }
}

/// Every `CALL name {json}` in the text.
fn instructions(text: &str) -> Vec<(String, String)> {
    text.split(INSTRUCTION)
        .skip(1)
        .take(CALLS_MAX)
        .filter_map(|rest| {
            let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '-');
            let (name, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            let arguments = object(after.trim_start()).unwrap_or_else(|| "{}".to_owned());
            (!name.is_empty()).then(|| (name.to_owned(), arguments))
        })
        .collect()
}
