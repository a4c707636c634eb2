//! The model refuses, is busy, or breaks off.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Asked, Event, Journal, Person, Turn, said};

struct Heard {
    person: Person,
    turn: Turn,
    events: Vec<Event>,
    asked: Vec<Asked>,
}

/// Reads an answer of the model with these knobs, and checks how many times the model was asked.
async fn hear(journal: &Journal, knobs: &str, times: usize) -> Result<Heard> {
    let (person, key) = (Person::new().await?, tests::unique("failure"));
    let (turn, events) = person.hear(&format!("scripted-delay=0-ttft=0-{knobs}-test={key}"), "Hello").await?;
    let asked = journal.ended(&key, times).await?;
    Ok(Heard { person, turn, events, asked })
}

impl Heard {
    fn end(&self) -> Result<&Event> {
        self.events.last().context("no events")
    }

    fn retries(&self) -> Vec<(&Value, &Value)> {
        let retrying = self.events.iter().filter(|event| event.is_state("retrying"));
        retrying.map(|event| (event.metadata("attempt"), event.metadata("retry_after_ms"))).collect()
    }

    /// Checks that the run ended in an error that is told everywhere alike, and that the text before it is stored.
    async fn failed(&self, code: &str) -> Result<()> {
        let end = self.end()?;
        assert_eq!((end.kind(), end.metadata("code")), ("error", &json!(code)), "{end:?}");
        assert!(!end.content().is_empty());
        let run = self.person.run(&self.turn.run).await?;
        assert_eq!((&run["state"], &run["error"]), (&json!("error"), &json!({"code": code, "message": end.content()})));
        let partial = said(&self.events);
        let messages = self.person.messages(&self.turn.conversation).await?;
        assert_eq!(messages.len(), if partial.is_empty() { 1 } else { 2 });
        if let Some(answer) = messages.get(1) {
            assert_eq!((&answer["content"], &answer["finish_reason"]), (&json!(partial), &json!("error")));
        }
        // The person can go on.
        let next = self.person.send(&self.turn.conversation, "And now?").await?;
        self.person.cancel(&next.run).await?;
        Ok(())
    }

    fn pauses_ms(&self) -> Vec<i64> {
        self.asked
            .windows(2)
            .filter_map(|pair| Some(pair.last()?.received_at_ms - pair.first()?.received_at_ms))
            .collect()
    }
}

macro_rules! journal {
    () => {
        match tests::journal()? {
            Some(journal) => journal,
            None => tests::skip!("the model's journal is not known"),
        }
    };
}

#[tokio::test]
async fn a_busy_model_is_asked_again_when_it_says_so_and_the_person_is_told() -> Result<()> {
    let heard = hear(&journal!(), "chunks=2-fail=429-retry_after=1-failures=1", 2).await?;
    assert_eq!(heard.end()?.kind(), "complete");
    assert_eq!(heard.retries(), [(&json!(2), &json!(1000))]);
    // The pauses are as long as the model says, and longer only as far as a busy machine needs.
    assert!(heard.pauses_ms().iter().all(|pause| (1_000..20_000).contains(pause)), "{:?}", heard.pauses_ms());
    Ok(())
}

#[tokio::test]
async fn a_fault_that_passes_is_waited_out_with_longer_pauses() -> Result<()> {
    let heard = hear(&journal!(), "chunks=2-fail=500-failures=2", 3).await?;
    assert_eq!(heard.end()?.kind(), "complete");
    assert_eq!(heard.retries(), [(&json!(2), &json!(500)), (&json!(3), &json!(1000))]);
    assert!(
        heard.pauses_ms().iter().zip([500, 1_000]).all(|(pause, least)| *pause >= least),
        "{:?}",
        heard.pauses_ms()
    );
    Ok(())
}

#[tokio::test]
async fn a_fault_that_does_not_pass_ends_the_run_after_four_tries() -> Result<()> {
    let heard = hear(&journal!(), "fail=503", 4).await?;
    assert_eq!(heard.retries().len(), 3);
    heard.failed("model_error").await
}

#[tokio::test]
async fn nobody_is_kept_waiting_for_a_model_that_is_busy_for_long() -> Result<()> {
    let heard = hear(&journal!(), "fail=429-retry_after=600", 1).await?;
    heard.failed("model_busy").await
}

#[tokio::test]
async fn a_request_that_is_too_long_is_sent_once_more_with_less_and_the_reason_is_told() -> Result<()> {
    let heard = hear(&journal!(), "fail=400", 2).await?;
    let sizes: Vec<usize> = heard.asked.iter().map(|asked| asked.request.to_string().len()).collect();
    assert!(sizes.is_sorted_by(|first, second| first > second), "{sizes:?}");
    assert!(heard.end()?.content().contains("maximum context length"), "{:?}", heard.end()?);
    heard.failed("model_refused").await
}

#[tokio::test]
async fn a_rejected_key_is_not_shown_to_the_person() -> Result<()> {
    let heard = hear(&journal!(), "fail=401", 1).await?;
    assert!(!heard.end()?.content().contains("Incorrect API key provided"), "{:?}", heard.end()?);
    heard.failed("model_unauthorized").await
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_tried_again() -> Result<()> {
    let heard = hear(&journal!(), "chunks=2-reset=0-failures=1", 2).await?;
    assert_eq!(heard.end()?.kind(), "complete");
    assert_eq!(heard.asked.first().and_then(|asked| asked.outcome.as_deref()), Some("cut"));
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_keeps_what_was_said() -> Result<()> {
    let heard = hear(&journal!(), "chunks=9-delay=5-reset=3", 1).await?;
    assert_eq!(heard.events.iter().filter(|event| event.kind() == "token").count(), 3);
    heard.failed("model_broke_off").await
}

#[tokio::test]
async fn an_error_in_the_middle_of_the_stream_keeps_what_was_said() -> Result<()> {
    let heard = hear(&journal!(), "chunks=9-delay=5-midstream_error=3", 1).await?;
    assert_eq!(heard.events.iter().filter(|event| event.kind() == "token").count(), 3);
    heard.failed("model_error").await
}

#[tokio::test]
async fn an_event_that_is_no_json_ends_the_run_and_keeps_what_was_said() -> Result<()> {
    let heard = hear(&journal!(), "chunks=9-delay=5-badjson=3", 1).await?;
    assert_eq!(heard.events.iter().filter(|event| event.kind() == "token").count(), 3);
    heard.failed("model_malformed").await
}

#[tokio::test]
async fn an_answer_without_end_is_cut_and_said_to_be() -> Result<()> {
    let heard = hear(&journal!(), "size=3000000", 1).await?;
    assert_eq!(heard.end()?.kind(), "error");
    heard.failed("answer_too_long").await
}

#[tokio::test]
async fn the_model_gets_the_trace_of_whoever_reads() -> Result<()> {
    let (journal, person, key) = (journal!(), Person::new().await?, tests::unique("trace"));
    let turn = person.ask(&format!("scripted-chunks=1-delay=0-ttft=0-test={key}"), "Hello").await?;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = person.request(reqwest::Method::GET, &format!("/api/runs/{}/events", turn.run));
    let response = request.header("traceparent", trace).send().await?;
    tests::Events::new(response)?.all().await?;
    let asked = journal.ended(&key, 1).await?;
    let header = asked.first().and_then(|asked| asked.headers["traceparent"].as_str()).unwrap_or_default();
    assert!(header.contains("0af7651916cd43dd8448eb211c80319c"), "{header}");
    Ok(())
}
