//! Several providers that have a model: who is asked, who is asked next, and what the run says about it.

use std::time::Duration;

use domain::{RunState, prices::Prices};
use models::{Facts, Model, Pricing, Provider};
use serde_json::json;

use crate::{
    script::{Answer, answer, text, tool_call},
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
    let world = World::new([Answer::Unreachable, tool_call(&[("c1", "t", "{}")]), answer(&["done"])]);
    let world = world.with_providers(&["far", "near"]).with_tool("t", false);
    let run = world.send("go").await;
    assert_eq!(world.read(run, 0).await.text(), "done");
    assert_eq!(world.asked_providers(), ["far", "near", "near"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_learned_about_a_provider_is_kept_for_it_alone() {
    let refuses_options = |request: &serde_json::Value| {
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
