//! Speed, also with many streams at once. One test runs at a time, so that none is measured under another's load.

mod load;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Journal, Person, said};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::JoinSet,
};

/// Streams at once.
const STREAMS: usize = 64;

async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// How long after `since_ms` the model's only answer to a test was dropped.
async fn dropped_after(journal: &Journal, key: &str, since_ms: i64) -> Result<i64> {
    let asked = journal.ended(key, 1).await?.pop().context("not asked")?;
    assert_eq!(asked.outcome.as_deref(), Some("disconnected"));
    Ok(asked.ended_at_ms.context("it has not ended")? - since_ms)
}

#[tokio::test]
async fn the_stream_opens_long_before_the_model_says_anything() -> Result<()> {
    let _alone = alone().await;
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=1-delay=0-ttft=2000", "Hello").await?;
    let asked = Instant::now();
    let mut events = person.events(&turn.run).await?;
    events.first_bytes().await?;
    let first_bytes = asked.elapsed();
    assert!(first_bytes < Duration::from_millis(500), "the first bytes took {first_bytes:?}");
    assert!(events.next().await?.is_some_and(|event| event.is_state("processing")));
    let first_event = asked.elapsed();
    assert!(first_event < Duration::from_millis(1_000), "the first event took {first_event:?}");
    assert!(events.next().await?.is_some_and(|event| event.kind() == "token"));
    assert!(asked.elapsed() > Duration::from_millis(1_500), "the model was to wait");
    Ok(())
}

#[tokio::test]
async fn pieces_come_as_the_model_says_them_and_not_in_heaps() -> Result<()> {
    let _alone = alone().await;
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=8-delay=250-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut times = Vec::new();
    while let Some(event) = events.next().await? {
        if event.kind() == "token" {
            times.push(Instant::now());
        }
    }
    let apart = times.windows(2).filter(|pair| pair[1].duration_since(pair[0]) > Duration::from_millis(100)).count();
    assert_eq!((times.len(), apart), (8, 7), "{times:?}");
    Ok(())
}

#[tokio::test]
async fn a_stop_before_the_first_word_reaches_the_model_within_half_a_second() -> Result<()> {
    let _alone = alone().await;
    let Some(journal) = tests::journal()? else { tests::skip!("the model's journal is not known") };
    let (person, key) = (Person::new().await?, tests::unique("early"));
    let turn = person.ask(&format!("scripted-ttft=60000-test={key}"), "Hello").await?;
    let events = person.events(&turn.run).await?;
    journal.begun(&key).await?;
    let stopped_at_ms = now_ms()?;
    person.cancel(&turn.run).await?;
    let heard = events.all().await?;
    let end = heard.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("finish_reason")), ("complete", &json!("cancelled")));
    assert_eq!(end.metadata("message_id"), &Value::Null);
    assert_eq!(person.messages(&turn.conversation).await?.len(), 1);
    let dropped_after_ms = dropped_after(&journal, &key, stopped_at_ms).await?;
    assert!(dropped_after_ms < 500, "it took {dropped_after_ms} ms");
    Ok(())
}

#[tokio::test]
async fn a_stop_in_the_middle_reaches_the_model_within_four_tenths_of_a_second() -> Result<()> {
    let _alone = alone().await;
    let Some(journal) = tests::journal()? else { tests::skip!("the model's journal is not known") };
    let (person, key) = (Person::new().await?, tests::unique("midway"));
    let turn = person.ask(&format!("scripted-chunks=2000-delay=20-ttft=0-test={key}"), "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut heard = events.through_tokens(10).await?;
    let stopped_at_ms = now_ms()?;
    person.cancel(&turn.run).await?;
    heard.extend(events.all().await?);
    assert_eq!(person.answer(&turn).await?, said(&heard));
    let dropped_after_ms = dropped_after(&journal, &key, stopped_at_ms).await?;
    assert!(dropped_after_ms < 400, "it took {dropped_after_ms} ms");
    Ok(())
}

#[tokio::test]
async fn sixty_four_streams_at_once_are_all_complete_and_correct() -> Result<()> {
    let _alone = alone().await;
    let (person, key) = (Person::new().await?, tests::unique("load"));
    let model = format!("scripted-chunks=50-delay=30-ttft=0-test={key}");
    let mut turns = Vec::new();
    for number in 0..STREAMS {
        turns.push(person.ask(&model, &format!("This is stream {number}.")).await?);
    }
    let mut streams = JoinSet::new();
    for turn in turns {
        let person = person.clone();
        streams.spawn(async move {
            let events = person.events(&turn.run).await?.all().await?;
            anyhow::Ok((turn, events))
        });
    }
    let mut complete = 0;
    while let Some(stream) = streams.join_next().await {
        let (turn, events) = stream??;
        assert_eq!(events.last().map(tests::Event::kind), Some("complete"), "{:?}", events.last());
        let counts: Vec<_> = events.iter().filter_map(|event| event.metadata("token_count").as_u64()).collect();
        assert_eq!(counts, (1..=50).collect::<Vec<_>>());
        assert!(events.iter().all(|event| event.metadata("run_id") == turn.run.as_str()), "somebody else's event");
        assert_eq!(said(&events), person.answer(&turn).await?);
        let question = person
            .messages(&turn.conversation)
            .await?
            .first()
            .and_then(|first| first["content"].as_str().map(str::to_owned));
        assert!(said(&events).contains(&question.context("no question")?), "somebody else's answer");
        complete += 1;
    }
    assert_eq!(complete, STREAMS);
    if let Some(journal) = tests::journal()? {
        journal.ended(&key, STREAMS).await?;
    }
    Ok(())
}
