//! Several hosts on one database, no two of them sharing anything else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{App, Event, Host, Person, Turn, said, start_model, until};

use crate::on_postgres;

const HOSTS: usize = 3;
/// For a soak test: `EA_KILLS=100 cargo dev test app-postgres`.
const KILLS_VARIABLE: &str = "EA_KILLS";
const PACED: &str = "scripted-chunks=40-delay=20-ttft=0";

/// Hosts on an empty database that have not received a request yet.
async fn hosts() -> Result<(Vec<Host>, Vec<App>)> {
    let first = tests::host(start_model()?.options())?.context("a host of our own")?;
    let mut hosts = vec![first];
    for _ in 1..HOSTS {
        let beside = hosts.first().context("the first")?.beside()?;
        hosts.push(beside);
    }
    let apps = hosts.iter().map(App::of).collect();
    Ok((hosts, apps))
}

fn at(person: &Person, app: &App) -> Person {
    Person { app: app.clone(), ..person.clone() }
}

#[tokio::test]
async fn hosts_that_meet_an_empty_database_at_the_same_moment_agree_on_everything() -> Result<()> {
    on_postgres!();
    let (_hosts, apps) = hosts().await?;
    // The first requests ever: each host migrates, and makes a signing key.
    let people = try_join_all(apps.iter().map(Person::in_app)).await?;
    let administrators = people.iter().filter(|person| person.user["role"] == "admin").count();
    assert_eq!(administrators, 1);
    // A session of one host is valid at the others: all hosts have agreed on one key.
    for person in &people {
        for app in &apps {
            at(person, app).get("/auth/me").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn whoever_is_suspended_at_one_host_is_out_at_all_of_them() -> Result<()> {
    on_postgres!();
    let (_hosts, apps) = hosts().await?;
    let admin = Person::in_app(&apps[0]).await?;
    let person = Person::in_app(&apps[1]).await?;
    let turn = person.ask("scripted-chunks=4000-delay=20-ttft=0", "Go on for long.").await?;
    let mut events = at(&person, &apps[2]).events(&turn.run).await?;
    events.through_tokens(3).await?;
    let everywhere: Vec<Person> = apps.iter().map(|app| at(&person, app)).collect();
    for person in &everywhere {
        person.get("/auth/me").await?;
    }
    let path = format!("/api/admin/users/{}", person.user["id"].as_str().context("an id")?);
    let suspended = admin.request(Method::PATCH, &path).json(&json!({"suspended": true})).send().await?;
    ensure!(suspended.status() == StatusCode::OK, "{}", suspended.status());
    let since = Instant::now();
    for person in &everywhere {
        until("the token does not hold any more", async || {
            let status = person.request(Method::GET, "/api/conversations").send().await?.status();
            Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
        })
        .await?;
    }
    let out = since.elapsed();
    let heard = events.all().await?;
    let ended = since.elapsed();
    assert_eq!(heard.last().map(|end| end.metadata("finish_reason").clone()), Some("cancelled".into()));
    // Each host asks twice a second. What is more is for a busy machine.
    ensure!(out.max(ended) < Duration::from_secs(3), "out after {out:?}, the run ended after {ended:?}");
    Ok(())
}

#[tokio::test]
async fn a_balancer_without_affinity_is_enough() -> Result<()> {
    on_postgres!();
    let (_hosts, apps) = hosts().await?;
    let person = Person::in_app(&apps[0]).await?;
    let anywhere = |step: usize| at(&person, &apps[step % HOSTS]);
    let conversation = anywhere(0).converse(PACED).await?;
    for turn in 0..4 {
        let turn_sent = anywhere(turn).send(&conversation, &format!("Question {turn}")).await?;
        let mut heard = anywhere(turn + 1).events(&turn_sent.run).await?.through_tokens(10).await?;
        let seen = heard.iter().filter_map(|event| event.id).max();
        let rest = anywhere(turn + 2).events_after(&turn_sent.run, seen).await?.context("more was to come")?;
        heard.extend(rest.all().await?);
        whole(&heard)?;
        assert_eq!(said(&heard), answer(&anywhere(turn), &turn_sent).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_queue_of_runs_is_taken_by_whichever_host_is_asked() -> Result<()> {
    on_postgres!();
    let (_hosts, apps) = hosts().await?;
    let person = Person::in_app(&apps[0]).await?;
    let turns = try_join_all((0..3 * HOSTS).map(|_| person.ask(PACED, "Hello"))).await?;
    let readings = turns.iter().enumerate().map(|(index, turn)| {
        let reader = at(&person, &apps[index % HOSTS]);
        async move { reader.events(&turn.run).await?.all().await }
    });
    for heard in try_join_all(readings).await? {
        whole(&heard)?;
        // The host that was asked claimed the run at once: no host waited for another's lease.
        assert_eq!(heard.last().map(|end| end.metadata("attempt").clone()), Some(1.into()));
    }
    Ok(())
}

#[tokio::test]
async fn when_a_host_dies_all_its_readers_get_the_rest_elsewhere() -> Result<()> {
    on_postgres!();
    let (mut hosts, _) = hosts().await?;
    for kill in 0..kills()? {
        let dying = kill % HOSTS;
        let elsewhere: Vec<App> = (1..HOSTS).map(|step| App::of(&hosts[(dying + step) % HOSTS])).collect();
        let person = Person::in_app(&App::of(&hosts[dying])).await?;
        let turns = try_join_all((0..8).map(|_| person.ask(PACED, "Hello"))).await?;
        // Each kill comes at another place in the answer.
        let pieces = 1 + (7 + 11 * kill) % 30;
        let begun = try_join_all(turns.iter().map(|turn| async {
            let mut events = person.events(&turn.run).await?;
            let heard = events.through_tokens(pieces).await?;
            anyhow::Ok((events, heard))
        }))
        .await?;
        hosts[dying].kill()?;
        let ends = begun.into_iter().zip(&turns).enumerate().map(|(index, ((events, mut heard), turn))| {
            let elsewhere = at(&person, &elsewhere[index % elsewhere.len()]);
            async move {
                heard.extend(events.until_broken().await);
                // On a busy machine, a run may have ended before the host died.
                if heard.last().map(Event::kind) != Some("complete") {
                    let seen = heard.iter().filter_map(|event| event.id).max();
                    let rest = elsewhere.events_after(&turn.run, seen).await?.context("more was to come")?;
                    heard.extend(rest.all().await?);
                }
                whole(&heard)?;
                assert_eq!(said(&heard), answer(&elsewhere, turn).await?);
                anyhow::Ok(())
            }
        });
        try_join_all(ends).await.with_context(|| format!("kill {kill}, after {pieces} pieces"))?;
        hosts[dying].restart()?;
    }
    Ok(())
}

/// How often a host is killed under eight runs: twice, or as the environment says.
fn kills() -> Result<usize> {
    std::env::var(KILLS_VARIABLE).map_or(Ok(2), |text| text.parse().context(KILLS_VARIABLE))
}

async fn answer(person: &Person, turn: &Turn) -> Result<String> {
    let messages = person.messages(&turn.conversation).await?;
    let answer = messages.iter().rfind(|message| message["role"] == "assistant" && message["run_id"] == turn.run);
    tests::text(answer.context("no answer")?, "/content")
}

/// Every token once, in order, and one end.
fn whole(events: &[Event]) -> Result<()> {
    let counts: Vec<u64> = events.iter().filter_map(|event| event.metadata("token_count").as_u64()).collect();
    ensure!(counts == (1..=40).collect::<Vec<_>>(), "tokens {counts:?}");
    ensure!(events.iter().filter(|event| event.kind() == "complete").count() == 1, "no single end");
    Ok(())
}
