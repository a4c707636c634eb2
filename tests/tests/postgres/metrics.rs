//! Metrics of several hosts: whichever is scraped says what all have done, counters never go back, and a host that is killed loses nothing of what runs did.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{App, Event, Person, start_model, until};

use crate::on_postgres;

const PACED: &str = "scripted-chunks=40-delay=20-ttft=0";
const CALLS: &str = "scripted-tool=clock_now-delay=0-ttft=0";

/// What a scrape said: the value of each series.
type Scrape = BTreeMap<String, f64>;

/// Who scrapes, with every value that was ever seen of a counter.
struct Prometheus {
    key: String,
    seen: Scrape,
}

impl Prometheus {
    /// A service account that may read metrics and nothing else, as docs/metrics.md says.
    async fn of(admin: &Person) -> Result<Self> {
        let role =
            admin.request(Method::PUT, "/api/admin/roles/prometheus").json(&json!({"permissions": ["metrics:read"]}));
        let made = role.send().await?.status();
        ensure!(made == StatusCode::OK, "{made}");
        let account = json!({"name": "prometheus", "role": "prometheus"});
        let account: serde_json::Value = admin.post("/api/admin/service-accounts", &account).await?.json().await?;
        let keys = format!("/api/admin/service-accounts/{}/api-keys", tests::text(&account, "/id")?);
        let key = json!({"name": "prometheus", "scopes": ["metrics:read"]});
        let key: serde_json::Value = admin.post(&keys, &key).await?.json().await?;
        Ok(Self { key: tests::text(&key, "/key")?, seen: Scrape::new() })
    }

    /// Reads a host's metrics, and compares every counter with what was seen before.
    async fn scrape(&mut self, app: &App) -> Result<Scrape> {
        let response = app.request(Method::GET, "/metrics").bearer_auth(&self.key).send().await?;
        ensure!(response.status() == StatusCode::OK, "{}", response.status());
        let text = response.text().await?;
        let mut said = Scrape::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').context("a series and its value")?;
            ensure!(said.insert(series.to_owned(), value.parse()?).is_none(), "{series} is there twice");
        }
        let counts = |series: &str| {
            let name = series.split('{').next().unwrap_or_default();
            ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
        };
        for (series, before) in &self.seen {
            let now = said.get(series).with_context(|| format!("{series} is gone"))?;
            ensure!(now >= before, "{series} went back from {before} to {now}");
        }
        self.seen
            .extend(said.iter().filter(|(series, _)| counts(series)).map(|(series, value)| (series.clone(), *value)));
        Ok(said)
    }
}

/// The sum of a metric's series that have all of these labels.
fn sum(said: &Scrape, metric: &str, labels: &[&str]) -> f64 {
    let start = format!("edge_assistant_{metric}");
    let fits = |series: &&String| {
        series.split('{').next() == Some(start.as_str()) && labels.iter().all(|label| series.contains(label))
    };
    said.keys().filter(fits).filter_map(|series| said.get(series)).sum()
}

/// The tokens that a run says it has used.
fn tokens(events: &[Event]) -> u64 {
    let usage = events.iter().rfind(|event| event.kind() == "complete").map(|end| end.metadata("usage").clone());
    usage.and_then(|usage| usage.get("total_tokens")?.as_u64()).unwrap_or_default()
}

#[tokio::test]
async fn two_hosts_count_together_and_a_killed_one_takes_nothing_back() -> Result<()> {
    on_postgres!();
    let mut first = tests::host(start_model()?.options())?.context("a host of our own")?;
    let second = first.beside()?;
    let (dying, alive) = (App::of(&first), App::of(&second));
    let person = Person::in_app(&dying).await?;
    let elsewhere = Person { app: alive.clone(), ..person.clone() };
    let mut prometheus = Prometheus::of(&person).await?;
    let (mut runs, mut used) = (0_u32, 0);
    for at in [&person, &elsewhere, &person] {
        for model in [PACED, CALLS] {
            let (_, events) = at.hear(model, "{}").await?;
            runs += 1;
            used += tokens(&events);
        }
        prometheus.scrape(&dying).await?;
        prometheus.scrape(&alive).await?;
    }
    // One is killed in the middle of an answer, and the other goes on with it.
    let turn = person.ask(PACED, "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let heard = events.through_tokens(10).await?;
    first.kill()?;
    drop(events);
    prometheus.scrape(&alive).await?;
    let seen = heard.iter().filter_map(|event| event.id).max();
    let rest = elsewhere.events_after(&turn.run, seen).await?.context("more was to come")?.all().await?;
    runs += 1;
    used += tokens(&rest);
    let said = prometheus.scrape(&alive).await?;
    let number = |metric, labels: &[&str]| sum(&said, metric, labels);
    assert_eq!(number("runs_ended_total", &[]), f64::from(runs));
    assert_eq!(number("runs_ended_total", &["outcome=\"complete\""]), f64::from(runs));
    assert_eq!(number("run_takeovers_total", &[]), 1.0);
    assert_eq!(number("tokens_total", &[]).to_string(), used.to_string());
    assert_eq!(number("tool_calls_total", &["tool=\"clock:now\"", "outcome=\"ok\""]), 3.0);
    assert_eq!(number("active_runs", &[]), 0.0);
    assert_eq!(number("active_sessions", &[]), 1.0);
    // What instances count themselves comes within seconds.
    until("the live host has stored what it counted", async || {
        let said = prometheus.scrape(&alive).await?;
        let route = ["component=\"stream\"", "route=\"/api/runs/{id}/events\"", "status=\"2xx\""];
        let is_there = sum(&said, "http_requests_total", &route) >= 3.0
            && sum(&said, "time_to_first_token_seconds_count", &[]) >= 3.0
            && sum(&said, "provider_requests_total", &["outcome=\"ok\""]) >= 3.0
            && sum(&said, "tool_call_duration_seconds_count", &["tool=\"clock:now\""]) >= 1.0;
        Ok(is_there.then_some(()))
    })
    .await
}
