//! Several providers that have a model: who is asked, who is asked next, and what the run says about it.

use std::time::Duration;

use domain::{Decision, RunState, prices::Prices};
use models::{Api, Facts, Model, Pricing, Provider};
use serde_json::{Value, json};
use storage::limits::{LimitKind, LimitsSet, Subject};

use crate::{
    script::{Answer, answer, chunk, text, tool_call},
    world::World,
};

fn provider(name: &str) -> Provider {
    let standard = Provider::standard(&format!("https://{name}.example/v1"), "planted-key", "m", "");
    Provider { name: name.to_owned(), ..standard }
}

impl World {
    /// With these providers, which are asked in this order.
    fn with_providers(mut self, names: &[&str]) -> Self {
        self.providers = names.iter().map(|name| provider(name)).collect();
        self
    }

    fn with_prices(mut self, prices: &str) -> Self {
        self.pricing = Pricing::new(Prices::parse(prices).unwrap());
        self
    }

    fn asked_providers(&self) -> Vec<String> {
        self.asked_providers.borrow().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_followed_at_once_by_the_next_and_the_run_says_so() {
    for (failure, why) in [
        (Answer::Unreachable, "does not answer"),
        (Answer::Refuse(503, None, String::new()), "is asked instead"),
        (Answer::Refuse(429, Some(Duration::from_secs(20)), String::new()), "is too busy"),
        (
            Answer::Refuse(401, None, r#"{"error":{"message":"invalid_api_key"}}"#.into()),
            "refuses this installation's key",
        ),
        (Answer::Stream(vec![(5, Err("reset".into()))]), "does not answer"),
        (answer(&[]), "says nothing"),
    ] {
        let world = World::new([failure, answer(&["ok"])]).with_providers(&["far", "near"]);
        let run = world.send("hi").await;
        let reader = world.read(run, 0).await;
        assert_eq!((reader.text().as_str(), world.asked_providers()), ("ok", vec!["far".into(), "near".into()]));
        let switched = &reader.data()[1];
        let words = switched["metadata"]["message"].as_str().unwrap();
        assert_eq!((&switched["content"], &switched["metadata"]["provider"]), (&json!("switched"), &json!("near")));
        assert!(words.starts_with("The provider far ") && words.contains(why), "{words}");
        let times = world.times();
        assert!(times[1] - times[0] < Duration::from_millis(400), "nobody waits for one that failed: {times:?}");
        assert_eq!(world.run(run).await.provider.as_deref(), Some("near"));
        assert_eq!(reader.data().last().unwrap()["metadata"]["provider"], "near");
        assert_eq!(world.replay(run, 0).await.logged(), reader.logged());
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_at_all_is_given_up_sooner_if_there_is_another() {
    let silent = Answer::Stream(vec![(3_600_000, Ok(text("late")))]);
    let world = World::new([silent, answer(&["ok"])]).with_providers(&["far", "near"]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.text(), "ok");
    assert!(world.now() < Duration::from_secs(31), "{:?}", world.now());
}

#[tokio::test(start_paused = true)]
async fn after_the_first_word_nobody_else_is_asked() {
    let broken = Answer::Stream(vec![(0, Ok(text("half"))), (5, Err("reset".into()))]);
    let world = World::new([broken]).with_providers(&["far", "near"]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.data().last().unwrap()["metadata"]["code"], "model_broke_off");
    assert_eq!((world.asked_providers(), world.stored().await), (vec!["far".into()], vec!["hi".into(), "half".into()]));
}

#[tokio::test(start_paused = true)]
async fn the_last_provider_is_asked_again_as_the_only_one_would_be_and_its_words_are_told() {
    let busy = || Answer::Refuse(503, None, r#"{"error":{"message":"no capacity"}}"#.into());
    let world = World::new([Answer::Unreachable, busy(), busy(), busy(), busy()]).with_providers(&["far", "near"]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    let asked: Vec<_> = world.asked_providers();
    assert_eq!(asked, ["far", "near", "near", "near", "near"]);
    let error = reader.data().pop().unwrap();
    assert!(error["content"].as_str().unwrap().contains("no capacity"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_later_round_goes_on_with_whoever_answered_and_signatures_go_to_nobody_else() {
    let call = json!({
        "index": 0, "id": "c1", "type": "function", "function": {"name": "t", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "planted-signature"}},
    });
    let signed = json!({"reasoning_content": "planted-reasoning", "tool_calls": [call]});
    let signed = Answer::Stream(vec![(5, Ok(chunk(signed, Some("tool_calls"))))]);
    let world = World::new([Answer::Unreachable, signed, Answer::Unreachable, answer(&["done"])]);
    let world = world.with_providers(&["far", "near", "last"]).with_tool("t", false);
    let run = world.send("go").await;
    assert_eq!(world.read(run, 0).await.text(), "done");
    assert_eq!(world.asked_providers(), ["far", "near", "near", "last"]);
    let asked: Vec<String> = world.asked().iter().map(Value::to_string).collect();
    for planted in ["planted-signature", "planted-reasoning"] {
        assert!(asked[2].contains(planted), "whoever sent {planted} gets it back: {}", asked[2]);
        assert!(!asked[3].contains(planted), "somebody else gets {planted}: {}", asked[3]);
    }
    assert!(asked[3].contains("result of"), "the call itself goes on: {}", asked[3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_learned_about_a_provider_is_kept_for_it_alone() {
    let refuses_options = |request: &Value| {
        let message = r#"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#;
        request.get("stream_options").is_some().then(|| (400, message.to_owned()))
    };
    let world = World::new([answer(&["one"]), answer(&["two"])]).with_providers(&["far"]).refusing(refuses_options);
    for question in ["first", "second"] {
        let run = world.send(question).await;
        world.read(run, 0).await;
    }
    assert_eq!(world.asked().len(), 3, "it was learned once");
    let world = world.with_providers(&["near", "far"]);
    let claim = async |server: &str| {
        let run = world.send_elsewhere("hi").await;
        let lease = storage::runs::Lease { run_id: run, owner: domain::Id::new() };
        world.store.claim(lease, 1_000, server).await.unwrap().unwrap().dialects
    };
    assert_eq!(claim("https://near.example/v1").await, []);
    let both = claim("https://near.example/v1 https://far.example/v1").await;
    assert_eq!(both.iter().map(|(server, _)| server.as_str()).collect::<Vec<_>>(), ["https://far.example/v1"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_costs_what_the_tokens_cost_at_whoever_used_them() {
    let world = World::new([Answer::Unreachable, tool_call(&[("c1", "t", "{}")]), answer(&["done"])]);
    let world = world.with_prices(r#"{"currency": "EUR", "models": {"m": {"input": 1, "output": 2}}}"#);
    let mut world = world.with_providers(&["far", "near"]).with_tool("t", false);
    let price = domain::prices::Price::per_million(10.0, 20.0);
    world.providers[1].models = vec![Model { name: "m".to_owned(), facts: Facts { price, ..Facts::default() } }];
    let run = world.send("go").await;
    let reader = world.read(run, 0).await;
    let stored = world.run(run).await;
    let cost = stored.cost.unwrap();
    // Two rounds of 3 tokens read and 4 written.
    assert_eq!((cost.millionths, cost.currency.as_str()), (2 * (3 * 10 + 4 * 20), "EUR"));
    let metadata = &reader.data().pop().unwrap()["metadata"];
    assert_eq!(metadata["cost"], json!({"amount": 0.00022, "currency": "EUR"}));
    assert_eq!((&metadata["model"], &metadata["provider"]), (&json!("m"), &json!("near")));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_nobody_has_any_more_is_answered_in_words() {
    let world = World::new([]).with_providers(&[]);
    let run = world.send("hi").await;
    let error = world.read(run, 0).await.data().pop().unwrap();
    assert!(error["content"].as_str().unwrap().contains("has the model m any more"), "{error}");
    assert_eq!(world.run(run).await.state, RunState::Error);
}

/// An answer of the Responses API, with these events.
fn responses(events: &[Value]) -> Answer {
    let ended = json!({"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}});
    let events = events.iter().chain([&ended]);
    Answer::Stream(events.map(|event| (5, Ok(format!("data: {event}\n\n")))).collect())
}

#[tokio::test(start_paused = true)]
async fn a_provider_with_the_responses_api_calls_tools_and_gets_its_reasoning_back() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "c2Vj"});
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "t", "arguments": "{\"a\":1}"});
    let first = responses(&[
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": call}),
    ]);
    let second = responses(&[json!({"type": "response.output_text.delta", "output_index": 0, "delta": "done"})]);
    let mut world = World::new([first, second]).with_providers(&["far"]).with_tool("t", false);
    world.providers[0].api = Api::Responses;
    let run = world.send("go").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "thinking", "tool_request", "tool_result", "token", "complete"]);
    assert_eq!((reader.text().as_str(), world.run(run).await.usage.unwrap().total_tokens), ("done", 14));
    let asked = world.asked();
    assert!(asked[0]["instructions"].as_str().is_some_and(|text| text.starts_with("Be kind.")));
    let input = asked[1]["input"].as_array().unwrap();
    assert_eq!((&input[1]["encrypted_content"], &input[2]["type"]), (&json!("c2Vj"), &json!("function_call")));
    assert_eq!(input[3]["output"].as_str().map(|output| output.contains("result of")), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_provider_with_another_api_may_follow() {
    let world = World::new([Answer::Unreachable, answer(&["ok"])]);
    let mut world = world.with_providers(&["far", "near"]);
    world.providers[0].api = Api::Responses;
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.text(), "ok");
    let asked = world.asked();
    assert!(asked[0].get("input").is_some() && asked[1].get("messages").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_server_of_the_responses_api_refuses_is_learned_too() {
    let refuses = |request: &Value| {
        let message =
            r#"{"error":{"message":"Encrypted content is not supported with this model.","param":"include"}}"#;
        request.get("include").is_some().then(|| (400, message.to_owned()))
    };
    let text = |text: &str| responses(&[json!({"type": "response.output_text.delta", "delta": text})]);
    let mut world = World::new([text("one"), text("two")]).with_providers(&["far"]).refusing(refuses);
    world.providers[0].api = Api::Responses;
    for question in ["first", "second"] {
        let run = world.send(question).await;
        world.read(run, 0).await;
    }
    assert_eq!(
        (world.stored().await, world.asked().len()),
        (["first", "one", "second", "two"].map(str::to_owned).to_vec(), 3)
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_provider_that_said_nothing_are_not_charged_at_the_price_of_the_next() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":0}}\n\n";
    let reported = Answer::Stream(vec![(0, Ok(usage.to_owned())), (5, Err("reset".into()))]);
    let world = World::new([reported, answer(&["ok"])]).with_providers(&["far", "near"]);
    let world = world.with_prices(r#"{"currency": "EUR", "models": {"m": {"input": 1000, "output": 1000}}}"#);
    let limits = [(LimitKind::CostPerDay, 1_000_000_000)];
    let set = world.store.set_limits(&Subject::Installation, false, &limits).await;
    assert!(matches!(set.unwrap(), LimitsSet::Set { .. }));
    world.has_budgets.set(true);
    let run = world.send("hi").await;
    world.read(run, 0).await;
    let run = world.run(run).await;
    assert_eq!((run.usage.unwrap().total_tokens, run.cost.unwrap().millionths), (7, 7_000));
    assert_eq!(world.store.limits().await.unwrap()[0].taken, Some(7_000));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_after_a_question_stays_with_whoever_answered() {
    let world = World::new([Answer::Unreachable, tool_call(&[("c1", "t", "{}")]), answer(&["done"])]);
    let world = world.with_providers(&["far", "near"]).with_asking_tool("t");
    let run = world.send("go").await;
    let (_, ()) = tokio::join!(world.read(run, 0), world.decide(run, "c1", Decision::AllowOnce));
    world.until(run, RunState::Complete).await;
    assert_eq!(world.asked_providers(), ["far", "near", "near"]);
}
