//! `/api/runs/{id}/cancel`. The binary `pace` tests how quickly it acts.

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Person, said};

#[tokio::test]
async fn a_run_that_nobody_reads_is_cancelled_without_asking_the_model() -> Result<()> {
    let (person, key) = (Person::new().await?, tests::unique("unread"));
    let turn = person.ask(&format!("scripted-test={key}"), "Hello").await?;
    assert_eq!(person.cancel(&turn.run).await?["state"], "cancelled");
    let events = person.events(&turn.run).await?.all().await?;
    let end = events.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("finish_reason")), ("complete", &json!("cancelled")));
    assert_eq!(end.metadata("message_id"), &Value::Null);
    assert_eq!(person.messages(&turn.conversation).await?.len(), 1);
    if let Some(journal) = tests::journal()? {
        assert!(journal.read(&key).await?.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn what_was_written_before_the_stop_stays_and_the_next_message_can_be_sent_at_once() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=1000-delay=20-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut heard = events.through_tokens(5).await?;
    person.cancel(&turn.run).await?;
    heard.extend(events.all().await?);
    let end = heard.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("finish_reason")), ("complete", &json!("cancelled")));

    let next = person.send(&turn.conversation, "Something else").await?;
    assert_eq!(person.run(&turn.run).await?["state"], "cancelled");
    let messages = person.messages(&turn.conversation).await?;
    let answer = messages.get(1).context("no answer")?;
    assert_eq!((&answer["content"], &answer["finish_reason"]), (&json!(said(&heard)), &json!("cancelled")));
    assert_eq!(end.metadata("message_id"), &answer["id"]);
    person.cancel(&next.run).await?;
    Ok(())
}

#[tokio::test]
async fn all_readers_hear_of_the_stop() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=1000-delay=20-ttft=0", "Hello").await?;
    let (mut first, second) = (person.events(&turn.run).await?, person.events(&turn.run).await?);
    let mut heard = first.through_tokens(3).await?;
    person.cancel(&turn.run).await?;
    heard.extend(first.all().await?);
    let other = second.all().await?;
    assert_eq!(said(&heard), said(&other));
    assert_eq!(heard.last(), other.last());
    Ok(())
}

#[tokio::test]
async fn cancelling_what_has_ended_changes_nothing() -> Result<()> {
    let person = Person::new().await?;
    let (turn, events) = person.hear("scripted-chunks=3-delay=0-ttft=0", "Hello").await?;
    let before = (person.run(&turn.run).await?, person.messages(&turn.conversation).await?);
    for _ in 0..2 {
        let response = person.post(&format!("/api/runs/{}/cancel", turn.run), &json!({})).await?;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert_eq!(response.json::<Value>().await?["state"], "complete");
    }
    assert_eq!((person.run(&turn.run).await?, person.messages(&turn.conversation).await?), before);
    let again = person.events(&turn.run).await?.all().await?;
    assert_eq!(again.last(), events.last());
    Ok(())
}

#[tokio::test]
async fn a_run_that_waits_before_it_asks_again_is_cancelled_too() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-fail=429-retry_after=25", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    events.through(|event| event.is_state("retrying")).await?;
    person.cancel(&turn.run).await?;
    let rest = events.all().await?;
    assert_eq!(rest.last().map(|event| event.metadata("finish_reason").clone()), Some(json!("cancelled")));
    Ok(())
}
