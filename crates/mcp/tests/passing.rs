//! Tests requests that the client half passes on for another client, against the server half.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;
use conformance_provider::Fixture;
use futures::{StreamExt, executor::block_on, future::pending, stream};
use http::{Request, Response};
use mcp::{
    Body, BodyStream, Client, ClientError, ClientOptions, CompletionReference, CompletionRequest, Content, Era,
    Implementation, Input, InputNeeded, Map, ResourceBody, Settings, Tool, Transport, TransportError, respond,
};
use serde_json::{Value, json, value::to_raw_value};

struct Wired;

impl Transport for Wired {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let response = respond(&Fixture, &Settings::default(), request).await;
        Ok(response.map(|body| -> BodyStream {
            match body {
                Body::Empty => Box::pin(stream::empty()),
                Body::Json(json) => Box::pin(stream::iter([Ok(Bytes::from(json))])),
                Body::Events(events) => Box::pin(events.map(Ok)),
            }
        }))
    }

    async fn sleep(&self, _: Duration) {
        pending().await
    }
}

fn client() -> Client<Wired> {
    let options = ClientOptions { era: Some(Era::Modern), ..ClientOptions::new(Implementation::default(), 1_000_000) };
    Client::new(Wired, "http://server.test/mcp".parse().unwrap(), options)
}

fn object(value: Value) -> Map {
    serde_json::from_value(value).unwrap()
}

fn forms() -> Input {
    Input { capabilities: object(json!({ "elicitation": { "form": {} } })), ..Input::default() }
}

/// The other client's answer: a name that its person entered.
fn answered(key: &str, field: &str, state: Option<String>) -> Input {
    let responses = object(json!({ key: { "action": "accept", "content": { field: "Ada" } } }));
    Input { responses, state, ..forms() }
}

#[test]
fn a_server_says_with_its_tools_what_else_it_has() {
    let features = block_on(client().list_tools()).unwrap().features.unwrap();
    assert!(features.has_completions && features.instructions.is_some());
    let uris: Vec<&str> = features.resources.iter().map(|resource| resource.uri.as_str()).collect();
    assert!(uris.contains(&"test://static-text"), "{uris:?}");
    assert_eq!(features.templates[0].uri_template, "test://template/{id}/data");
    let prompt = features.prompts.iter().find(|prompt| prompt.name == "test_prompt_with_arguments").unwrap();
    assert!(prompt.arguments.iter().all(|argument| argument.required));
}

#[test]
fn resources_are_read_prompts_filled_in_and_arguments_completed() {
    let (client, none) = (client(), Input::default());
    let read = |uri: &'static str| block_on(client.read_resource(uri, Map::new(), &none));
    assert_eq!(read("test://static-text").unwrap()[0].body, ResourceBody::Text("This is a text.".to_owned()));
    assert!(matches!(read("test://nothing"), Err(ClientError::Protocol { code: -32602, .. })));
    let arguments = object(json!({ "arg1": "a", "arg2": "b" }));
    let prompt = block_on(client.get_prompt("test_prompt_with_arguments", &arguments, Map::new(), &none)).unwrap();
    assert_eq!(prompt.messages[0].content, Content::text("Prompt with arguments: arg1='a', arg2='b'"));
    let request = CompletionRequest {
        reference: CompletionReference::Prompt("test_prompt_with_arguments".to_owned()),
        argument: "arg1".to_owned(),
        value: "par".to_owned(),
        others: Map::new(),
        meta: Map::new(),
    };
    assert_eq!(block_on(client.complete(&request, Map::new())).unwrap().values, ["paris", "park", "party"]);
}

#[test]
fn a_question_comes_back_and_its_answer_ends_the_call() {
    let client = client();
    let name = "test_input_required_result_request_state";
    let tool: Tool = serde_json::from_value(json!({ "name": name, "inputSchema": { "type": "object" } })).unwrap();
    let nothing = to_raw_value(&json!({})).unwrap();
    let call = |input: Input| block_on(client.pass_call(&tool, &nothing, Map::new(), &input, None));
    let Err(ClientError::InputRequired(InputNeeded { requests, state })) = call(forms()) else { panic!("it asks") };
    assert_eq!(requests["confirm"]["method"], "elicitation/create");
    let mut input = answered("confirm", "ok", state);
    input.responses["confirm"]["content"]["ok"] = true.into();
    let result = call(input).unwrap();
    assert_eq!(result.content, [Content::text("state-ok: requestState validated")]);
}

#[test]
fn what_the_other_client_cannot_do_is_not_asked_of_it() {
    let arguments = Map::new();
    let ask = |input: Input| {
        block_on(client().get_prompt("test_input_required_result_prompt", &arguments, Map::new(), &input))
    };
    let Err(ClientError::Protocol { code, data, .. }) = ask(Input::default()) else { panic!("it can ask nothing") };
    assert_eq!((code, &data.unwrap()["requiredCapabilities"]), (-32021, &json!({ "elicitation": {} })));
    assert!(matches!(ask(forms()), Err(ClientError::InputRequired(_))));
    let filled_in = ask(answered("user_context", "context", None)).unwrap();
    assert_eq!(filled_in.messages[0].content, Content::text("Prompt with context: Ada"));
}
