//! What programs use is limited and counted as everything else.

use super::*;

#[test]
fn what_the_provider_reports_is_charged_in_the_place_of_what_was_reserved() {
    let test = Test::new("");
    test.budget(Subject::User(test.user.id), 100_000);
    answers([events(&[WORD, END, REPORT])]);
    assert_eq!(test.chat(streaming("m")).status, StatusCode::OK);
    assert_eq!(test.left(), 100_000 - 13);
    let embedded = json!({"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}});
    answers([json_of(200, &embedded)]);
    let body = json!({"model": "m", "input": ["one", "two"]});
    assert_eq!(test.post("/v1/embeddings", body).json, embedded);
    assert_eq!(test.left(), 100_000 - 18);
    let usage = test.usage();
    assert_eq!((usage.runs, usage.model_requests, usage.models.len()), (0, 2, 0), "told apart from chats");
    assert_eq!((usage.programs[0].prompt_tokens, usage.programs[0].completion_tokens), (14, 4));
}

#[test]
fn what_nobody_reports_is_estimated_also_when_the_program_leaves() {
    let test = Test::new("");
    test.budget(Subject::Key(test.key_id), 100_000);
    let words = r#"{"choices":[{"index":0,"delta":{"content":"The quick brown fox jumps over the lazy dog. "}}]}"#;
    answers([events(&[words, words, END, "[DONE]"])]);
    assert_eq!(test.chat(streaming("m")).status, StatusCode::OK);
    let whole = 100_000 - test.left();
    assert!((18..40).contains(&whole), "{whole}");
    // It leaves after the first words: the rest is not fetched.
    answers([events(&[words, words, words, words, END, REPORT])]);
    LEAVES_AFTER.set(1);
    assert_eq!(test.chat(streaming("m")).text, format!("data: {words}\n\n"));
    let more = 100_000 - test.left() - whole;
    assert!((18..40).contains(&more), "{more}");
}

#[test]
fn an_answer_that_is_not_streamed_is_charged_as_reported_however_long_it_is_and_when_the_program_has_left() {
    let test = Test::new("");
    test.budget(Subject::User(test.user.id), 1_000_000);
    let half = "x".repeat(400_000);
    let pieces = [
        format!(r#"{{"choices":[{{"message":{{"content":"Hello"}},"logprobs":"{half}"#),
        format!(r#"{half}"}}],"usage":{{"prompt_tokens":9,"completion_tokens":4}}}}"#),
    ];
    let sent =
        |pieces: &[String]| Sent { pieces: pieces.iter().cloned().map(Some).collect(), ..json_of(200, &Value::Null) };
    for (times, leaves_after) in [usize::MAX, 1, 0].into_iter().enumerate() {
        answers([sent(&pieces)]);
        LEAVES_AFTER.set(leaves_after);
        assert_eq!(test.chat(hi("m")).status, StatusCode::OK);
        assert_eq!(1_000_000 - test.left(), 13 * (times as u64 + 1));
    }
    // Of one that breaks off, nobody knows.
    let before = test.left();
    let mut broken = sent(&pieces[..1]);
    broken.pieces.push(None);
    answers([broken]);
    assert_eq!(test.chat(hi("m")).status, StatusCode::OK);
    assert!(before - test.left() > 90_000, "{}", test.left());
}

#[test]
fn a_budget_that_is_used_up_refuses_and_one_that_is_not_lets_the_rest_be_used() {
    let test = Test::new("");
    test.budget(Subject::User(test.user.id), 1_000);
    answers([events(&[WORD, END, r#"{"choices":[],"usage":{"prompt_tokens":500,"completion_tokens":400}}"#])]);
    assert_eq!(test.chat(streaming("m")).status, StatusCode::OK);
    assert_eq!(test.left(), 100);
    let refused = test.chat(streaming("m"));
    assert_eq!(
        (refused.status.as_u16(), &refused.json["error"]["code"], &refused.json["limit"]),
        (429, &json!("insufficient_quota"), &json!("user"))
    );
    assert!(refused.headers.contains_key(header::RETRY_AFTER) && refused.headers["x-should-retry"] == "false");
    assert_eq!((test.left(), test.usage().model_requests), (100, 1), "nothing was taken");
    // A short answer still fits, and is made as short as what is left.
    let mut short = streaming("m");
    short["max_tokens"] = json!(20);
    answers([events(&[WORD, END, REPORT])]);
    assert_eq!(test.chat(short).status, StatusCode::OK);
    assert!(asked()[0].2.contains(r#""max_tokens":20"#));
}

#[test]
fn an_answer_is_no_longer_than_what_is_reserved_for_it() {
    let test = Test::new("");
    let sent = |body: Value| {
        answers([events(&[WORD, END, REPORT])]);
        assert_eq!(test.chat(body).status, StatusCode::OK);
        asked().remove(0).2
    };
    assert!(!sent(streaming("m")).contains("max_"), "nobody has a budget");
    test.budget(Subject::User(test.user.id), 4_100);
    let mut long = streaming("m");
    long["max_tokens"] = json!(100_000);
    let body: Value = serde_json::from_str(&sent(long)).unwrap();
    assert!((1_900..2_100).contains(&body["max_tokens"].as_u64().unwrap()), "{body}");
    assert!(sent(streaming("m")).contains("\"max_completion_tokens\":"));
}

#[test]
fn a_report_of_what_a_program_itself_has_sent_is_none() {
    let test =
        Test::new(r#"[{"name": "r", "base_url": "http://r.example/v1", "dialect": "responses", "models": ["x"]}]"#);
    test.budget(Subject::User(test.user.id), 100_000);
    let created = r#"{"type":"response.created","response":{"tools":[{"parameters":{"properties":{"usage":{"input_tokens":1,"output_tokens":0}}}}]}}"#;
    let words = r#"{"type":"response.output_text.delta","delta":"The quick brown fox jumps over the lazy dog. "}"#;
    answers([events(&[created, words, words, words])]);
    LEAVES_AFTER.set(3);
    let _ = test.post("/v1/responses", json!({"model": "x", "input": "hi", "stream": true}));
    assert!(100_000 - test.left() > 20, "{}", test.left());
}

#[test]
fn a_request_that_nobody_answers_costs_nothing() {
    let test = Test::new("");
    test.budget(Subject::Installation, 100_000);
    answers([json_of(400, &json!({"error": {"message": "no"}, "usage": {"prompt_tokens": 7}}))]);
    assert_eq!(test.chat(hi("m")).status, StatusCode::BAD_REQUEST);
    assert_eq!((test.left(), test.usage().model_requests), (100_000, 1));
}

#[test]
fn a_key_has_its_rate_and_every_answer_says_what_is_left() {
    let test = Test::new("").with_rates(["0", "30", "2"]);
    let send = || {
        answers([events(&[WORD, END, REPORT])]);
        test.chat(streaming("m"))
    };
    for left in ["1", "0"] {
        let answered = send();
        let said = answered.headers["ratelimit"].to_str().unwrap();
        assert!(answered.status == StatusCode::OK && said.contains(&format!("\"key\";r={left};")), "{said}");
    }
    let refused = send();
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert!(refused.headers.contains_key(header::RETRY_AFTER) && refused.headers.contains_key("ratelimit"));
    assert_eq!(test.usage().model_requests, 2);
}

#[test]
fn what_it_costs_is_stored_with_the_price_at_whoever_answered() {
    let priced = r#"[{"name": "near", "base_url": "http://near.example/v1", "priority": 1,
        "models": [{"name": "gpt-x", "price": {"input": 1, "output": 2}}]}]"#;
    let test = Test::new(priced);
    answers([events(&[WORD, END, r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}"#])]);
    assert_eq!(test.chat(streaming("gpt-x")).status, StatusCode::OK);
    assert_eq!(test.usage().programs[0].cost, 2_000);
    answers([json_of(500, &json!({"error": {}})), events(&[WORD, END, REPORT])]);
    assert_eq!(test.chat(streaming("gpt-x")).status, StatusCode::OK);
    let usage = test.usage();
    assert_eq!((usage.programs[0].cost, usage.programs[0].uncosted), (2_000, (9, 4)), "default has no price for it");
}
