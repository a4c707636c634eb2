//! Tools that break the rules: one result of the run says so, and nobody else notices.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use tests::{App, Event, Person, start_model};

#[tokio::test]
async fn each_kind_of_misbehaviour_is_one_clear_result() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let person = Person::in_app(&app).await?;
    let cases: [(&str, &[&str]); 5] = [
        ("trap", &["while it worked. It only reads"]),
        // If an instance may have more memory than the flood takes, the adapter does not send a result of that length.
        ("flood", &["while it worked", "was not sent"]),
        ("rubbish", &["no JSON"]),
        ("reach", &["may not reach 192.0.2.1"]),
        ("fail", &["down for maintenance until noon"]),
    ];
    for (tool, told) in cases {
        let model = format!("scripted-tool=misbehaving_{tool}-delay=0-ttft=0");
        let (_, events) = person.hear(&model, "{}").await?;
        let results: Vec<&Event> = events.iter().filter(|event| event.kind() == "tool_result").collect();
        let [result] = results.as_slice() else { anyhow::bail!("{tool}: {} results", results.len()) };
        assert_eq!(result.metadata("is_error"), &json!(true), "{tool}");
        assert!(told.iter().any(|told| result.content().contains(told)), "{tool}: {}", result.content());
        assert_eq!(events.last().map(Event::kind), Some("complete"), "{tool}");
    }
    Ok(())
}

#[tokio::test]
async fn a_tool_that_hangs_or_never_stops_computing_does_not_hold_up_others() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let person = Person::in_app(&app).await?;
    for tool in ["hang", "occupy"] {
        let model = format!("scripted-tool=misbehaving_{tool}-delay=0-ttft=0");
        let turn = person.ask(&model, "{}").await?;
        let mut stuck = person.events(&turn.run).await?;
        stuck.through(|event| event.kind() == "tool_request").await?;
        let began = Instant::now();
        let (_, events) = person.hear("scripted-tool=clock_now-delay=0-ttft=0", "{}").await?;
        let result = events.iter().find(|event| event.kind() == "tool_result").context("no result")?;
        assert_eq!(result.metadata("is_error"), &json!(false), "{tool}");
        assert!(began.elapsed() < Duration::from_secs(10), "{tool}: others waited {:?}", began.elapsed());
        person.cancel(&turn.run).await?;
        person.run_in(&turn.run, "cancelled").await?;
    }
    Ok(())
}
