//! `/health`, `/ready` and `/api/tools`.

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Options, Person, anonymous, array, text, until};

#[tokio::test]
async fn health_says_that_the_process_answers() -> Result<()> {
    let response = anonymous(Method::GET, "/health")?.send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.json::<Value>().await?, json!({"status": "ok"}));
    Ok(())
}

#[tokio::test]
async fn ready_says_that_every_part_is() -> Result<()> {
    let response = anonymous(Method::GET, "/ready")?.send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = response.json().await?;
    assert_eq!(body["status"], "ready");
    let checks = array(&body, "/checks")?;
    assert!(checks.iter().any(|check| check["name"] == "database"));
    // No master key is set here, which works and is warned of.
    assert!(checks.iter().all(|check| check["status"] == "ok" || check["name"] == "master_key"), "{checks:?}");
    Ok(())
}

/// The checks of `/ready` that fail once the database answers: a new one is brought up to date first, which may take longer than `/ready` waits.
async fn failed_checks(app: &App) -> Result<Vec<Value>> {
    // While an installation starts, its components bring the database up to date.
    let waits = |check: &Value| {
        check["name"] == "database" || check["detail"].as_str().is_some_and(|detail| detail.contains("does not answer"))
    };
    until("the database and all components answer", async || {
        let response = app.request(Method::GET, "/ready").send().await?;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body: Value = response.json().await?;
        assert_eq!(body["status"], "not_ready");
        let failed = array(&body, "/checks")?.into_iter().filter(|check| check["status"] == "failed");
        let failed: Vec<Value> = failed.collect();
        Ok((!failed.iter().any(waits)).then_some(failed))
    })
    .await
}

#[tokio::test]
async fn not_ready_names_every_setting_that_is_wrong_and_how_to_set_it() -> Result<()> {
    let wrong = [
        ("openai_base_url", "nonsense", "SPIN_VARIABLE_OPENAI_BASE_URL"),
        ("openai_api_key", "", "SPIN_VARIABLE_OPENAI_API_KEY"),
        ("model_silence_ms", "soon", "number"),
        ("master_key", "words that are no key", "openssl rand"),
        ("signup", "opne", "closed"),
        ("public_url", "chat.example.org", "https://"),
        ("signing_key", "words that are no key", "openssl genpkey"),
        ("second_factor_roles", "all people", "admin,auditor"),
        ("client_address_header", "x real ip", "x-real-ip"),
        ("tool_policies", "clock", "denied"),
    ];
    let options = wrong.iter().fold(Options::default(), |options, (name, value, _)| options.variable(name, value));
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let failed = failed_checks(&app).await?;
    let names: Vec<_> = failed.iter().map(|check| check["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, wrong.map(|(name, ..)| name));
    for (check, (_, _, word)) in failed.iter().zip(wrong) {
        let detail = text(check, "/detail")?;
        assert!(detail.contains(word) && !detail.contains("words that are no key"), "{check}");
    }
    // The process answers all the same, and strangers stay out.
    assert_eq!(app.request(Method::GET, "/health").send().await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn plain_http_to_another_machine_is_named_unless_the_manifest_allows_it() -> Result<()> {
    let options =
        Options::default().variable("openai_base_url", "http://192.0.2.1/v1").variable("openai_api_key", "test");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let failed = failed_checks(&app).await?;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(text(&failed[0], "/detail")?.contains("allowed_outbound_hosts"), "{failed:?}");
    Ok(())
}

#[tokio::test]
async fn what_components_say_of_their_settings_is_not_for_everybody() -> Result<()> {
    let response = anonymous(Method::GET, "/internal/settings")?.send().await?;
    assert!(!response.text().await?.contains("signing_key"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_model_address_is_told_to_whoever_asks() -> Result<()> {
    let options = Options::default().variable("openai_base_url", "nonsense").variable("openai_api_key", "test");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    let conversation = person.post("/api/conversations", &json!({})).await?.json().await?;
    let turn = person.send(&text(&conversation, "/id")?, "Hello").await?;
    let events = person.events(&turn.run).await?.all().await?;
    let end = events.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("code")), ("error", &json!("model_not_allowed")));
    Ok(())
}

#[tokio::test]
async fn the_tools_are_a_list() -> Result<()> {
    let tools = Person::new().await?.get("/api/tools").await?;
    array(&tools, "/items")?;
    Ok(())
}
