//! Webhooks: a receiver is told what happened, signed, also after it has failed, and a slow one holds up nobody.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tests::{App, Options, Person, start_model, text, until};

/// A message as a receiver got it.
#[derive(Clone)]
struct Got {
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn id(&self) -> Result<&str> {
        Ok(self.headers.get("webhook-id").context("no id")?.to_str()?)
    }

    fn event(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// A receiver on this machine.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    /// How many messages it refuses first.
    refuses: usize,
    /// How long it takes.
    delay: Duration,
}

impl Receiver {
    async fn start(self) -> Result<(Self, String)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook?key=1", listener.local_addr()?);
        let router = Router::new().route("/hook", post(Self::receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((self, url))
    }

    async fn receive(State(receiver): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        tokio::time::sleep(receiver.delay).await;
        let mut got = receiver.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.push(Got { headers, body });
        if got.len() <= receiver.refuses { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn count(&self, count: usize) -> Result<Vec<Got>> {
        until("the receiver was told", async || Ok(Some(self.got()).filter(|got| got.len() >= count))).await
    }
}

/// Adds a webhook and returns its secret.
async fn add(person: &Person, path: &str, url: &str, events: &[&str]) -> Result<String> {
    let answer = person.post(path, &json!({ "url": url, "events": events })).await?;
    ensure!(answer.status() == StatusCode::CREATED, "{}: {}", answer.status(), answer.text().await?);
    text(&answer.json().await?, "/secret")
}

#[tokio::test]
async fn a_receiver_is_told_signed_and_once_more_after_it_failed_and_a_slow_one_holds_up_nobody() -> Result<()> {
    let failing = Receiver { refuses: 2, ..Receiver::default() };
    let slow = Receiver { delay: Duration::from_secs(4), ..Receiver::default() };
    let ((failing, failing_url), (slow, slow_url)) = (failing.start().await?, slow.start().await?);
    let options: Options = start_model()?.options();
    let Some((_host, app)) = App::own(options.variable("webhook_host", "http://127.0.0.1:*"))? else {
        tests::skip!("needs a host of its own")
    };
    let person = Person::in_app(&app).await?;
    let slow_secret = add(&person, "/api/webhooks", &slow_url, &["run.ended"]).await?;
    let secret = add(&person, "/api/webhooks", &failing_url, &["run.ended"]).await?;
    let (turn, _) = person.hear("scripted", "Hello").await?;

    failing.count(1).await?;
    ensure!(slow.got().is_empty(), "the slow one, which has its message first, was waited for");
    // Refused twice, after one and five seconds it is there, the same message at another time.
    let told = failing.count(3).await?;
    ensure!(told.len() == 3 && told.iter().all(|got| got.id().ok() == told[0].id().ok()), "one message, three times");
    let webhook = Webhook::new(&secret)?;
    for got in &told {
        webhook.verify(&got.body, &got.headers).context("the receivers' library refuses it")?;
        ensure!(got.body == told[0].body);
    }
    ensure!(Webhook::new(&slow_secret)?.verify(&told[0].body, &told[0].headers).is_err(), "each has its own secret");
    let event = told[0].event()?;
    ensure!(event["type"] == "run.ended" && event["data"]["run_id"] == *turn.run, "{event}");
    ensure!(event["data"]["state"] == "complete" && !event.to_string().contains("Hello"), "{event}");
    let same = slow.count(1).await?;
    ensure!(same[0].id()? == told[0].id()?, "an event has one id for all that tell it");
    // The page says what came of it, and nothing is sent again.
    until("both are delivered", async || {
        let list = person.get("/api/webhooks").await?;
        let items = list["items"].as_array().context("no list")?.clone();
        Ok(items.iter().all(|item| item["waiting"] == 0 && item["answer"] == "http_204").then_some(()))
    })
    .await?;
    ensure!(failing.got().len() == 3 && slow.got().len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_person_is_told_while_a_call_waits_and_administrators_what_is_recorded() -> Result<()> {
    let (own, own_url) = Receiver::default().start().await?;
    let (all, all_url) = Receiver::default().start().await?;
    let options: Options = start_model()?.options();
    let options = options.variable("webhook_host", "http://127.0.0.1:*").with_misbehaving_tools()?;
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    // The first account is an administrator's.
    let admin = Person::in_app(&app).await?;
    let person = Person::in_app(&app).await?;
    add(&admin, "/api/admin/webhooks", &all_url, &["audit.recorded"]).await?;
    let refused = person.post("/api/admin/webhooks", &json!({ "url": all_url, "events": ["audit.recorded"] })).await?;
    ensure!(refused.status() == StatusCode::FORBIDDEN);
    add(&person, "/api/webhooks", &own_url, &["approval.needed"]).await?;
    let body = json!({ "url": own_url }).to_string();
    let turn = person.ask("scripted-tool=misbehaving_write-delay=0-ttft=0", &body).await?;
    let events = person.events(&turn.run).await?.through(|event| event.kind() == "tool_approval").await?;
    ensure!(!events.is_empty());
    let told = own.count(1).await?;
    let event = told[0].event()?;
    ensure!(event["type"] == "approval.needed" && event["data"]["run_id"] == *turn.run, "{event}");
    ensure!(event["data"]["server"] == "misbehaving", "{event}");
    // What is recorded is sent when somebody comes by.
    let recorded = until("the record is told", async || {
        app.request(Method::GET, "/ready").send().await?;
        let events = all.got().iter().map(Got::event).collect::<Result<Vec<_>>>()?;
        Ok(events.into_iter().find(|event| event["data"]["action"] == "webhook.add"))
    })
    .await?;
    ensure!(recorded["data"]["outcome"] == "ok" && !recorded.to_string().contains("key=1"), "{recorded}");
    Ok(())
}
