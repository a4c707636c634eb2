//! Two providers that have a model, one of which is stopped.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::json;
use tests::{App, Person, said};

#[tokio::test]
async fn a_provider_that_is_gone_is_followed_by_the_next_and_the_run_says_who_answered() -> Result<()> {
    let (far, near) = (tests::start_model()?, tests::start_model()?);
    let providers = json!([{"name": "near", "base_url": near.base_url(), "priority": -1,
        "models": [{"name": "scripted*", "price": {"input": 1000, "output": 1000}}]}]);
    let options = far
        .options()
        .variable("model_providers", &providers.to_string())
        .variable("model_provider_keys", r#"{"near": "test"}"#);
    let Some((_host, app)) = App::own(options)? else { tests::skip!("the app is elsewhere") };
    let person = Person::in_app(&app).await?;
    let model = |key: &str| format!("scripted-delay=0-ttft=0-chunks=3-test={key}");

    let (before, after) = (tests::unique("before"), tests::unique("after"));
    let (turn, events) = person.hear(&model(&before), "Hello").await?;
    assert_eq!(person.run(&turn.run).await?["provider"], "default");
    let whole = said(&events);

    far.stop().await?;
    let (turn, events) = person.hear(&model(&after), "Hello").await?;
    let switched = events.iter().find(|event| event.is_state("switched")).context("nobody said so")?;
    assert_eq!(switched.metadata("provider"), &json!("near"));
    assert_eq!(said(&events).len(), whole.len());
    let run = person.run(&turn.run).await?;
    assert_eq!(
        (&run["state"], &run["provider"], &run["cost"]["currency"]),
        (&json!("complete"), &json!("near"), &json!("USD"))
    );
    assert!(run["cost"]["amount"].as_f64().is_some_and(|amount| amount > 0.0), "{run}");
    assert_eq!(near.journal().ended(&after, 1).await?.len(), 1);

    let models = person.request(Method::GET, "/api/models").send().await?.json::<serde_json::Value>().await?;
    let scripted = models["items"].as_array().and_then(|items| items.iter().find(|item| item["id"] == "scripted"));
    assert_eq!(scripted.context("the default model is not listed")?["providers"], json!(["default", "near"]));
    Ok(())
}
