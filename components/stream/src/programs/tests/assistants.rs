//! `assistant:NAME` as a model, with runs whose events are a script's.

use std::cell::RefCell;

use domain::{AssistantContents, Id, MessageRole, ModelSettings, Temperature, Timestamp, Usage, User, event::Event};
use storage::{
    assistants::{Assistant, AssistantSaved},
    claims::Claim,
    groups::GroupSaved,
    runs::Lease,
};

use super::*;
use crate::programs::execution::{Execution, Task};

thread_local! {
    /// What the next run says. `None`: it was not executed.
    static FRAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn execute_scripted(execution: Execution) -> Task {
    Box::pin(async move {
        let listener = execution.listener;
        for frames in FRAMES.take() {
            listener.hear(&frames);
            listener.flow().await;
        }
        listener.end();
        listener.flow().await;
    })
}

fn runs(events: &[Event<'_>]) {
    let (mut id, mut frames) = (0, Vec::new());
    for event in events {
        let mut frame = String::new();
        event.write(&mut id, "r", Timestamp::from_millis(0), &mut frame);
        frames.push(frame);
    }
    FRAMES.set(frames);
}

const SAID: Event<'_> = Event::Token { content: "Bonjour", token_count: 1 };

fn end() -> Event<'static> {
    let usage = Some(Usage { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 });
    Event::Complete { finish_reason: "stop", usage, message_id: None, attempt: 1, answered: None }
}

const SCOPES: &str = "models:call models:use:* conversations:write tools:call:*";

fn contents(name: &str) -> AssistantContents {
    let settings = ModelSettings {
        instructions: Some("Answer in French.".into()),
        temperature: Temperature::try_from(0.3).ok(),
        max_output_tokens: Some(900),
        tools: Some(vec!["clock:*".into()]),
        ..ModelSettings::default()
    };
    AssistantContents { name: name.into(), model: Some("gpt-5".into()), settings, ..AssistantContents::default() }
}

impl Test {
    /// With a key that may ask assistants.
    fn of_assistants() -> Self {
        let mut test = Self::new("");
        (test.key_id, test.key) = test.fixture.api_key(&test.user, SCOPES);
        answering(&[("https://own.example/v1/models", 200, json!({"data": []}))]);
        test
    }

    fn assistant(&self, owner: &User, contents: &AssistantContents, groups: &[Id]) -> Assistant {
        match block_on(self.fixture.app.store().create_assistant(owner.id, contents, groups)).unwrap() {
            AssistantSaved::Saved(assistant) => *assistant,
            other => panic!("{other:?}"),
        }
    }

    fn group(&self, members: &[&User]) -> Id {
        let store = self.fixture.app.store();
        let GroupSaved::Saved(group) = block_on(store.create_group("team", &[])).unwrap() else { panic!() };
        for member in members {
            assert!(block_on(store.add_group_member(group.id, member.id)).unwrap());
        }
        group.id
    }

    fn listed(&self, key: &str) -> Vec<String> {
        let list = self.send(Method::GET, "/v1/models", Some(key), None);
        let ids = list.json["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned());
        ids.filter(|id| id.starts_with("assistant:")).collect()
    }

    /// The run of an answer, as whoever takes it over gets it.
    fn claim(&self, answer_id: &str) -> Claim {
        let run_id = answer_id.strip_prefix("chatcmpl-").unwrap().parse().unwrap();
        let lease = Lease { run_id, owner: Id::new() };
        block_on(self.fixture.app.store().claim_early(lease, 60_000, i64::from(u32::MAX), "")).unwrap().unwrap()
    }
}

fn ask(name: &str) -> Value {
    json!({"model": format!("assistant:{name}"), "messages": [{"role": "user", "content": "hi"}]})
}

fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["error"]["code"].as_str().unwrap_or_default())
}

#[test]
fn an_assistant_answers_as_a_run_with_its_settings_and_what_the_program_says() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    runs(&[SAID, end()]);
    let answered = test.chat(json!({
        "model": "assistant:translator", "temperature": 0.5, "tool_choice": "none",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    }));
    assert_eq!(
        (answered.status, &answered.json["object"]),
        (StatusCode::OK, &json!("chat.completion")),
        "{}",
        answered.text
    );
    assert_eq!(answered.json["choices"][0]["message"]["content"], "Bonjour");
    assert_eq!(
        (&answered.json["model"], &answered.json["usage"]["total_tokens"]),
        (&json!("assistant:translator"), &json!(13))
    );
    let claim = test.claim(answered.json["id"].as_str().unwrap());
    assert_eq!((claim.run.model.as_str(), claim.unattended, claim.began_elsewhere), ("gpt-5", true, true));
    let ModelSettings { instructions, temperature, max_output_tokens, tools, .. } = claim.settings;
    assert_eq!(instructions.as_deref(), Some("Answer in French.\n\nBe brief."));
    assert_eq!((temperature, max_output_tokens, tools), (Temperature::try_from(0.5).ok(), Some(900), Some(vec![])));
    assert_eq!(claim.response_format.unwrap().name, "a");
    let store = test.fixture.app.store();
    let context = block_on(store.context(&claim.run, 10, 1_000_000)).unwrap();
    let context: Vec<_> = context.iter().map(|message| (message.role, message.content.as_str())).collect();
    let (user, assistant) = (MessageRole::User, MessageRole::Assistant);
    assert_eq!(context, [(user, "one"), (assistant, "two"), (user, "three")]);
    assert!(block_on(store.conversations(test.user.id, None, 9, true)).unwrap().is_empty(), "it is in no list");
    assert_eq!(asked().len(), 0, "it did not pass through");
}

#[test]
fn a_stream_comes_in_chunks_and_ends_with_done() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    runs(&[Event::Thinking { content: "hm" }, SAID, end()]);
    let mut body = ask("Translator");
    body.as_object_mut()
        .unwrap()
        .extend([("stream".to_owned(), json!(true)), ("stream_options".to_owned(), json!({"include_usage": true}))]);
    let answered = test.chat(body.clone());
    assert_eq!(
        (answered.status, &answered.headers["content-type"]),
        (StatusCode::OK, &HeaderValue::from_static("text/event-stream"))
    );
    assert!(answered.text.starts_with("data: {\"id\":\"chatcmpl-"), "{}", answered.text);
    assert!(answered.text.contains(r#""delta":{"content":"Bonjour"}"#), "{}", answered.text);
    assert!(answered.text.contains(r#""usage":{"prompt_tokens":9"#), "{}", answered.text);
    assert!(answered.text.ends_with("data: [DONE]\n\n"), "{}", answered.text);
    // One whose run nobody ends.
    runs(&[SAID]);
    let broken = test.chat(body).text;
    assert!(broken.contains("answer_broke_off") && !broken.contains("[DONE]"), "{broken}");
}

#[test]
fn who_does_not_take_a_stream_sees_that_it_is_not_whole() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    runs(&[SAID, SAID, end()]);
    let body =
        json!({"model": "assistant:Translator", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    LEAVES_AFTER.set(2);
    let broken = test.chat(body).text;
    assert_eq!(broken.matches("Bonjour").count(), 1, "{broken}");
    assert_eq!(broken.matches("<broken off>").count(), 1, "{broken}");
    assert!(broken.ends_with("<broken off>"), "{broken}");
}

#[test]
fn a_turn_that_fails_is_told_with_its_reason_and_is_not_to_be_repeated() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    let failure = |code| Event::Error { message: "It went wrong.", code, retryable: true };
    for (code, status, told) in [
        ("budget", 429, "insufficient_quota"),
        ("model_silent", 502, "run_failed"),
        ("answer_unfit", 502, "answer_unfit"),
    ] {
        runs(&[failure(code)]);
        let refused = test.chat(ask("Translator"));
        assert_eq!(refusal(&refused), (status, told));
        assert_eq!(refused.json["error"]["message"], "It went wrong.");
        assert_eq!(refused.headers["x-should-retry"], "false");
    }
}

#[test]
fn assistants_are_listed_as_models_by_the_name_that_finds_them() {
    let test = Test::of_assistants();
    let (_, narrow) = test.fixture.api_key(&test.user, "models:call models:use:m conversations:write tools:call:*");
    let (ben, _) = test.fixture.person("ben@example.org");
    let (eve, _) = test.fixture.person("eve@example.org");
    let team = test.group(&[&test.user, &ben, &eve]);
    let own = test.assistant(&test.user, &contents("Mine"), &[]);
    test.assistant(&ben, &contents("mine"), &[team]);
    test.assistant(&ben, &contents("Private"), &[]);
    test.assistant(&ben, &contents("Shared/one"), &[team]);
    assert_eq!(test.listed(&test.key), ["assistant:Shared/one", "assistant:Mine"]);
    test.assistant(&eve, &contents("shared/ONE"), &[team]);
    assert_eq!(test.listed(&test.key), ["assistant:Mine"], "nobody knows which is meant");
    let one = |id: &str| test.send(Method::GET, &format!("/v1/models/{id}"), Some(&test.key), None);
    let created = own.created_at.as_millis() / 1_000;
    let model = json!({"id": "assistant:Mine", "object": "model", "created": created, "owned_by": "assistants"});
    assert_eq!(one("assistant:MINE").json, model);
    for (name, words) in [("Private", "none is shared"), ("Shared/one", "Several assistants")] {
        for refused in [one(&format!("assistant:{name}")), test.chat(ask(name))] {
            assert_eq!(refusal(&refused), (404, "model_not_found"));
            assert!(refused.json["error"]["message"].as_str().unwrap().contains(words), "{}", refused.text);
        }
    }
    // Whose model may not be used, cannot answer.
    assert_eq!(test.listed(&narrow), Vec::<String>::new());
    let refused = test.send(Method::POST, "/v1/chat/completions", Some(&narrow), Some(&ask("Mine")));
    assert_eq!(refusal(&refused), (403, "insufficient_scope"));
    let refused = test.send(Method::GET, "/v1/models/assistant:Mine", Some(&narrow), None);
    assert_eq!(refusal(&refused), (404, "model_not_found"));
    // Nobody's name is that long, and it would be repeated in each piece of a stream.
    let refused = test.chat(ask(&format!("Mine{}", " ".repeat(300))));
    assert_eq!(refusal(&refused), (404, "model_not_found"));
}

#[test]
fn a_key_that_may_only_ask_models_asks_no_assistant() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    for scopes in [
        "models:call models:use:*",
        "models:call models:use:* conversations:write",
        "models:call models:use:* tools:call:*",
    ] {
        let (_, key) = test.fixture.api_key(&test.user, scopes);
        let refused = test.send(Method::POST, "/v1/chat/completions", Some(&key), Some(&ask("Translator")));
        assert_eq!(refusal(&refused), (403, "insufficient_scope"), "{scopes}");
        assert_eq!(test.listed(&key), Vec::<String>::new());
        let one = test.send(Method::GET, "/v1/models/assistant:Translator", Some(&key), None);
        assert_eq!(refusal(&one), (403, "insufficient_scope"));
    }
}

#[test]
fn what_an_assistant_does_not_do_is_refused_before_anything_is_stored() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    let mut body = ask("Translator");
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let refused = test.chat(body);
    assert_eq!((refusal(&refused), &refused.json["error"]["param"]), ((400, "invalid_request"), &json!("tools")));
    let elsewhere = test.post("/v1/responses", json!({"model": "assistant:Translator", "input": "hi"}));
    assert_eq!(refusal(&elsewhere), (400, "api_not_offered"));
    let mut gone = contents("Gone");
    gone.model = Some("nobody-has-it".into());
    test.assistant(&test.user, &gone, &[]);
    assert_eq!(refusal(&test.chat(ask("Gone"))), (404, "model_not_found"));
    assert_eq!(test.usage().runs, 0);
}

#[test]
fn an_assistant_without_a_model_takes_the_default_one() {
    let test = Test::of_assistants();
    test.assistant(&test.user, &AssistantContents { model: None, ..contents("Any") }, &[]);
    runs(&[SAID, end()]);
    let answered = test.chat(ask("Any"));
    let claim = test.claim(answered.json["id"].as_str().unwrap());
    assert_eq!((claim.run.model.as_str(), claim.began_elsewhere), ("m", false), "nothing was said before");
}

#[test]
fn limits_and_budgets_are_those_of_messages_and_what_they_refuse_leaves_nothing() {
    let test = Test::of_assistants().with_rates(["0", "1", "0"]);
    test.assistant(&test.user, &contents("Translator"), &[]);
    runs(&[SAID, end()]);
    let answered = test.chat(ask("Translator"));
    assert!(answered.status == StatusCode::OK && answered.headers.contains_key("ratelimit"), "{}", answered.text);
    assert_eq!(refusal(&test.chat(ask("Translator"))), (429, "rate_limit_exceeded"));
    assert_eq!(test.usage().runs, 1);
    let test = Test::of_assistants();
    test.assistant(&test.user, &contents("Translator"), &[]);
    test.budget(Subject::User(test.user.id), 0);
    let refused = test.chat(ask("Translator"));
    assert_eq!(refusal(&refused), (429, "insufficient_quota"), "{}", refused.text);
    assert_eq!(refused.headers["x-should-retry"], "false");
}

#[test]
fn what_is_not_there_is_told_in_the_form_that_clients_read() {
    let test = Test::new("");
    for path in ["/v1/files", "/v1/chat/completions/1", "/v1/audio/speech"] {
        let nothing = test.send(Method::GET, path, Some(&test.key), None);
        assert_eq!(refusal(&nothing), (404, "not_found"), "{path}");
        assert!(nothing.json["error"]["message"].as_str().unwrap().contains("/v1/chat/completions"));
    }
    let elsewhere = test.send(Method::GET, "/api/models/none", Some(&test.key), None);
    assert_eq!((elsewhere.status.as_u16(), &elsewhere.json["error"]), (404, &Value::Null));
}
