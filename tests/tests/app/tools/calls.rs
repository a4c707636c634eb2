//! A model calls tools that need nobody's approval.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Person, array};

#[tokio::test]
async fn the_list_says_what_each_tool_is_and_what_holds_for_it() -> Result<()> {
    let person = Person::new().await?;
    let tools = array(&person.get("/api/tools").await?, "/items")?;
    let now = tools.iter().find(|tool| tool["server"] == "clock" && tool["name"] == "now").context("no clock")?;
    assert_eq!((&now["read_only"], &now["policy"], &now["own_policy"]), (&json!(true), &json!("allow"), &Value::Null));
    assert_eq!(now["input_schema"]["type"], "object");
    Ok(())
}

#[tokio::test]
async fn a_read_only_tool_is_called_and_the_model_reads_its_result() -> Result<()> {
    let person = Person::new().await?;
    let (turn, events) = person.hear("scripted-tool=clock_now-delay=0-ttft=0", r#"{"time_zone":"Asia/Tokyo"}"#).await?;
    let kinds: Vec<&str> = events.iter().map(tests::Event::kind).collect();
    let request = events.iter().find(|event| event.kind() == "tool_request").context("no request")?;
    assert_eq!((request.content(), request.metadata("arguments")), ("clock_now", &json!({"time_zone": "Asia/Tokyo"})));
    assert_eq!(request.metadata("title"), "Current time");
    let result = events.iter().find(|event| event.kind() == "tool_result").context("no result")?;
    assert_eq!(result.metadata("is_error"), &json!(false), "{}", result.content());
    assert!(result.content().contains("Asia/Tokyo"), "{}", result.content());
    assert_eq!(kinds.last(), Some(&"complete"));
    assert!(person.answer(&turn).await?.is_empty(), "the first message of the run only asks for the tool");
    let messages = person.messages(&turn.conversation).await?;
    let stored = messages.iter().find(|message| message["role"] == "tool").context("the result is not stored")?;
    assert_eq!((&stored["title"], &stored["tool_error"]), (&json!("Current time"), &json!(false)));
    assert_eq!(&stored["duration_ms"], result.metadata("duration_ms"));
    assert!(stored.get("finish_reason").is_none(), "no model stopped there: {stored}");
    assert!(messages.last().is_some_and(|last| last["content"].as_str().is_some_and(|text| text.contains("Tokyo"))));
    Ok(())
}

#[tokio::test]
async fn a_tool_that_does_not_exist_and_arguments_that_do_not_fit_are_told_to_the_model() -> Result<()> {
    let person = Person::new().await?;
    for (model, content, told) in [
        ("scripted-tool=no_such_tool-delay=0-ttft=0", "{}", "There is no tool named no_such_tool"),
        ("scripted-tool=clock_now-delay=0-ttft=0", r#"{"time_zone":7}"#, "/time_zone"),
        ("scripted-tool=clock_now-delay=0-ttft=0", r#"{"time_zone":"Mars/Olympus"}"#, "use an IANA name"),
    ] {
        let (_, events) = person.hear(model, content).await?;
        let result = events.iter().find(|event| event.kind() == "tool_result").context("no result")?;
        assert_eq!(result.metadata("is_error"), &json!(true));
        assert!(result.content().contains(told), "{}", result.content());
        assert_eq!(events.last().map(tests::Event::kind), Some("complete"));
    }
    Ok(())
}
