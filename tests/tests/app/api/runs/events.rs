//! `/api/runs/{id}/events`: the form and the content of the events.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Event, Person, said};

/// Checks the parts that every event has, and that its metadata is as in the type's row in `docs/api.md`.
fn check(event: &Event, run: &str) {
    let metadata = event.data["metadata"].as_object().cloned().unwrap_or_default();
    let mut expected: Vec<&str> = match (event.kind(), event.content()) {
        ("token", _) => vec!["token_count"],
        ("thinking", _) | ("state", "processing" | "restarted") => vec![],
        ("state", "retrying") => vec!["attempt", "retry_after_ms"],
        ("error", _) => vec!["code", "retryable"],
        ("complete", "") => vec!["attempt", "finish_reason", "message_id", "model", "provider", "usage"],
        other => panic!("an event that is not documented: {other:?}"),
    };
    expected.extend(["run_id", "timestamp"]);
    expected.sort_unstable();
    assert_eq!(metadata.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{event:?}");
    assert_eq!(metadata["run_id"], run);
    let timestamp = metadata["timestamp"].as_str().unwrap_or_default();
    assert!(timestamp.len() == "2026-01-01T00:00:00.000Z".len() && timestamp.ends_with('Z'), "{timestamp}");
    let transient = event.is_state("processing") || event.is_state("retrying");
    assert_eq!(event.id.is_none(), transient, "{event:?}");
}

async fn hear(model: &str, content: &str) -> Result<(Person, tests::Turn, Vec<Event>)> {
    let person = Person::new().await?;
    let (turn, events) = person.hear(model, content).await?;
    for event in &events {
        check(event, &turn.run);
    }
    Ok((person, turn, events))
}

/// Reads an answer. It must be complete, be stored as it was sent, and be the same when it is read again.
async fn complete(model: &str, content: &str) -> Result<(Person, tests::Turn, Vec<Event>)> {
    let (person, turn, events) = hear(model, content).await?;
    let last = events.last().context("no events")?;
    assert_eq!(last.kind(), "complete", "{last:?}");
    assert_eq!(person.answer(&turn).await?, said(&events));
    let again = person.events(&turn.run).await?.all().await?;
    let logged: Vec<_> = events.iter().filter(|event| event.id.is_some()).cloned().collect();
    assert_eq!(again, logged);
    Ok((person, turn, events))
}

#[tokio::test]
async fn an_answer_comes_in_pieces_ends_with_complete_and_is_stored_as_it_was_told() -> Result<()> {
    let (person, turn, events) = complete("scripted-chunks=12-delay=5-ttft=0", "Hello").await?;
    assert!(events.first().is_some_and(|event| event.is_state("processing")), "{events:?}");
    let counts: Vec<_> = events.iter().filter_map(|event| event.metadata("token_count").as_u64()).collect();
    assert_eq!(counts, (1..=12).collect::<Vec<_>>());
    assert!(said(&events).starts_with("I am a script"));

    let end = events.last().context("no events")?;
    assert_eq!((end.metadata("finish_reason"), end.metadata("attempt")), (&json!("stop"), &json!(1)));
    let messages = person.messages(&turn.conversation).await?;
    let answer = messages.last().context("no messages")?;
    assert_eq!((end.metadata("message_id"), &answer["finish_reason"]), (&answer["id"], &json!("stop")));
    let run = person.run(&turn.run).await?;
    assert_eq!(
        (&run["state"], &run["error"], &run["usage"]),
        (&json!("complete"), &Value::Null, end.metadata("usage"))
    );
    assert_eq!(run["usage"]["completion_tokens"], 12);
    assert_eq!(person.get(&format!("/api/conversations/{}", turn.conversation)).await?["active_run_id"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn ids_count_the_characters_that_were_said() -> Result<()> {
    let (_, _, events) = complete("scripted-echo=1-delay=0-ttft=0", "é漢🦀 is three characters and a few more").await?;
    let mut characters = 0;
    for event in events.iter().filter(|event| event.kind() == "token") {
        characters += event.content().chars().count() as u64;
        assert_eq!(event.id, Some(characters));
    }
    Ok(())
}

#[tokio::test]
async fn the_stream_says_how_soon_to_come_back() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask("scripted-chunks=2-delay=0-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    events.next().await?;
    assert!(events.retry, "no retry: before the first event");
    Ok(())
}

#[tokio::test]
async fn from_any_last_event_id_come_exactly_the_rest_in_the_middle_of_a_piece_too() -> Result<()> {
    let content =
        "Sätze, 漢字 and 🦀🦀: one two three four five six seven eight nine ten, \"quoted\\\"\nand on. ".repeat(2);
    let (person, turn, events) = complete("scripted-echo=1-delay=0-ttft=0", &content).await?;
    let whole: Vec<char> = said(&events).chars().collect();
    let end = events.last().and_then(|event| event.id).context("no end")?;
    assert_eq!(end, whole.len() as u64 + 1);
    for seen in 0..end {
        let rest = person.events_after(&turn.run, Some(seen)).await?.context("nothing came")?.all().await?;
        let expected: String = whole.iter().skip(usize::try_from(seen)?).collect();
        assert_eq!(said(&rest), expected, "after {seen}");
        assert!(rest.iter().all(|event| event.id > Some(seen)), "after {seen}");
    }
    for seen in [end, end + 1, u64::MAX] {
        assert!(person.events_after(&turn.run, Some(seen)).await?.is_none(), "after {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_last_event_id_can_come_in_the_query_and_must_be_a_number() -> Result<()> {
    let (person, turn, events) = complete("scripted-echo=1-delay=0-ttft=0", "Hello there").await?;
    let read = async |query: &str| {
        let path = format!("/api/runs/{}/events?{query}", turn.run);
        person.request(reqwest::Method::GET, &path).send().await
    };
    let rest = tests::Events::new(read("last_event_id=6").await?)?.all().await?;
    assert_eq!(said(&rest), "there");
    let whole = tests::Events::new(read("last_event_id=").await?)?.all().await?;
    assert_eq!(said(&whole), said(&events));
    for wrong in ["x", "-1", "1.5", "99999999999999999999999"] {
        let told = tests::problem(read(&format!("last_event_id={wrong}")).await?, 422, "invalid_field").await?;
        assert_eq!(told["field"], "Last-Event-ID");
    }
    Ok(())
}

#[tokio::test]
async fn reasoning_comes_as_thinking_before_the_answer_under_either_of_its_names() -> Result<()> {
    for field in ["reasoning", "reasoning_content"] {
        let model = format!("scripted-reasoning=3-reasoning_field={field}-chunks=2-delay=0-ttft=0");
        let (_, _, events) = complete(&model, "Hello").await?;
        let thought: String = events.iter().filter(|event| event.kind() == "thinking").map(Event::content).collect();
        assert_eq!(thought, "Step 1 of the script. Step 2 of the script. Step 3 of the script. ", "{field}");
        let kinds: Vec<_> = events.iter().map(Event::kind).collect();
        let last_thought = kinds.iter().rposition(|kind| *kind == "thinking");
        assert!(last_thought < kinds.iter().position(|kind| *kind == "token"), "{kinds:?}");
    }
    Ok(())
}

#[tokio::test]
async fn it_does_not_matter_how_the_model_writes_its_stream() -> Result<()> {
    for knobs in ["split=1", "crlf=1", "comments=1", "split=1-crlf=1-comments=1", "nodone=1", "nousage=1"] {
        let (_, _, events) = complete(&format!("scripted-chunks=9-delay=0-ttft=0-{knobs}"), "Grüße 漢字 🦀").await?;
        assert!(said(&events).contains("Grüße 漢字 🦀"), "{knobs}: {}", said(&events));
        let usage = events.last().map(|event| event.metadata("usage").clone());
        assert_eq!(usage == Some(Value::Null), knobs == "nousage=1", "{knobs}: {usage:?}");
    }
    Ok(())
}

#[tokio::test]
async fn characters_that_the_network_cuts_stay_whole() -> Result<()> {
    let content = "🦀漢é".repeat(60);
    let (_, _, events) = complete("scripted-echo=1-split=1-delay=0-ttft=0", &content).await?;
    assert_eq!(said(&events), content);
    Ok(())
}

#[tokio::test]
async fn why_the_model_stopped_is_told_and_stored() -> Result<()> {
    for reason in ["length", "content_filter"] {
        let model = format!("scripted-chunks=3-finish={reason}-delay=0-ttft=0");
        let (person, turn, events) = complete(&model, "Hello").await?;
        assert_eq!(events.last().map(|event| event.metadata("finish_reason").clone()), Some(json!(reason)));
        let messages = person.messages(&turn.conversation).await?;
        assert_eq!(messages.last().map(|message| message["finish_reason"].clone()), Some(json!(reason)));
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_an_answer() -> Result<()> {
    let (_, _, events) = complete("scripted-refusal=1-delay=0-ttft=0", "Hello").await?;
    assert_eq!(said(&events), "I am a script, not a model, and this script says no.");
    Ok(())
}

#[tokio::test]
async fn a_piece_of_a_megabyte_comes_whole() -> Result<()> {
    let (_, _, events) = complete("scripted-size=1000000-delay=0-ttft=0", "Hello").await?;
    assert_eq!(said(&events).len(), 1_000_000);
    Ok(())
}

#[tokio::test]
async fn a_long_answer_comes_whole_live_and_again() -> Result<()> {
    let (_, _, events) = complete("scripted-chunks=5000-delay=0-ttft=0", "Hello").await?;
    assert!(events.len() > 1_000, "only {} events", events.len());
    Ok(())
}
