//! What a program may ask of an assistant, and what it is told of the rest.

use serde_json::{Value, json};

use super::*;

fn read(more: Value) -> Result<AssistantRequest, InvalidRequest> {
    let mut body = json!({"model": "assistant:A", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    AssistantRequest::read(body.to_string().as_bytes())
}

#[test]
fn the_last_message_is_answered_and_those_before_were_said() {
    let request = read(json!({"messages": [
        {"role": "system", "content": "Be brief.\0"},
        {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "and two"}], "name": "ada"},
        {"role": "assistant", "content": "three", "tool_calls": [], "refusal": null},
        {"role": "assistant", "content": null},
        {"role": "developer", "content": "In French."},
        {"role": "user", "content": "four"},
    ]}))
    .unwrap();
    assert_eq!(request.instructions.as_deref(), Some("Be brief.\u{fffd}\n\nIn French."));
    let said = [(MessageRole::User, "one and two".to_owned()), (MessageRole::Assistant, "three".to_owned())];
    assert_eq!((request.said.as_slice(), request.content.as_str()), (said.as_slice(), "four"));
    assert_eq!(read(json!({})).unwrap().instructions, None);
}

#[test]
fn how_the_model_is_to_answer_is_read_and_what_nothing_hangs_on_is_passed_over() {
    let request = read(json!({
        "temperature": 0.5, "max_tokens": 9, "max_completion_tokens": 500, "reasoning_effort": "low", "stream": true,
        "stream_options": {"include_usage": true}, "tool_choice": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "seed": 1, "user": "u", "n": 1, "tools": [],
        "logprobs": false, "stop": null, "store": false, "modalities": ["text"], "metadata": {"a": "b"},
    }))
    .unwrap();
    assert_eq!(request.temperature, Temperature::try_from(0.5).ok());
    assert_eq!((request.max_output_tokens, request.reasoning_effort), (Some(500), Some(ReasoningEffort::Low)));
    assert!(request.streams && request.wants_usage && request.without_tools);
    assert_eq!(request.response_format.unwrap().name, "a");
    assert_eq!(read(json!({"max_tokens": 1})).unwrap().max_output_tokens, Some(MIN_OUTPUT_TOKENS));
    let usual = read(json!({"tool_choice": "auto"})).unwrap();
    assert!(!usual.without_tools && !usual.streams && usual.response_format.is_none());
}

#[test]
fn what_an_assistant_does_not_do_is_refused_by_the_name_of_its_field() {
    let messages = |message: Value| json!({"messages": [message, {"role": "user", "content": "hi"}]});
    for (more, field) in [
        (json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), "tools"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}), "tool_choice"),
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"stop": ["a"]}), "stop"),
        (json!({"store": true}), "store"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"reasoning_effort": "immense"}), "reasoning_effort"),
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "user", "content": " "}]}), "messages"),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "well"}]}),
            "messages",
        ),
        (messages(json!({"role": "tool", "content": "1", "tool_call_id": "c"})), "messages"),
        (messages(json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c"}]})), "messages"),
        (messages(json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})), "messages"),
        (messages(json!({"role": "system", "content": "x".repeat(MAX_PROGRAM_INSTRUCTIONS_BYTES + 1)})), "messages"),
        (messages(json!({"role": "king", "content": "x"})), "messages"),
        (json!({"messages": [{"role": "user", "content": "x".repeat(MAX_MESSAGE_BYTES + 1)}]}), "messages"),
    ] {
        let refused = read(more.clone()).map(|_| ()).unwrap_err();
        assert_eq!(refused.field(), Some(field), "{refused}");
    }
    let words = read(json!({"of_tomorrow": 1})).map(|_| ()).unwrap_err().to_string();
    assert!(words.contains("of_tomorrow"), "{words}");
    let twice = br#"{"model": "a", "model": "b", "messages": []}"#;
    assert!(AssistantRequest::read(twice).is_err() && AssistantRequest::read(b"[]").is_err());
}

#[test]
fn there_is_an_end_to_messages() {
    let said = |count| json!({"messages": vec![json!({"role": "user", "content": "hi"}); count]});
    assert_eq!(read(said(MAX_MESSAGES)).unwrap().said.len(), MAX_MESSAGES - 1);
    let words = read(said(MAX_MESSAGES + 1)).map(|_| ()).unwrap_err().to_string();
    assert!(words.contains("more than 10000 messages"), "{words}");
}

#[test]
fn of_what_was_said_before_only_what_a_model_reads_is_taken() {
    let said = |content: &str| json!({"role": "user", "content": content});
    let body = || json!({"messages": [said("aaaa"), said("bbbb"), said("cccc"), said("d")]});
    let taken = |messages, bytes| {
        let mut request = read(body()).unwrap();
        let said = request.take_said(messages, bytes);
        said.into_iter().map(|(_, content)| content).collect::<Vec<_>>()
    };
    assert_eq!(taken(10, 1_000), ["aaaa", "bbbb", "cccc"]);
    assert_eq!(taken(3, 1_000), ["bbbb", "cccc"], "the message to answer is one of them");
    assert_eq!(taken(10, 6), ["bbbb", "cccc"], "the message whose beginning fits is read whole");
    assert_eq!(taken(10, 5), ["cccc"]);
    assert_eq!((taken(10, 1), taken(0, 10)), (vec![], vec![]));
}
