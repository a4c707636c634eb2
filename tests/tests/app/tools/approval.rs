//! Calls that a person must approve: asked, decided, and made once.

use anyhow::{Context as _, Result, anyhow};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Event, Host, LANGUAGE, Outside, Person, TIME_ZONE, Turn, problem, start_model};

const MODEL: &str = "scripted-tool=misbehaving_write-delay=0-ttft=0";

struct Waiting {
    host: Host,
    outside: Outside,
    person: Person,
    turn: Turn,
    asked: Event,
}

/// Starts a host whose model wants to write to a server outside, and waits until the person is asked.
async fn waiting() -> Result<Option<Waiting>> {
    let Some((host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else { return Ok(None) };
    let (outside, person) = (Outside::start().await?, Person::in_app(&app).await?);
    let turn = person.ask(MODEL, &json!({"url": outside.url()}).to_string()).await?;
    let events = person.events(&turn.run).await?.through(|event| event.kind() == "tool_approval").await?;
    let asked = events.last().cloned().context("nobody was asked")?;
    person.run_in(&turn.run, "awaiting_approval").await?;
    Ok(Some(Waiting { host, outside, person, turn, asked }))
}

impl Waiting {
    async fn decide(&self, decision: &str) -> Result<reqwest::Response> {
        let body = json!({"call_id": self.asked.metadata("call_id"), "decision": decision});
        self.person.post(&format!("/api/runs/{}/approvals", self.turn.run), &body).await
    }

    async fn rest(&self) -> Result<Vec<Event>> {
        self.person.events_after(&self.turn.run, self.asked.id).await?.context("nothing more came")?.all().await
    }
}

fn result(events: &[Event]) -> Result<&Event> {
    events.iter().find(|event| event.kind() == "tool_result").context("no result")
}

#[tokio::test]
async fn a_call_that_may_change_something_waits_for_the_person_and_is_then_made_once() -> Result<()> {
    let Some(waiting) = waiting().await? else { tests::skip!("needs tools of its own") };
    let asked = &waiting.asked;
    assert_eq!((asked.content(), asked.metadata("server")), ("misbehaving_write", &json!("misbehaving")));
    assert_eq!(asked.metadata("arguments"), &json!({"url": waiting.outside.url()}));
    assert_eq!(asked.metadata("title"), &json!("Write something"));
    assert!(waiting.outside.posted().is_empty());
    assert_eq!(waiting.decide("allow_once").await?.status(), StatusCode::OK);
    let rest = waiting.rest().await?;
    assert_eq!(result(&rest)?.metadata("is_error"), &json!(false), "{}", result(&rest)?.content());
    assert_eq!(rest.last().map(Event::kind), Some("complete"));
    let [posted] = waiting.outside.posted().try_into().map_err(|posted| anyhow!("{posted:?}"))?;
    let preferences = format!(" {LANGUAGE} {TIME_ZONE}");
    assert!(posted.ends_with(&preferences), "the tool hears its person's language and time zone: {posted}");
    assert_eq!(waiting.decide("allow_once").await?.status(), StatusCode::OK, "the same again is no fault");
    problem(waiting.decide("deny").await?, 409, "already_decided").await?;
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_denied_is_not_made_and_the_model_is_told() -> Result<()> {
    let Some(waiting) = waiting().await? else { tests::skip!("needs tools of its own") };
    assert_eq!(waiting.decide("deny").await?.status(), StatusCode::OK);
    let rest = waiting.rest().await?;
    assert_eq!(result(&rest)?.metadata("is_error"), &json!(true));
    assert!(result(&rest)?.content().contains("declined"), "{}", result(&rest)?.content());
    let messages = waiting.person.messages(&waiting.turn.conversation).await?;
    let stored = messages.iter().find(|message| message["role"] == "tool").context("not stored")?;
    assert_eq!(stored["tool_error"], true, "who reads it later sees that it failed, too");
    assert!(waiting.outside.posted().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_host_may_die_between_question_and_call_and_the_call_is_made_once() -> Result<()> {
    let Some(mut waiting) = waiting().await? else { tests::skip!("needs tools of its own") };
    waiting.host.restart()?;
    waiting.person.app = App::of(&waiting.host);
    assert_eq!(waiting.decide("allow_once").await?.status(), StatusCode::OK);
    waiting.host.restart()?;
    waiting.person.app = App::of(&waiting.host);
    let again = waiting.person.events(&waiting.turn.run).await?.all().await?;
    let asked = again.iter().filter(|event| event.kind() == "tool_approval").count();
    assert_eq!((asked, waiting.outside.posted().len()), (1, 1));
    assert_eq!(result(&again)?.metadata("is_error"), &json!(false));
    assert_eq!(again.last().map(Event::kind), Some("complete"));
    Ok(())
}

#[tokio::test]
async fn whoever_allows_always_is_not_asked_again_until_they_change_their_mind() -> Result<()> {
    let Some(waiting) = waiting().await? else { tests::skip!("needs tools of its own") };
    assert_eq!(waiting.decide("allow_always").await?.status(), StatusCode::OK);
    waiting.rest().await?;
    let person = &waiting.person;
    let content = json!({"url": waiting.outside.url()}).to_string();
    let (_, events) = person.hear(MODEL, &content).await?;
    assert!(!events.iter().any(|event| event.kind() == "tool_approval"));
    assert_eq!(waiting.outside.posted().len(), 2);
    let policy = json!({"pattern": "misbehaving:write", "effect": "deny"});
    let set = person.request(Method::PUT, "/api/tools/policies").json(&policy).send().await?;
    assert_eq!(set.status(), StatusCode::OK);
    let (_, events) = person.hear(MODEL, &content).await?;
    assert_eq!(result(&events)?.metadata("is_error"), &json!(true));
    assert_eq!(waiting.outside.posted().len(), 2);
    let delete = person.request(Method::DELETE, "/api/tools/policies?pattern=misbehaving:write").send().await?;
    assert_eq!(delete.status(), StatusCode::NO_CONTENT);
    let listed = person.get("/api/tools").await?;
    let tool = tests::array(&listed, "/items")?.into_iter().find(|tool| tool["name"] == "write").context("no tool")?;
    assert_eq!((&tool["policy"], &tool["own_policy"]), (&json!("ask"), &Value::Null));
    Ok(())
}

#[tokio::test]
async fn a_tool_that_always_asks_does_so_whatever_was_allowed() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let person = Person::in_app(&app).await?;
    let policy = json!({"pattern": "misbehaving:pay", "effect": "allow"});
    let set = person.request(Method::PUT, "/api/tools/policies").json(&policy).send().await?;
    assert_eq!(set.status(), StatusCode::OK);
    for _ in 0..2 {
        let turn = person.ask("scripted-tool=misbehaving_pay-delay=0-ttft=0", "{}").await?;
        let events = person.events(&turn.run).await?.through(|event| event.kind() == "tool_approval").await?;
        let asked = events.last().context("nobody was asked")?;
        assert_eq!(asked.metadata("always_asks"), &json!(true));
        let decide = async |decision| {
            let body = json!({"call_id": asked.metadata("call_id"), "decision": decision});
            person.post(&format!("/api/runs/{}/approvals", turn.run), &body).await
        };
        problem(decide("allow_always").await?, 409, "always_asks").await?;
        assert_eq!(decide("allow_once").await?.status(), StatusCode::OK);
        let rest = person.events_after(&turn.run, asked.id).await?.context("nothing more came")?.all().await?;
        assert_eq!(result(&rest)?.content(), "paid");
    }
    Ok(())
}

#[tokio::test]
async fn a_run_that_waits_can_be_stopped_and_somebody_else_cannot_decide() -> Result<()> {
    let Some(waiting) = waiting().await? else { tests::skip!("needs tools of its own") };
    let other = Person::in_app(&waiting.person.app).await?;
    let body = json!({"call_id": waiting.asked.metadata("call_id"), "decision": "allow_once"});
    let path = format!("/api/runs/{}/approvals", waiting.turn.run);
    problem(other.post(&path, &body).await?, 404, "not_found").await?;
    waiting.person.cancel(&waiting.turn.run).await?;
    waiting.person.run_in(&waiting.turn.run, "cancelled").await?;
    assert!(waiting.outside.posted().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_page_that_gives_orders_leads_to_a_question_at_most() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let (outside, person) = (Outside::start().await?, Person::in_app(&app).await?);
    // This model obeys everything that it reads.
    let content = json!({"url": outside.url()}).to_string();
    let turn = person.ask("scripted-tool=misbehaving_page-obey=1-delay=0-ttft=0", &content).await?;
    let events = person.events(&turn.run).await?.through(|event| event.kind() == "tool_approval").await?;
    assert_eq!(events.last().map(Event::content), Some("misbehaving_write"));
    assert!(outside.posted().is_empty());
    Ok(())
}
