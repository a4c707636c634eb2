//! Tools and a prompt that ask the caller for input.

use mcp::{Answer, Content, Failure, InputNeeded, Map, Outcome, PromptContent, PromptMessage, Role};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Input, Step};

/// The tools, with their descriptions.
pub(crate) const TOOLS: [(&str, &str); 8] = [
    ("test_input_required_result_elicitation", "Asks for a name"),
    ("test_input_required_result_sampling", "Asks for a completion"),
    ("test_input_required_result_list_roots", "Asks for roots"),
    ("test_input_required_result_request_state", "Asks and keeps its state with the caller"),
    ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
    ("test_input_required_result_multi_round", "Asks twice"),
    ("test_input_required_result_tampered_state", "Asks with a signed state"),
    ("test_input_required_result_capabilities", "Asks for what the caller can do"),
];

/// The key that signs states. It need not be secret to test that a change is detected.
const KEY: &str = "conformance";

fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}})
}

fn sampling(text: &str) -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn needed<const N: usize>(requests: [(&str, Value); N], state: Option<String>) -> InputNeeded {
    let requests = requests.map(|(key, request)| (key.to_owned(), request));
    InputNeeded { requests: Map::from_iter(requests), state }
}

fn sign(payload: &str) -> String {
    let digest = Sha256::digest(format!("{KEY}.{payload}.{KEY}"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{payload}.{hex}")
}

fn verify(state: &str) -> Result<&str, Failure> {
    let payload = state.rsplit_once('.').map(|(payload, _)| payload);
    payload
        .filter(|payload| sign(payload) == state)
        .ok_or_else(|| Failure::InvalidState("it is not what this server gave".to_owned()))
}

/// A field of an accepted form.
fn field<'a>(input: &Input<'a>, key: &str, name: &str) -> Option<&'a Value> {
    let response = input.responses.get(key)?;
    response.get("action").filter(|action| *action == "accept")?;
    response.get("content")?.get(name)
}

fn said(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// Calls one of the tools.
pub fn call(name: &str, input: Input<'_>) -> Result<Step, Failure> {
    let state = input.state.map(verify).transpose()?;
    let response = |key: &str| input.responses.get(key);
    let sampled = |key: &str| said(response(key)?.get("content")?.get("text"));
    let root_count = |key: &str| Some(response(key)?.get("roots")?.as_array()?.len());
    let done = |text: String| Ok(Step::Done(Outcome::text(text)));
    let asks = |needed: InputNeeded| Ok(Step::Asks(needed));
    match name {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            match said(field(&input, "user_name", "name")) {
                Some(name) => done(format!("Hello, {name}!")),
                None => asks(needed([("user_name", form("What is your name?", "name", "string"))], None)),
            }
        }
        "test_input_required_result_sampling" => match sampled("sample_request") {
            Some(text) => done(format!("Sampling result: {text}")),
            None => asks(needed([("sample_request", sampling("What is the capital of France?"))], None)),
        },
        "test_input_required_result_list_roots" => match root_count("roots_request") {
            Some(count) => done(format!("Found {count} root(s)")),
            None => asks(needed([("roots_request", roots())], None)),
        },
        "test_input_required_result_request_state" => match (state, field(&input, "confirm", "ok")) {
            (Some("request-state"), Some(Value::Bool(true))) => done("state-ok: requestState validated".to_owned()),
            _ => asks(needed([("confirm", form("Please confirm", "ok", "boolean"))], Some(sign("request-state")))),
        },
        "test_input_required_result_tampered_state" => match (state, field(&input, "confirm", "ok")) {
            (Some("tampered-state"), Some(_)) => done("state-ok".to_owned()),
            _ => asks(needed([("confirm", form("Please confirm", "ok", "boolean"))], Some(sign("tampered-state")))),
        },
        "test_input_required_result_multiple_inputs" => {
            let answers =
                (said(field(&input, "user_name", "name")), sampled("greeting"), root_count("client_roots"), state);
            match answers {
                (Some(name), Some(greeting), Some(count), Some("multiple-inputs")) => {
                    done(format!("Name: {name}; Greeting: {greeting}; Roots: {count}"))
                }
                _ => {
                    let name = form("What is your name?", "name", "string");
                    let requests =
                        [("user_name", name), ("greeting", sampling("Generate a greeting")), ("client_roots", roots())];
                    asks(needed(requests, Some(sign("multiple-inputs"))))
                }
            }
        }
        "test_input_required_result_multi_round" => {
            let second = state.and_then(|state| state.strip_prefix("2:"));
            if let (Some(name), Some(color)) = (second, said(field(&input, "step2", "color"))) {
                return done(format!("Multi-round complete for {name} who likes {color}"));
            }
            let first = said(field(&input, "step1", "name")).filter(|_| state == Some("1"));
            match first.or(second) {
                Some(name) => {
                    let request = form("Step 2: What is your favorite color?", "color", "string");
                    asks(needed([("step2", request)], Some(sign(&format!("2:{name}")))))
                }
                None => {
                    let request = form("Step 1: What is your name?", "name", "string");
                    asks(needed([("step1", request)], Some(sign("1"))))
                }
            }
        }
        "test_input_required_result_capabilities" => {
            if !input.responses.is_empty() {
                let keys: Vec<&str> = input.responses.keys().map(String::as_str).collect();
                return done(format!("capabilities-ok: received {}", keys.join(",")));
            }
            // The server of the crate `mcp` leaves out requests that the caller has not declared.
            let requests = [
                ("elicit_input", form("Elicitation input", "value", "string")),
                ("sample_input", sampling("Sample request")),
            ];
            asks(needed(requests, Some(sign("capabilities"))))
        }
        _ => Err(Failure::Unknown(name.to_owned())),
    }
}

/// Fills in the prompt that asks for input.
pub fn prompt(name: &str, input: Input<'_>) -> Option<Answer<PromptContent>> {
    if name != "test_input_required_result_prompt" {
        return None;
    }
    Some(match said(field(&input, "user_context", "context")) {
        Some(context) => {
            let content = Content::text(format!("Prompt with context: {context}"));
            let messages = vec![PromptMessage { role: Role::User, content }];
            Answer::Done(PromptContent { description: None, messages })
        }
        None => {
            let request = form("What context should the prompt use?", "context", "string");
            Answer::NeedsInput(needed([("user_context", request)], None))
        }
    })
}
