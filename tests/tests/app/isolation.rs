//! For a person, other people's data does not exist.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;
use tests::{Person, problem};

#[tokio::test]
async fn everything_of_somebody_else_is_404_and_stays_as_it_is() -> Result<()> {
    let (owner, stranger) = (Person::new().await?, Person::new().await?);
    let turn = owner.ask("scripted-chunks=3-delay=0-ttft=0", "Mine").await?;
    let conversation = format!("/api/conversations/{}", turn.conversation);
    let run = format!("/api/runs/{}", turn.run);
    let before =
        (owner.get(&conversation).await?, owner.messages(&turn.conversation).await?, owner.run(&turn.run).await?);
    for (method, path, body) in [
        (Method::GET, conversation.clone(), json!({})),
        (Method::PATCH, conversation.clone(), json!({"title": "Taken"})),
        (Method::DELETE, conversation.clone(), json!({})),
        (Method::GET, format!("{conversation}/messages"), json!({})),
        (Method::POST, format!("{conversation}/messages"), json!({"content": "Into yours"})),
        (Method::GET, run.clone(), json!({})),
        (Method::GET, format!("{run}/events"), json!({})),
        (Method::POST, format!("{run}/cancel"), json!({})),
        (Method::POST, format!("{run}/retry"), json!({})),
    ] {
        let response = stranger.request(method.clone(), &path).json(&body).send().await?;
        problem(response, 404, "not_found").await.with_context(|| format!("{method} {path}"))?;
    }
    let after =
        (owner.get(&conversation).await?, owner.messages(&turn.conversation).await?, owner.run(&turn.run).await?);
    assert_eq!(before, after);
    assert_eq!(stranger.get("/api/conversations").await?["items"], json!([]));

    let events = owner.events(&turn.run).await?.all().await?;
    assert_eq!(events.last().map(tests::Event::kind), Some("complete"));
    let refused = stranger.request(Method::GET, &format!("{run}/events")).send().await?;
    problem(refused, 404, "not_found").await?;
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_is_ones_own() -> Result<()> {
    let (first, second) = (Person::new().await?, Person::new().await?);
    let mut messages = Vec::new();
    for person in [&first, &second] {
        let path = format!("/api/conversations/{}/messages", person.converse("scripted").await?);
        let request = person.request(Method::POST, &path).header("idempotency-key", "the-same");
        let response = request.json(&json!({"content": "Hello"})).send().await?;
        assert_eq!(response.status(), reqwest::StatusCode::CREATED);
        messages.push(response.json::<serde_json::Value>().await?["message"]["id"].take());
    }
    assert_ne!(messages.first(), messages.last());
    Ok(())
}
