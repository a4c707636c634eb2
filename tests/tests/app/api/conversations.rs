//! `/api/conversations` and `/api/conversations/{id}`.

use std::collections::HashSet;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Person, array, problem, text};

/// Requests at once when a test makes many conversations.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn a_conversation_is_made_read_renamed_and_deleted() -> Result<()> {
    let person = Person::new().await?;
    let response = person.post("/api/conversations", &json!({"title": "Plans", "model": "scripted"})).await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    let made: Value = response.json().await?;
    let fields: Vec<_> = made.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let known = [
        "active_run_id",
        "assistant",
        "created_at",
        "expires_at",
        "id",
        "model",
        "retention_days",
        "settings",
        "temporary",
        "title",
        "updated_at",
    ];
    assert_eq!(fields, known);
    assert_eq!(
        (&made["title"], &made["model"], &made["active_run_id"]),
        (&json!("Plans"), &json!("scripted"), &Value::Null)
    );

    let path = format!("/api/conversations/{}", text(&made, "/id")?);
    assert_eq!(person.get(&path).await?, made);

    let renamed = person.request(Method::PATCH, &path).json(&json!({"title": "Other plans"})).send().await?;
    assert_eq!(renamed.status(), StatusCode::OK);
    let renamed: Value = renamed.json().await?;
    assert_eq!((&renamed["title"], &renamed["model"]), (&json!("Other plans"), &json!("scripted")));
    assert_eq!(person.get(&path).await?["title"], "Other plans");

    let deleted = person.request(Method::DELETE, &path).send().await?;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    for method in [Method::GET, Method::DELETE] {
        problem(person.request(method, &path).send().await?, 404, "not_found").await?;
    }
    assert_eq!(person.get("/api/conversations").await?["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn two_hundred_conversations_come_page_by_page_each_once_and_the_newest_first() -> Result<()> {
    let person = Person::new().await?;
    let made: HashSet<String> = futures::stream::iter(0..200)
        .map(async |_| person.converse("scripted").await)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    assert_eq!(made.len(), 200);

    let mut listed = Vec::new();
    let mut path = "/api/conversations?limit=30".to_owned();
    loop {
        let page = person.get(&path).await?;
        let items = array(&page, "/items")?;
        assert!(items.len() == 30 || page["next_cursor"].is_null(), "a page of {}", items.len());
        listed.extend(items);
        assert!(listed.len() <= made.len(), "the pages do not end");
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/conversations?limit=30&cursor={cursor}"),
            None => break,
        }
    }
    let ids: HashSet<String> = listed.iter().map(|item| text(item, "/id")).collect::<Result<_>>()?;
    assert_eq!(listed.len(), 200);
    assert_eq!(ids, made);
    assert!(listed.is_sorted_by(|newer, older| newer["updated_at"].as_str() >= older["updated_at"].as_str()));
    assert_eq!(array(&person.get("/api/conversations").await?, "/items")?.len(), 50);
    assert_eq!(array(&person.get("/api/conversations?limit=200").await?, "/items")?.len(), 200);
    Ok(())
}

#[tokio::test]
async fn the_conversation_with_the_latest_message_comes_first_and_is_named_after_its_first_one() -> Result<()> {
    let person = Person::new().await?;
    let first = person.converse("scripted").await?;
    person.converse("scripted").await?;
    person.send(&first, "  What is the\nplan?  ").await?;
    let items = array(&person.get("/api/conversations").await?, "/items")?;
    let titles: Vec<_> = items.iter().map(|item| item["title"].as_str()).collect();
    assert_eq!(titles, [Some("What is the plan?"), Some("")]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_taken_is_named() -> Result<()> {
    let person = Person::new().await?;
    for (body, field) in [
        (json!({"title": "x".repeat(201)}), "title"),
        (json!({"model": "not-offered"}), "model"),
        (json!({"model": format!("scripted-test={}", "x".repeat(200))}), "model"),
    ] {
        let told = problem(person.post("/api/conversations", &body).await?, 422, "invalid_field").await?;
        assert_eq!(told["field"], field);
    }
    for (query, field) in
        [("limit=0", "limit"), ("limit=201", "limit"), ("limit=many", "query"), ("cursor=x", "cursor")]
    {
        let path = format!("/api/conversations?{query}");
        let told = problem(person.request(Method::GET, &path).send().await?, 422, "invalid_field").await?;
        assert_eq!(told["field"], field, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_conversation_takes_its_messages_and_runs_along() -> Result<()> {
    let person = Person::new().await?;
    let (turn, _) = person.hear("scripted-chunks=3-delay=0-ttft=0", "Hello").await?;
    let path = format!("/api/conversations/{}", turn.conversation);
    assert_eq!(person.request(Method::DELETE, &path).send().await?.status(), StatusCode::NO_CONTENT);
    for path in
        [format!("{path}/messages"), format!("/api/runs/{}", turn.run), format!("/api/runs/{}/events", turn.run)]
    {
        problem(person.request(Method::GET, &path).send().await?, 404, "not_found").await?;
    }
    Ok(())
}

#[tokio::test]
async fn deleting_a_conversation_while_it_is_answered_stops_asking_the_model() -> Result<()> {
    let Some(journal) = tests::journal()? else { tests::skip!("the model's journal is not known") };
    let (person, key) = (Person::new().await?, tests::unique("deleted"));
    let turn = person.ask(&format!("scripted-chunks=1000-delay=20-ttft=0-test={key}"), "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    events.through_tokens(3).await?;
    let path = format!("/api/conversations/{}", turn.conversation);
    assert_eq!(person.request(Method::DELETE, &path).send().await?.status(), StatusCode::NO_CONTENT);
    let asked = journal.ended(&key, 1).await?;
    assert_eq!(asked.first().and_then(|asked| asked.outcome.as_deref()), Some("disconnected"));
    Ok(())
}
