//! What a person wants of an answer: settings that are sent, left out where a server refuses them, and a form that is checked.

use std::time::Duration;

use domain::{ConversationSettings, Id, ModelSettings, ReasoningEffort, ResponseFormat, RunState, Temperature};
use serde_json::{Value, json, value::RawValue};
use storage::{
    conversation_settings::SettingsChanged,
    messages::{Appended, IncomingMessage},
};

use crate::{
    heard::Heard,
    script::{Answer, answer, tool_call},
    world::World,
};

impl World {
    async fn set(&self, model: ModelSettings) {
        let settings = ConversationSettings { model, ..ConversationSettings::default() };
        let set =
            self.store.set_conversation_settings(self.user, self.conversation, None, &settings, None).await.unwrap();
        assert!(matches!(set, SettingsChanged::Changed(_)), "{set:?}");
    }

    async fn send_wanting(&self, schema: &Value) -> Id {
        let schema = RawValue::from_string(schema.to_string()).unwrap();
        let format = ResponseFormat { name: "city".into(), description: None, schema, strict: Some(true) };
        let (content, default_model, response_format) = ("Where?", "m", Some(&format));
        let incoming = IncomingMessage { content, default_model, response_format, ..IncomingMessage::default() };
        match self.store.append_message(self.user, self.conversation, &incoming).await.unwrap() {
            Appended::Stored(_, run, _) => run.id,
            other => panic!("not stored: {other:?}"),
        }
    }
}

fn settings() -> ModelSettings {
    ModelSettings {
        instructions: Some("Answer in French.".into()),
        temperature: Temperature::try_from(0.4).ok(),
        max_output_tokens: Some(300),
        reasoning_effort: Some(ReasoningEffort::Low),
        tools: None,
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false})
}

/// Refuses a field, as OpenAI does.
fn refusing(field: &'static str, words: &'static str) -> impl Fn(&Value) -> Option<(u16, String)> {
    let body = json!({"error": {"message": words, "type": "invalid_request_error", "param": field}});
    move |request| request.get(field).is_some().then(|| (400, body.to_string()))
}

/// What readers were told besides tokens.
fn notices(heard: &Heard) -> Vec<String> {
    let notices = heard.data().into_iter().filter(|data| data["content"] == "shortened");
    notices.map(|data| data["metadata"]["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_gets_no_tools_because_they_cannot_be_listed_says_so() {
    let told = "The tools could not be listed in time. The model answers without them. Ask again to have them used.";
    for listing_takes in [None, Some(Duration::from_secs(60))] {
        let world = World::new([answer(&["Hello."])]).with_tool("clock_now", false);
        world.listing_takes.set(listing_takes);
        let run = world.send("hi").await;
        let heard = world.read(run, 0).await;
        assert_eq!((heard.text().as_str(), notices(&heard)), ("Hello.", vec![told.to_owned()]));
        assert_eq!(world.asked()[0].get("tools"), None);
        assert!(world.now() < Duration::from_secs(25), "{:?}", world.now());
        // What a host cannot list, it logs itself.
        assert_eq!(world.log_lines().contains("the tools cannot be listed"), listing_takes.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn settings_are_sent_with_the_conversation_after_the_installations_instructions() {
    let world = World::new([answer(&["Bonjour"])]);
    world.set(settings()).await;
    let run = world.send("Hello").await;
    assert_eq!(world.read(run, 0).await.text(), "Bonjour");
    let request = &world.asked()[0];
    assert_eq!(request["messages"][0], json!({"role": "system", "content": "Be kind.\n\nAnswer in French."}));
    assert_eq!((&request["temperature"], &request["reasoning_effort"]), (&json!(0.4), &json!("low")));
    assert_eq!((&request["max_tokens"], request.get("max_completion_tokens")), (&json!(300), None));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_nobody_has_set() {
    let world = World::new([answer(&["ok"])]);
    let run = world.send("Hello").await;
    world.read(run, 0).await;
    for field in ["temperature", "reasoning_effort", "max_tokens", "max_completion_tokens", "response_format"] {
        assert_eq!(world.asked()[0].get(field), None, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_the_server_does_not_take_is_left_out_from_then_on_and_the_person_is_told() {
    for (field, words, told) in [
        ("temperature", "Unsupported parameter: 'temperature' is not supported with this model.", "temperature"),
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.4 with this model. Only the default (1) value is supported.",
            "temperature",
        ),
        ("reasoning_effort", "Unrecognized request argument supplied: reasoning_effort", "reasoning effort"),
        ("reasoning_effort", "\"m\" does not support thinking", "reasoning effort"),
    ] {
        let world = World::new([answer(&["ok"]), answer(&["ok"])]).refusing(refusing(field, words));
        world.set(settings()).await;
        for requests in [2, 3] {
            let run = world.send("Hello").await;
            let heard = world.read(run, 0).await;
            assert_eq!((heard.text().as_str(), world.asked().len()), ("ok", requests), "{words}");
            assert!(matches!(notices(&heard).as_slice(), [notice] if notice.contains(told)), "{:?}", heard.data());
            assert_eq!(world.replay(run, 0).await.logged(), heard.logged());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_server_does_not_take_is_left_out_this_time() {
    for (field, words) in [
        ("temperature", "temperature: must be between 0 and 0.3"),
        (
            "reasoning_effort",
            "Unsupported value: 'reasoning_effort' does not support 'low' with this model. Supported values are: 'medium'.",
        ),
    ] {
        let world = World::new([answer(&["ok"]), answer(&["ok"])]).refusing(refusing(field, words));
        world.set(settings()).await;
        for requests in [2, 4] {
            let run = world.send("Hello").await;
            world.read(run, 0).await;
            assert_eq!(world.asked().len(), requests, "{words}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_answer_is_sent_in_the_field_that_the_server_knows_and_only_if_somebody_wants_it() {
    let words =
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    let world = World::new((0..4).map(|_| answer(&["ok"]))).refusing(refusing("max_tokens", words));
    world.set(settings()).await;
    for requests in [2, 3] {
        let run = world.send("Hello").await;
        world.read(run, 0).await;
        assert_eq!(world.asked().len(), requests);
        assert_eq!(world.asked().last().unwrap()["max_completion_tokens"], 300);
    }
    let run = world.send_elsewhere("Hello").await;
    world.read(run, 0).await;
    assert_eq!(world.asked()[3].get("max_completion_tokens"), None, "nobody wants it there");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_fits_its_schema_completes_the_run() {
    let world = World::new([answer(&[r#"{"city": "#, r#""Paris"}"#])]);
    let run = world.send_wanting(&schema()).await;
    world.read(run, 0).await;
    assert_eq!(world.run(run).await.state, RunState::Complete);
    let sent = &world.asked()[0]["response_format"];
    assert_eq!(
        *sent,
        json!({"type": "json_schema", "json_schema": {"name": "city", "schema": schema(), "strict": true}})
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_kept_and_the_run_says_why() {
    let cut = r#"{"city": "Par"#;
    for (said, words) in [
        ("Paris", "it is not JSON"),
        (r#"{"town": "Paris"}"#, "city"),
        ("```json\n{\"city\": \"Paris\"}\n```", "it is not JSON"),
        (cut, "it is not JSON"),
    ] {
        let world = World::new([answer(&[said])]);
        let run = world.send_wanting(&schema()).await;
        let heard = world.read(run, 0).await;
        let (state, failure) = (world.run(run).await.state, world.run(run).await.failure.unwrap());
        assert_eq!((state, failure.code.as_str()), (RunState::Error, "answer_unfit"));
        assert!(failure.message.contains(words), "{}", failure.message);
        assert_eq!((heard.text().as_str(), world.stored().await), (said, vec!["Where?".to_owned(), said.to_owned()]));
        assert_eq!(heard.data().last().unwrap()["metadata"]["code"], "answer_unfit");
        assert!(!world.log_lines().contains("Paris"), "what the model said is in no log");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_no_schemas_is_told_in_words_and_the_answer_is_checked_all_the_same() {
    let words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.";
    let world = World::new([answer(&[r#"{"city": "Paris"}"#]), answer(&["Paris"])])
        .refusing(refusing("response_format", words));
    let run = world.send_wanting(&schema()).await;
    let heard = world.read(run, 0).await;
    assert!(matches!(notices(&heard).as_slice(), [notice] if notice.contains("told in words")), "{:?}", heard.data());
    assert_eq!((world.run(run).await.state, world.asked().len()), (RunState::Complete, 2));
    let messages = &world.asked()[1]["messages"];
    assert_eq!(messages[0]["content"], "Be kind.", "the beginning stays as it is");
    let told = messages[1]["content"].as_str().unwrap().to_owned();
    assert!(told.starts_with("Where?\n\nAnswer with one JSON value") && told.contains("\"city\""), "{told}");
    let run = world.send_wanting(&schema()).await;
    world.read(run, 0).await;
    assert_eq!((world.run(run).await.state, world.asked().len()), (RunState::Error, 3), "it is remembered");
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_the_server_does_not_take_is_told_in_words_this_time() {
    let words = "Invalid schema for response_format 'city': In context=(), 'additionalProperties' is required to be supplied and to be false.";
    let world =
        World::new((0..2).map(|_| answer(&[r#"{"city": "Paris"}"#]))).refusing(refusing("response_format", words));
    for requests in [2, 4] {
        let run = world.send_wanting(&schema()).await;
        world.read(run, 0).await;
        assert_eq!((world.run(run).await.state, world.asked().len()), (RunState::Complete, requests));
    }
}

#[tokio::test(start_paused = true)]
async fn rounds_with_calls_have_the_settings_too_and_only_the_last_one_is_checked() {
    let world = World::new([tool_call(&[("c1", "t", "{}")]), answer(&[r#"{"city": "Paris"}"#])]).with_tool("t", true);
    world.set(settings()).await;
    let run = world.send_wanting(&schema()).await;
    world.read(run, 0).await;
    assert_eq!(world.run(run).await.state, RunState::Complete);
    for request in world.asked() {
        assert_eq!(
            (&request["temperature"], &request["response_format"]["type"]),
            (&json!(0.4), &json!("json_schema"))
        );
        let system = request["messages"][0]["content"].as_str().unwrap();
        assert!(system.ends_with("Answer in French."), "{system}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_a_run_over_asks_as_it_was_asked_before_whatever_was_changed_since() {
    let slow = Answer::Stream(vec![(60_000, Ok("data: [DONE]\n\n".to_owned()))]);
    let world = World::new([slow, answer(&["ok"])]);
    world.set(settings()).await;
    let run = world.send("Hello").await;
    world.read_and_die(run, std::time::Duration::from_secs(1)).await;
    let now = world.store.conversation(world.user, world.conversation).await.unwrap().unwrap();
    let usual = ConversationSettings::default();
    let set =
        world.store.set_conversation_settings(world.user, world.conversation, now.settings_id, &usual, None).await;
    assert!(matches!(set.unwrap(), SettingsChanged::Changed(_)));
    world.expire_lease(run).await;
    world.read(run, 0).await;
    let asked = world.asked();
    assert_eq!((asked.len(), &asked[0]), (2, &asked[1]));
}

#[tokio::test(start_paused = true)]
async fn a_form_that_a_server_refuses_beside_something_else_takes_nothing_from_others() {
    for words in [
        "Function calling with a response mime type: 'application/json' is unsupported",
        "json mode cannot be combined with tool/function calling",
        "JSON schema conversion failed:\nUnrecognized schema: {\"type\": \"object\"}",
        "This request cannot be served with tools.",
    ] {
        let refuses = move |request: &Value| {
            let both = request.get("response_format").is_some() && request.get("tools").is_some();
            both.then(|| (400, json!({"error": {"message": words}}).to_string()))
        };
        let world =
            World::new([answer(&[r#"{"city": "Paris"}"#]), answer(&["ok"])]).with_tool("t", true).refusing(refuses);
        let run = world.send_wanting(&schema()).await;
        world.read(run, 0).await;
        assert_eq!((world.run(run).await.state, world.asked().len()), (RunState::Complete, 2), "{words}");
        let run = world.send("Hello").await;
        assert!(notices(&world.read(run, 0).await).is_empty(), "{words}");
        let asked = world.asked();
        assert!(asked[1].get("tools").is_some() && asked[2].get("tools").is_some(), "{words}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_settings_that_a_server_does_not_take_together_one_is_left_out_this_time() {
    let refuses = |request: &Value| {
        let both = request.get("temperature").is_some() && request.get("reasoning_effort").is_some();
        let words = "`temperature` may only be set to 1 when thinking is enabled";
        both.then(|| (400, json!({"error": {"message": words}}).to_string()))
    };
    let world = World::new((0..2).map(|_| answer(&["ok"]))).refusing(refuses);
    world.set(settings()).await;
    for requests in [2, 4] {
        let run = world.send("Hello").await;
        let heard = world.read(run, 0).await;
        assert_eq!(world.asked().len(), requests);
        assert_eq!(world.asked().last().unwrap()["reasoning_effort"], "low");
        assert!(matches!(notices(&heard).as_slice(), [notice] if notice.contains("temperature")), "{:?}", heard.data());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_checked_against_what_the_schema_means() {
    for schema in [
        json!({}),
        json!({"properties": {"city": {"type": "string"}}}),
        json!({"schema": {"type": "object", "properties": {"city": {"type": "string"}}}}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object",
            "properties": {"n": {"type": "number", "minimum": 42, "exclusiveMinimum": true}}}),
        json!({"type": "object", "oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]}),
    ] {
        let said = match () {
            () if schema.get("$schema").is_some() => r#"{"n": 42}"#,
            () if schema.get("oneOf").is_some() => "{}",
            () => "42",
        };
        let world = World::new([answer(&[said])]);
        let run = world.send_wanting(&schema).await;
        world.read(run, 0).await;
        assert_eq!(world.run(run).await.state, RunState::Error, "{schema}");
    }
}
