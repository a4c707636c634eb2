//! `/api/runs/{id}/retry`.

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Person, problem, said, text};

async fn retry(person: &Person, run: &str) -> Result<reqwest::Response> {
    person.post(&format!("/api/runs/{run}/retry"), &json!({})).await
}

#[tokio::test]
async fn a_failed_run_is_tried_again_with_the_same_question() -> Result<()> {
    let (person, key) = (Person::new().await?, tests::unique("again"));
    let model = format!("scripted-chunks=6-delay=0-ttft=0-midstream_error=2-failures=1-test={key}");
    let (turn, events) = person.hear(&model, "Hello").await?;
    assert_eq!(events.last().map(tests::Event::kind), Some("error"));

    let response = retry(&person, &turn.run).await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    let run = response.json::<Value>().await?["run"].take();
    let run_id = text(&run, "/id")?;
    assert_ne!(run_id, turn.run);
    assert_eq!((&run["state"], &run["message_id"]), (&json!("queued"), &json!(turn.message)));
    let events = person.events(&run_id).await?.all().await?;
    assert_eq!(events.last().map(tests::Event::kind), Some("complete"));
    let again = tests::Turn { run: run_id, ..turn.clone() };
    assert_eq!(person.answer(&again).await?, said(&events));
    assert_eq!(person.run(&turn.run).await?["state"], "error");

    if let Some(journal) = tests::journal()? {
        let asked = journal.ended(&key, 2).await?;
        let (first, second) = (asked.first().context("not asked")?, asked.last().context("not asked")?);
        assert_eq!(first.request["messages"], second.request["messages"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_run_can_be_tried_again() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=2-delay=0-ttft=0", "Hello").await?;
    person.cancel(&turn.run).await?;
    let response = retry(&person, &turn.run).await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    let run = text(&response.json().await?, "/run/id")?;
    assert_eq!(person.events(&run).await?.all().await?.last().map(tests::Event::kind), Some("complete"));
    Ok(())
}

#[tokio::test]
async fn what_did_not_fail_or_is_not_the_last_is_not_tried_again() -> Result<()> {
    let person = Person::new().await?;
    let (turn, _) = person.hear("scripted-chunks=2-delay=0-ttft=0", "Hello").await?;
    problem(retry(&person, &turn.run).await?, 409, "not_retryable").await?;

    let stopped = person.send(&turn.conversation, "Stopped").await?;
    person.cancel(&stopped.run).await?;
    let active = person.send(&turn.conversation, "Still to be answered").await?;
    problem(retry(&person, &stopped.run).await?, 409, "run_active").await?;
    problem(retry(&person, &active.run).await?, 409, "not_retryable").await?;
    person.events(&active.run).await?.all().await?;
    problem(retry(&person, &stopped.run).await?, 409, "not_retryable").await?;
    Ok(())
}
