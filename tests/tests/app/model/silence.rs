//! The model is silent, or nothing answers at its address.

use anyhow::{Context as _, Result};
use serde_json::json;
use tests::{App, Options, Person, said, start_model};

#[tokio::test]
async fn a_model_that_falls_silent_is_given_up_and_what_it_said_is_kept() -> Result<()> {
    let model = start_model()?;
    let Some((_host, app)) = App::own(model.options().variable("model_silence_ms", "1500"))? else {
        tests::skip!("needs a host of its own")
    };
    let person = Person::in_app(&app).await?;
    for (silence, pieces) in [(3, 3), (0, 0)] {
        let key = tests::unique("silence");
        let knobs = format!("scripted-chunks=9-delay=5-ttft=0-silence={silence}-test={key}");
        let (turn, events) = person.hear(&knobs, "Hello").await?;
        let end = events.last().context("no events")?;
        assert_eq!((end.kind(), end.metadata("code")), ("error", &json!("model_silent")));
        assert_eq!(events.iter().filter(|event| event.kind() == "token").count(), pieces);
        assert_eq!(person.answer(&turn).await?, said(&events));
        let asked = model.journal().ended(&key, 1).await?;
        let asked = asked.first().context("not asked")?;
        assert_eq!(asked.outcome.as_deref(), Some("disconnected"));
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_slow_but_not_silent_is_heard_to_the_end() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().variable("model_silence_ms", "1500"))? else {
        tests::skip!("needs a host of its own")
    };
    let person = Person::in_app(&app).await?;
    let (_, events) = person.hear("scripted-chunks=4-delay=700-ttft=700", "Hello").await?;
    assert_eq!(events.last().map(tests::Event::kind), Some("complete"));
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_not_there_is_looked_for_four_times_and_the_person_is_told() -> Result<()> {
    // A port at which nobody listens and that nobody else can have.
    let port = tokio::net::TcpSocket::new_v4()?;
    port.bind("127.0.0.1:0".parse()?)?;
    let address = port.local_addr()?;
    let Some((_host, app)) = App::own(Options::asking(&format!("http://{address}")))? else {
        tests::skip!("needs a host of its own")
    };
    let person = Person::in_app(&app).await?;
    let (turn, events) = person.hear("scripted", "Hello").await?;
    let end = events.last().context("no events")?;
    assert_eq!((end.kind(), end.metadata("code")), ("error", &json!("model_unreachable")));
    assert_eq!(events.iter().filter(|event| event.is_state("retrying")).count(), 3);
    assert_eq!(person.run(&turn.run).await?["state"], "error");
    Ok(())
}
