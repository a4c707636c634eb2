//! The fields of a request.

use super::*;

#[test]
fn is_written_as_the_api_reference_has_it() {
    let schema = RawValue::from_string(r#"{"type":"object"}"#.into()).unwrap();
    let call = Call { key: "k".into(), id: "c1", name: "clock", arguments: "{}", result: Cow::Borrowed("noon") };
    let request = ChatRequest {
        model: "m",
        server: "s",
        instructions: "Be brief.",
        parts: vec![Part::User("Time?".into()), Part::Answer(Answer { calls: vec![call], ..Answer::default() })],
        tools: vec![FunctionTool { name: "clock", description: "Tells the time.", parameters: &schema }],
        may_call: true,
        answer_tokens: 1_000,
        generation: Generation::default(),
    };
    let (body, sent) = request.write(&Dialect::default()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let id = &body["messages"][2]["tool_calls"][0]["id"];
    assert_eq!(
        body,
        json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true},
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Time?"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
                {"role": "tool", "content": "noon", "tool_call_id": id},
            ],
            "tools": [{"type": "function", "function":
                {"name": "clock", "description": "Tells the time.", "parameters": {"type": "object"}}}],
        })
    );
    assert_eq!(sent.fields, [Field::Stream, Field::StreamOptions, Field::Tools]);
}

#[test]
fn a_picture_stands_behind_the_words_and_questions_without_an_answer_are_one_with_all_pictures() {
    let said = |text: &'static str, image: &'static str| Part::User(Said { text: text.into(), images: vec![image] });
    let request = ChatRequest {
        model: "m",
        server: "s",
        instructions: "",
        parts: vec![said("What is this?", "data:a"), said("", "data:b")],
        tools: Vec::new(),
        may_call: true,
        answer_tokens: 1_000,
        generation: Generation::default(),
    };
    let (body, sent) = request.write(&Dialect::default()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let text = json!({"type": "text", "text": "What is this?"});
    assert_eq!(body["messages"], json!([{"role": "user", "content": [text, image("data:a"), image("data:b")]}]));
    assert_eq!(sent.fields.last(), Some(&Field::Images));
}

#[test]
fn an_answer_has_room_for_some_sentences_however_little_its_context_holds() {
    let request = ChatRequest {
        model: "m",
        server: "s",
        instructions: "",
        parts: vec![Part::User("q".into())],
        tools: Vec::new(),
        may_call: true,
        answer_tokens: 10,
        generation: Generation::default(),
    };
    let dialect = Dialect { answer_limit: AnswerLimit::MaxTokens, ..Dialect::default() };
    let (_, sent) = request.write(&dialect).unwrap();
    assert_eq!(sent.answer_limit, Some(256));
}

#[test]
fn what_a_server_sent_along_goes_back_to_it_and_to_nobody_else() {
    let along = Map::from_iter([("extra_content".to_owned(), json!({"google": {"thought_signature": "c2ln"}}))]);
    let kept = Map::from_iter([
        ("reasoning_details".to_owned(), json!([{"type": "reasoning.encrypted", "data": "x"}])),
        ("content".to_owned(), json!([{"type": "thinking", "thinking": []}])),
        ("role".to_owned(), json!("system")),
    ]);
    let answer = |server: &str, model: &str| {
        let echo = Echo {
            server: server.to_owned(),
            model: model.to_owned(),
            reasoning: Some("reasoning_content".to_owned()),
            fields: kept.clone(),
            calls: vec![along.clone()],
        };
        let call = Call { key: "k".into(), id: "c1", name: "t", arguments: "{}", result: Cow::Borrowed("r") };
        let answer = Answer { text: "x".into(), reasoning: Some("hm"), echo: Some(echo), calls: vec![call] };
        let parts = vec![Part::User("q".into()), Part::Answer(answer)];
        let request = ChatRequest {
            model: "m",
            server: "s",
            instructions: "",
            parts,
            tools: Vec::new(),
            may_call: true,
            answer_tokens: 1_000,
            generation: Generation::default(),
        };
        let (body, _) = request.write(&Dialect::default()).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["messages"][1].take()
    };
    let ours = answer("s", "m");
    assert_eq!((&ours["role"], &ours["reasoning_content"]), (&json!("assistant"), &json!("hm")));
    assert_eq!(ours["reasoning_details"], kept["reasoning_details"]);
    assert_eq!(ours["content"], json!([{"type": "thinking", "thinking": []}, {"type": "text", "text": "x"}]));
    assert_eq!(ours["tool_calls"][0]["extra_content"], along["extra_content"]);
    for other in [answer("another", "m"), answer("s", "another")] {
        let fields: Vec<&str> = other.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["content", "role", "tool_calls"]);
        assert_eq!((&other["content"], other["tool_calls"][0].get("extra_content")), (&json!("x"), None));
    }
}
