//! A person's mail at a real server: read without asking, sent when the person agrees.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use native_cyrus::{Cyrus, PEOPLE};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{App, Event, Person, start_model};

const SEARCH: &str = "scripted-tool=mail_search_mail-delay=0-ttft=0";
const SEND: &str = "scripted-tool=mail_send_mail-delay=0-ttft=0";

/// How long the server may take to index a new mail.
const PATIENCE: Duration = Duration::from_secs(30);

fn result(events: &[Event]) -> Result<&Event> {
    events.iter().find(|event| event.kind() == "tool_result").with_context(|| format!("no result: {events:?}"))
}

#[tokio::test]
async fn mail_is_found_and_sent_once_the_person_agrees() -> Result<()> {
    let Some(cyrus) = Cyrus::start_or_skip() else { return Ok(()) };
    cyrus.deliver(0, "INBOX", "02-Mar-2026 10:00:00 +0000", "From: carol@ext.example\nSubject: Tacos\n\nAt noon?\n")?;
    // The test searches again and again until the new mail is indexed.
    let options = start_model()?.options().variable("mail_host", &cyrus.url).variable("tool_calls_per_minute", "10000");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs settings of its own") };
    let person = Person::in_app(&app).await?;
    let (_, events) = person.hear(SEARCH, "{}").await?;
    assert!(result(&events)?.content().contains("under Tools in the settings"), "{}", result(&events)?.content());

    let (name, password) = PEOPLE[0];
    for (secret, value) in
        [("url", cyrus.url.as_str()), ("username", name), ("password", password), ("address", "ada@localhost")]
    {
        let body = json!({"server": "mail", "name": secret, "value": value});
        let put = person.request(Method::PUT, "/api/tools/secrets").json(&body).send().await?;
        assert_eq!(put.status(), StatusCode::OK, "{secret}");
    }
    let start = Instant::now();
    loop {
        let (_, events) = person.hear(SEARCH, r#"{"from": "carol", "after": "2026-03-01"}"#).await?;
        let found = result(&events)?;
        assert_eq!(found.metadata("is_error"), &json!(false), "{}", found.content());
        if found.content().contains("Tacos") {
            break;
        }
        ensure!(start.elapsed() < PATIENCE, "the mail is not found: {}", found.content());
    }

    let letter = json!({"to": ["carol@ext.example"], "subject": "Re: Tacos", "body": "Yes."});
    let turn = person.ask(SEND, &letter.to_string()).await?;
    let events = person.events(&turn.run).await?.through(|event| event.kind() == "tool_approval").await?;
    let asked = events.last().context("nobody was asked")?;
    assert_eq!(asked.metadata("arguments"), &letter);
    assert!(cyrus.sink.received().is_empty());
    let decision = json!({"call_id": asked.metadata("call_id"), "decision": "allow_once"});
    let decided = person.post(&format!("/api/runs/{}/approvals", turn.run), &decision).await?;
    assert_eq!(decided.status(), StatusCode::OK);
    let rest = person.events_after(&turn.run, asked.id).await?.context("nothing more came")?.all().await?;
    assert_eq!(result(&rest)?.metadata("is_error"), &json!(false), "{}", result(&rest)?.content());
    let received = cyrus.sink.received();
    assert_eq!(received.len(), 1);
    assert!(
        received.iter().all(|mail| mail.to == ["carol@ext.example"] && mail.text.contains("\nYes.")),
        "{received:?}"
    );
    Ok(())
}
