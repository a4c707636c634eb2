//! The host is killed in the middle of a stream and started again with the same port and state. A reader takes the run over once the dead executor's
//! lease has lapsed.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Body, extract::State, http::header, response::IntoResponse, routing::post};
use futures::StreamExt as _;
use serde_json::json;
use tests::{App, Event, Host, Options, Person, Turn, said, start_model};

/// A host that died during a run, and the events that a reader had received.
struct Died {
    host: Host,
    person: Person,
    turn: Turn,
    heard: Vec<Event>,
}

/// Starts a host, asks, reads some pieces, and kills the host. `None` if there is no host to kill.
async fn die(options: Options, model: &str, pieces: usize) -> Result<Option<Died>> {
    let Some((mut host, app)) = App::own(options)? else { return Ok(None) };
    let person = Person::in_app(&app).await?;
    let turn = person.ask(model, "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut heard = events.through_tokens(pieces).await?;
    host.kill()?;
    heard.extend(events.until_broken().await);
    Ok(Some(Died { host, person, turn, heard }))
}

impl Died {
    fn last_id(&self) -> Option<u64> {
        self.heard.iter().filter_map(|event| event.id).max()
    }

    /// Starts the host again.
    fn revive(&mut self) -> Result<()> {
        self.host.restart()?;
        self.person.app = App::of(&self.host);
        Ok(())
    }

    /// Starts the host again and reads the rest as the same reader.
    async fn come_back(&mut self) -> Result<()> {
        self.revive()?;
        let rest = self.person.events_after(&self.turn.run, self.last_id()).await?.context("nothing more came")?;
        self.heard.extend(rest.all().await?);
        Ok(())
    }

    /// Checks that all events that the reader received are the stored ones, in order.
    async fn consistent(&self) -> Result<()> {
        let ids: Vec<u64> = self.heard.iter().filter_map(|event| event.id).collect();
        assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
        assert_eq!(said(&self.heard), self.person.answer(&self.turn).await?);
        let again = self.person.events(&self.turn.run).await?.all().await?;
        assert_eq!(said(&again), said(&self.heard));
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_who_comes_back_gets_the_rest_and_nothing_twice() -> Result<()> {
    let options = start_model()?.options();
    let Some(mut died) = die(options, "scripted-chunks=60-delay=20-ttft=0-reasoning=2", 25).await? else {
        tests::skip!("needs a host to kill")
    };
    died.come_back().await?;
    let end = died.heard.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("attempt")), ("complete", &json!(2)));
    assert!(!died.heard.iter().any(|event| event.is_state("restarted")), "the model said the same again");
    died.consistent().await
}

#[tokio::test]
async fn a_reader_who_had_heard_nothing_gets_everything() -> Result<()> {
    let Some(mut died) = die(start_model()?.options(), "scripted-chunks=40-delay=20-ttft=0", 15).await? else {
        tests::skip!("needs a host to kill")
    };
    died.heard.clear();
    died.come_back().await?;
    died.consistent().await
}

#[tokio::test]
async fn two_readers_who_come_back_are_told_the_same() -> Result<()> {
    let Some(mut died) = die(start_model()?.options(), "scripted-chunks=40-delay=20-ttft=0", 15).await? else {
        tests::skip!("needs a host to kill")
    };
    died.revive()?;
    let (person, run) = (&died.person, &died.turn.run);
    let first = person.events_after(run, died.last_id()).await?.context("nothing more came")?;
    let second = person.events(run).await?;
    let (first, second) = tokio::try_join!(first.all(), second.all())?;
    assert_eq!(first.last(), second.last());
    died.heard.extend(first);
    assert_eq!(said(&second), said(&died.heard));
    died.consistent().await
}

#[tokio::test]
async fn a_run_that_was_queued_survives() -> Result<()> {
    let Some((mut host, app)) = App::own(start_model()?.options())? else { tests::skip!("needs a host to kill") };
    let person = Person::in_app(&app).await?;
    let turn = person.ask("scripted-chunks=5-delay=0-ttft=0", "Hello").await?;
    host.kill()?;
    host.restart()?;
    let person = Person { app: App::of(&host), ..person };
    assert_eq!(person.run(&turn.run).await?["state"], "queued");
    let events = person.events(&turn.run).await?.all().await?;
    assert_eq!(events.last().map(Event::kind), Some("complete"));
    assert_eq!(said(&events), person.answer(&turn).await?);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_complete_survives() -> Result<()> {
    let Some((mut host, app)) = App::own(start_model()?.options())? else { tests::skip!("needs a host to kill") };
    let person = Person::in_app(&app).await?;
    let (turn, events) = person.hear("scripted-chunks=5-delay=0-ttft=0", "Hello").await?;
    host.kill()?;
    host.restart()?;
    let person = Person { app: App::of(&host), ..person };
    assert_eq!(person.answer(&turn).await?, said(&events));
    assert_eq!(said(&person.events(&turn.run).await?.all().await?), said(&events));
    Ok(())
}

#[tokio::test]
async fn a_run_whose_executor_died_can_be_stopped_and_keeps_what_it_had_said() -> Result<()> {
    let Some(mut died) = die(start_model()?.options(), "scripted-chunks=1000-delay=20-ttft=0", 25).await? else {
        tests::skip!("needs a host to kill")
    };
    died.revive()?;
    died.person.cancel(&died.turn.run).await?;
    let rest = died.person.events(&died.turn.run).await?.all().await?;
    let end = rest.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("finish_reason")), ("complete", &json!("cancelled")));
    assert_eq!(died.person.answer(&died.turn).await?, said(&rest));
    assert!(!said(&rest).is_empty() && said(&died.heard).starts_with(&said(&rest)), "{rest:?}");
    Ok(())
}

#[tokio::test]
async fn a_reader_at_another_host_is_told_the_same_and_takes_over_when_the_first_host_dies() -> Result<()> {
    let Some((mut host, app)) = App::own(start_model()?.options())? else { tests::skip!("needs a host to kill") };
    let beside = host.beside()?;
    let person = Person::in_app(&app).await?;
    let elsewhere = Person { app: App::of(&beside), ..person.clone() };
    // Long enough that the host is killed in the middle, also on a busy machine.
    let turn = person.ask("scripted-chunks=200-delay=20-ttft=0", "Hello").await?;
    let mut first = person.events(&turn.run).await?;
    first.through_tokens(5).await?;
    let mut second = elsewhere.events(&turn.run).await?;
    let mut heard = second.through_tokens(10).await?;
    host.kill()?;
    heard.extend(second.all().await?);
    let end = heard.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("attempt")), ("complete", &json!(2)));
    assert_eq!(said(&heard), elsewhere.answer(&turn).await?);
    let counts: Vec<_> = heard.iter().filter_map(|event| event.metadata("token_count").as_u64()).collect();
    assert_eq!(counts, (1..=200).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_stop_at_another_host_stops_the_run() -> Result<()> {
    let model = start_model()?;
    let Some((host, app)) = App::own(model.options())? else { tests::skip!("needs hosts of its own") };
    let beside = host.beside()?;
    let person = Person::in_app(&app).await?;
    let elsewhere = Person { app: App::of(&beside), ..person.clone() };
    let turn = person.ask("scripted-chunks=1000-delay=20-ttft=0-test=elsewhere", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut heard = events.through_tokens(5).await?;
    elsewhere.cancel(&turn.run).await?;
    heard.extend(events.all().await?);
    assert_eq!(heard.last().map(|end| end.metadata("finish_reason").clone()), Some(json!("cancelled")));
    assert_eq!(said(&heard), elsewhere.answer(&turn).await?);
    let asked = model.journal().ended("elsewhere", 1).await?;
    assert_eq!(asked.first().and_then(|asked| asked.outcome.as_deref()), Some("disconnected"));
    Ok(())
}

/// A model that answers differently each time. Its first answer takes 20 seconds.
async fn fickle_model() -> Result<String> {
    async fn answer(State(count): State<Arc<AtomicUsize>>) -> impl IntoResponse {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let (words, pause) = if first { ("first thought", 1_000) } else { ("second thought", 30) };
        let chunk = |delta: serde_json::Value, reason: Option<&str>| {
            let chunk = json!({
                "id": "1", "object": "chat.completion.chunk", "created": 0, "model": "scripted",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            });
            Ok::<_, Infallible>(format!("data: {chunk}\n\n"))
        };
        let pieces = futures::stream::iter(0..pause).then(move |number| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            chunk(json!({"content": format!("{words} {number}, ")}), None)
        });
        let end = futures::stream::iter([chunk(json!({}), Some("stop")), Ok("data: [DONE]\n\n".to_owned())]);
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces.chain(end)))
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::default());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(format!("http://{address}"))
}

#[tokio::test]
async fn when_the_model_says_something_else_the_second_time_readers_are_told_to_start_over() -> Result<()> {
    let Some(mut died) = die(Options::asking(&fickle_model().await?), "scripted", 25).await? else {
        tests::skip!("needs a host to kill")
    };
    died.come_back().await?;
    assert_eq!(died.heard.iter().filter(|event| event.is_state("restarted")).count(), 1);
    let expected: String = (0..30).map(|number| format!("second thought {number}, ")).collect();
    assert_eq!(said(&died.heard), expected);
    died.consistent().await
}
