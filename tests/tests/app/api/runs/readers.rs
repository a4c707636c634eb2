//! `/api/runs/{id}/events`: several readers, readers who leave, and readers who are slow.

use anyhow::{Context as _, Result};
use tests::{Event, Person, said};

fn logged(events: &[Event]) -> Vec<Event> {
    events.iter().filter(|event| event.id.is_some()).cloned().collect()
}

#[tokio::test]
async fn two_readers_at_once_are_told_the_same_and_the_model_is_asked_once() -> Result<()> {
    let (person, key) = (Person::new().await?, tests::unique("two"));
    let turn = person.ask(&format!("scripted-chunks=40-delay=20-ttft=0-test={key}"), "Hello").await?;
    let (first, second) = (person.events(&turn.run).await?, person.events(&turn.run).await?);
    let (first, second) = tokio::try_join!(first.all(), second.all())?;
    assert_eq!(logged(&first), logged(&second));
    assert_eq!(said(&first), person.answer(&turn).await?);
    if let Some(journal) = tests::journal()? {
        journal.ended(&key, 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_run_whose_readers_have_all_left_ends_by_itself() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=40-delay=20-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    events.through_tokens(3).await?;
    drop(events);
    person.run_in(&turn.run, "complete").await?;
    let events = person.events(&turn.run).await?.all().await?;
    assert_eq!(said(&events), person.answer(&turn).await?);
    assert_eq!(events.iter().filter(|event| event.kind() == "token").count(), 40);
    Ok(())
}

#[tokio::test]
async fn a_reader_who_leaves_before_the_first_piece_finds_the_answer_later() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=5-delay=0-ttft=400", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    assert!(events.next().await?.is_some_and(|event| event.is_state("processing")));
    drop(events);
    person.run_in(&turn.run, "complete").await?;
    assert!(!person.answer(&turn).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_reader_who_comes_back_again_and_again_gets_every_character_once() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=80-delay=15-ttft=0", "Hello").await?;
    let (mut heard, mut last_id) = (Vec::new(), None);
    for _ in 0..6 {
        let Some(mut events) = person.events_after(&turn.run, last_id).await? else { break };
        heard.extend(events.through_tokens(5).await?);
        last_id = heard.iter().filter_map(|event| event.id).max();
    }
    let rest = person.events_after(&turn.run, last_id).await?.context("the run ended too soon")?;
    heard.extend(rest.all().await?);
    assert_eq!(said(&heard), person.answer(&turn).await?);
    let ids: Vec<_> = heard.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
    Ok(())
}

#[tokio::test]
async fn a_reader_who_does_not_read_holds_nothing_up_and_misses_nothing() -> Result<()> {
    let person = Person::new().await?;
    // More than the sockets between the app and the test can hold.
    let turn = person.ask("scripted-chunks=60000-delay=0-ttft=0", "Hello").await?;
    let slow = person.events(&turn.run).await?;
    person.run_in(&turn.run, "complete").await?;
    let mut heard = slow.until_broken().await;
    if !heard.iter().any(|event| event.kind() == "complete") {
        // The reader was disconnected during the run. The replay now waits for it.
        let last_id = heard.iter().filter_map(|event| event.id).max();
        heard.extend(person.events_after(&turn.run, last_id).await?.context("nothing more came")?.all().await?);
    }
    assert_eq!(said(&heard), person.answer(&turn).await?);
    Ok(())
}
