//! Requests, as the Responses API wants them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::borrow::Cow;

use completions::{
    Answer, Call, ChatRequest, Dialect, Echo, FunctionTool, Generation, JsonFormat, Part, ProviderError, Said,
    dialect::{Field, Instructions, SentBack},
    learning::{self, About},
};
use serde_json::{Map, Value, json, value::RawValue};

fn echo() -> Echo {
    let item = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"});
    let fields = Map::from_iter([("reasoning_items".to_owned(), json!([item]))]);
    Echo { server: "https://a.example/v1".into(), model: "m".into(), fields, ..Echo::default() }
}

fn request(parameters: &RawValue) -> ChatRequest<'_> {
    let call = Call {
        key: "k".into(),
        id: "call_1",
        name: "clock",
        arguments: "{\"zone\":\"UTC\"}",
        result: Cow::Borrowed("noon"),
    };
    let answer =
        Answer { text: Cow::Borrowed("Let me look."), echo: Some(echo()), calls: vec![call], ..Answer::default() };
    ChatRequest {
        model: "m",
        server: "https://a.example/v1",
        instructions: "Be kind.",
        parts: vec![Part::User("Time?".into()), Part::Answer(answer)],
        tools: vec![FunctionTool { name: "clock", description: "Tells the time.", parameters }],
        may_call: true,
        answer_tokens: 1_000,
        generation: Generation::default(),
    }
}

fn written(dialect: &Dialect) -> Value {
    let parameters = RawValue::from_string(r#"{"type":"object"}"#.to_owned()).unwrap();
    let (body, _) = responses::write(request(&parameters), dialect).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn a_conversation_becomes_items_and_reasoning_comes_before_its_calls() {
    let body = written(&Dialect::default());
    assert_eq!(
        (&body["instructions"], &body["stream"], &body["store"]),
        (&json!("Be kind."), &json!(true), &json!(false))
    );
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    let input = body["input"].as_array().unwrap();
    let kinds: Vec<_> = input.iter().map(|item| item["type"].as_str().or(item["role"].as_str()).unwrap()).collect();
    assert_eq!(kinds, ["user", "reasoning", "assistant", "function_call", "function_call_output"]);
    assert_eq!((&input[1]["encrypted_content"], &input[2]["content"]), (&json!("c2VjcmV0"), &json!("Let me look.")));
    assert_eq!((&input[3]["name"], &input[3]["arguments"]), (&json!("clock"), &json!("{\"zone\":\"UTC\"}")));
    assert_eq!((&input[3]["call_id"], &input[4]["output"]), (&input[4]["call_id"], &json!("noon")));
    let tool = json!({"type": "function", "name": "clock", "description": "Tells the time.", "parameters": {"type": "object"}, "strict": false});
    assert_eq!(body["tools"], json!([tool]));
    assert_eq!((body.get("messages"), body.get("stream_options")), (None, None));
}

#[test]
fn a_picture_is_an_input_beside_the_words() {
    let parameters = RawValue::from_string("{}".to_owned()).unwrap();
    let said = Said { text: "What is this?".into(), images: vec!["data:image/png;base64,AA=="] };
    let request = ChatRequest { parts: vec![Part::User(said)], ..request(&parameters) };
    let (body, _) = responses::write(request, &Dialect::default()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let content = json!([
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
    ]);
    assert_eq!(body["input"], json!([{"role": "user", "content": content}]));
}

#[test]
fn the_dialect_of_a_server_holds_here_too() {
    let developer = written(&Dialect { instructions: Instructions::Developer, ..Dialect::default() });
    assert_eq!((developer.get("instructions"), &developer["input"][0]["role"]), (None, &json!("developer")));
    let never = written(&Dialect { reasoning: SentBack::Never, ..Dialect::default() });
    assert!(!never["input"].to_string().contains("encrypted_content"));
    let plain = Dialect { left_out: [Field::Store, Field::Include].into(), ..Dialect::default() };
    let plain = written(&plain);
    assert_eq!((plain.get("store"), plain.get("include")), (None, None));
}

#[test]
fn a_field_that_a_server_refuses_is_left_out_from_then_on() {
    let parameters = RawValue::from_string(r#"{"type":"object"}"#.to_owned()).unwrap();
    let mut dialect = Dialect::default();
    for (words, field) in [
        ("Unsupported parameter: 'include'", Field::Include),
        ("Unknown parameter: 'store'.", Field::Store),
        ("tools.0.strict: Extra inputs are not permitted", Field::Strict),
    ] {
        let (_, sent) = responses::write(request(&parameters), &dialect).unwrap();
        let body = json!({"error": {"message": words, "type": "invalid_request_error"}}).to_string();
        let said = ProviderError::from_body(body.as_bytes());
        dialect = learning::lesson(About::Form, &said, &dialect, &sent).unwrap().dialect;
        assert!(!dialect.sends(field), "{words}");
    }
}

#[test]
fn what_is_wanted_of_an_answer_is_sent_in_the_words_of_this_api() {
    let parameters = RawValue::from_string(r#"{"type":"object"}"#.to_owned()).unwrap();
    let schema = RawValue::from_string(r#"{"type":"object","properties":{"z":{},"a":{}}}"#.to_owned()).unwrap();
    let format = JsonFormat { name: "f", description: None, schema: &schema, strict: Some(true) };
    let generation = Generation {
        temperature: Some(0.5),
        reasoning_effort: Some("low"),
        max_output_tokens: Some(300),
        format: Some(format),
    };
    let wanting = |dialect: &Dialect| {
        let request = ChatRequest { generation, ..request(&parameters) };
        let (body, sent) = responses::write(request, dialect).unwrap();
        (String::from_utf8(body).unwrap(), sent)
    };
    let (body, sent) = wanting(&Dialect::default());
    let read: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&read["temperature"], &read["reasoning"]), (&json!(0.5), &json!({"effort": "low"})));
    assert_eq!((&read["max_output_tokens"], &read["text"]["format"]["type"]), (&json!(300), &json!("json_schema")));
    assert_eq!((&read["text"]["format"]["name"], &read["text"]["format"]["strict"]), (&json!("f"), &json!(true)));
    assert!(body.contains(schema.get()), "in the order in which it was sent: {body}");
    for (param, words) in [
        ("temperature", "Unsupported parameter: 'temperature' is not supported with this model."),
        ("reasoning.effort", "Unsupported parameter: 'reasoning.effort' is not supported with this model."),
        ("text.format", "Unsupported parameter: 'text.format' is not supported with this model."),
    ] {
        let said = ProviderError { words: words.into(), param: Some(param.into()), ..ProviderError::default() };
        let lesson = learning::lesson(About::Form, &said, &Dialect::default(), &sent).unwrap();
        let (body, _) = wanting(&lesson.dialect);
        let read: Value = serde_json::from_str(&body).unwrap();
        let field = param.split('.').next().unwrap();
        assert_eq!(read.get(field), None, "{body}");
        assert!(param != "text.format" || body.contains("valid against this JSON Schema"), "{body}");
    }
}
