//! Many turns that begin at once wait for each other, and all of them end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use tests::{App, Event, Person, said};

/// More than the instances of a small machine take at once, but few enough to end within seconds.
const TURNS: usize = 200;

/// The time for all turns together: ten times what they take on two processors.
const LIMIT: Duration = Duration::from_secs(60);

/// A new app: its tool servers have not been asked for their tools yet.
#[tokio::test]
async fn turns_that_begin_at_once_in_a_new_installation_all_answer_with_tools() -> Result<()> {
    let _alone = crate::alone().await;
    let model = tests::start_model()?;
    let Some((_host, app)) = App::own(model.options())? else { tests::skip!("the app is elsewhere") };
    let (person, key) = (Person::in_app(&app).await?, tests::unique("burst"));
    let knobs = format!("scripted-chunks=3-delay=0-ttft=0-test={key}");
    let began = Instant::now();
    let turns = (0..TURNS).map(async |_| person.hear(&knobs, "Hello").await);
    for (turn, events) in try_join_all(turns).await? {
        let end = events.last().map(Event::kind);
        ensure!(end == Some("complete"), "the run {} ended with {end:?}: {:?}", turn.run, events.last());
        ensure!(!said(&events).is_empty(), "the run {} said nothing", turn.run);
    }
    ensure!(began.elapsed() < LIMIT, "it took {:?}", began.elapsed());
    let asked = model.journal().ended(&key, TURNS).await?;
    let without = asked.iter().filter(|asked| asked.request["tools"].as_array().is_none_or(Vec::is_empty)).count();
    ensure!(without == 0, "{without} of {TURNS} turns were offered no tools");
    let first = asked.first().context("nobody was asked")?.request["tools"].clone();
    ensure!(asked.iter().all(|asked| asked.request["tools"] == first), "they were offered different tools");
    Ok(())
}
