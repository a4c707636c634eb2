//! Limits and budgets over several hosts: as exact as on one.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::future::{join_all, try_join_all};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Event, Host, Options, Person, start_model};

use crate::on_postgres;

/// Two hosts, and the first person, who is the administrator.
async fn two_hosts(options: Options) -> Result<([Host; 2], [Person; 2])> {
    let first = tests::host(options)?.context("a host of our own")?;
    let second = first.beside()?;
    let here = Person::in_app(&App::of(&first)).await?;
    let there = Person { app: App::of(&second), ..here.clone() };
    Ok(([first, second], [here, there]))
}

async fn set(admin: &Person, subject: &str, limits: Value) -> Result<()> {
    let body = json!({"subject": subject, "limits": limits});
    let response = admin.request(Method::PUT, "/api/admin/limits").json(&body).send().await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.text().await?);
    Ok(())
}

/// What is taken of the only budget.
async fn taken(admin: &Person) -> Result<u64> {
    let list = admin.get("/api/admin/limits").await?;
    list.pointer("/items/0/limits/tokens_per_day/taken").and_then(Value::as_u64).context("a budget")
}

#[tokio::test]
async fn of_sixty_four_messages_at_two_hosts_exactly_the_allowed_number_is_taken() -> Result<()> {
    /// One more every twelve seconds.
    const PER_MINUTE: usize = 5;
    on_postgres!();
    let limit = PER_MINUTE.to_string();
    let options = start_model()?.options().variable("person_requests_per_minute", &limit);
    let (_hosts, people) = two_hosts(options).await?;
    let conversations = try_join_all((0..64).map(|index| people[index % 2].converse("scripted"))).await?;
    let began = Instant::now();
    let sent = join_all(conversations.iter().enumerate().map(|(index, conversation)| {
        let path = format!("/api/conversations/{conversation}/messages");
        people[(index / 2) % 2].request(Method::POST, &path).json(&json!({"content": "Hello"})).send()
    }))
    .await;
    let more = began.elapsed().as_secs() as usize / 12;
    let (mut taken, mut refused) = (0, 0);
    for response in sent {
        let response = response?;
        ensure!(response.headers().contains_key("ratelimit") && response.headers().contains_key("ratelimit-policy"));
        match response.status() {
            StatusCode::CREATED => taken += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                ensure!(response.headers().contains_key("retry-after"));
                refused += 1;
            }
            other => anyhow::bail!("{other}"),
        }
    }
    ensure!((PER_MINUTE..=PER_MINUTE + more).contains(&taken) && taken + refused == 64, "{taken} and {refused}");
    Ok(())
}

#[tokio::test]
async fn runs_at_two_hosts_never_use_more_than_the_budget() -> Result<()> {
    const BUDGET: u64 = 3_000;
    on_postgres!();
    let (_hosts, people) = two_hosts(start_model()?.options()).await?;
    set(&people[0], "installation", json!({"tokens_per_day": BUDGET})).await?;
    let conversations = try_join_all((0..64).map(|index| people[index % 2].converse("scripted"))).await?;
    let ends = join_all(conversations.iter().enumerate().map(|(index, conversation)| {
        let (sender, reader) = (&people[index % 2], &people[(index + 1) % 2]);
        async move {
            // Whoever comes when all is reserved is refused at once.
            let Ok(turn) = sender.send(conversation, "Hello").await else { return anyhow::Ok(false) };
            let events = reader.events(&turn.run).await?.all().await?;
            let run = reader.run(&turn.run).await?;
            match events.last().map(Event::kind) {
                Some("complete") => Ok(true),
                _ => {
                    ensure!(run["error"]["code"] == "budget", "{run}");
                    Ok(false)
                }
            }
        }
    }))
    .await;
    let mut answered = 0;
    for end in ends {
        answered += u64::from(end?);
    }
    ensure!(answered > 0, "somebody is answered");
    let taken = taken(&people[0]).await?;
    ensure!(taken <= BUDGET, "{taken}");
    let usage = people[1].get("/api/usage").await?;
    let used = |name: &str| usage[name].as_u64().unwrap_or_default();
    assert_eq!(taken, used("prompt_tokens") + used("completion_tokens"), "nothing stays reserved");
    Ok(())
}

#[tokio::test]
async fn a_reservation_ends_with_its_run_though_its_host_died() -> Result<()> {
    const BUDGET: u64 = 100_000;
    const SLOW: &str = "scripted-chunks=40-delay=50-ttft=0";
    on_postgres!();
    let (mut hosts, people) = two_hosts(start_model()?.options()).await?;
    set(&people[1], "installation", json!({"tokens_per_day": BUDGET})).await?;
    let turn = people[0].ask(SLOW, "Hello").await?;
    let mut events = people[0].events(&turn.run).await?;
    let heard = events.through_tokens(5).await?;
    ensure!(taken(&people[1]).await? > 16_384, "the whole answer is reserved");
    hosts[0].kill()?;
    let seen = heard.iter().filter_map(|event| event.id).max();
    let rest = people[1].events_after(&turn.run, seen).await?.context("more was to come")?.all().await?;
    assert_eq!(rest.last().map(Event::kind), Some("complete"));
    let (taken, run) = (taken(&people[1]).await?, people[1].run(&turn.run).await?);
    let reported = run["usage"]["total_tokens"].as_u64().context("a usage")?;
    ensure!((reported + 1..reported + 5_000).contains(&taken), "{taken} for {reported} and a lost request");
    Ok(())
}
