//! For a person, other people's data does not exist.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;
use tests::{App, Person, problem, start_model};

#[tokio::test]
async fn everything_of_somebody_else_is_404_and_stays_as_it_is() -> Result<()> {
    let (owner, stranger) = (Person::new().await?, Person::new().await?);
    let turn = owner.ask("scripted-chunks=3-delay=0-ttft=0", "Mine").await?;
    let conversation = format!("/api/conversations/{}", turn.conversation);
    let run = format!("/api/runs/{}", turn.run);
    let before =
        (owner.get(&conversation).await?, owner.messages(&turn.conversation).await?, owner.run(&turn.run).await?);
    for (method, path, body) in [
        (Method::GET, conversation.clone(), json!({})),
        (Method::PATCH, conversation.clone(), json!({"title": "Taken"})),
        (Method::DELETE, conversation.clone(), json!({})),
        (Method::GET, format!("{conversation}/messages"), json!({})),
        (Method::POST, format!("{conversation}/messages"), json!({"content": "Into yours"})),
        (Method::GET, run.clone(), json!({})),
        (Method::GET, format!("{run}/events"), json!({})),
        (Method::POST, format!("{run}/cancel"), json!({})),
        (Method::POST, format!("{run}/retry"), json!({})),
    ] {
        let response = stranger.request(method.clone(), &path).json(&body).send().await?;
        problem(response, 404, "not_found").await.with_context(|| format!("{method} {path}"))?;
    }
    let after =
        (owner.get(&conversation).await?, owner.messages(&turn.conversation).await?, owner.run(&turn.run).await?);
    assert_eq!(before, after);
    assert_eq!(stranger.get("/api/conversations").await?["items"], json!([]));

    let events = owner.events(&turn.run).await?.all().await?;
    assert_eq!(events.last().map(tests::Event::kind), Some("complete"));
    let refused = stranger.request(Method::GET, &format!("{run}/events")).send().await?;
    problem(refused, 404, "not_found").await?;
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_is_ones_own() -> Result<()> {
    let (first, second) = (Person::new().await?, Person::new().await?);
    let mut messages = Vec::new();
    for person in [&first, &second] {
        let path = format!("/api/conversations/{}/messages", person.converse("scripted").await?);
        let request = person.request(Method::POST, &path).header("idempotency-key", "the-same");
        let response = request.json(&json!({"content": "Hello"})).send().await?;
        assert_eq!(response.status(), reqwest::StatusCode::CREATED);
        messages.push(response.json::<serde_json::Value>().await?["message"]["id"].take());
    }
    assert_ne!(messages.first(), messages.last());
    Ok(())
}

/// Asked in turns, so that what the machine does besides happens to both.
async fn medians_us(times: usize, ask: impl AsyncFn(usize, bool) -> Result<reqwest::Response>) -> Result<[u128; 2]> {
    let mut taken = [Vec::with_capacity(times), Vec::with_capacity(times)];
    for n in 0..times {
        for turn in 0..2 {
            // Neither is always the first.
            let is_there = (n + turn) % 2 == 0;
            let began = std::time::Instant::now();
            ask(n, is_there).await?.bytes().await?;
            taken.get_mut(usize::from(is_there)).context("two")?.push(began.elapsed().as_micros());
        }
    }
    let [nothing, theirs] = taken.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    });
    Ok([theirs, nothing])
}

/// A measurement, whose numbers are in docs/security.md. That the statements are the same is tested everywhere, by `others` in `router-test`.
#[tokio::test]
#[ignore = "a measurement; docs/security.md has its numbers and says how to take them"]
async fn how_long_an_answer_takes_does_not_say_what_there_is() -> Result<()> {
    const TIMES: usize = 300;
    /// As many as one address may try at one account.
    const LOG_INS: usize = 50;
    // The limits are asked, and not reached.
    let rates = ["requests_per_minute", "person_requests_per_minute", "session_requests_per_minute"];
    let options = rates.iter().fold(start_model()?.options(), |options, name| options.variable(name, "100000"));
    let (_host, app) = App::own(options)?.context("a host of our own")?;
    let (owner, stranger) = (Person::in_app(&app).await?, Person::in_app(&app).await?);
    let (turn, _) = owner.hear("scripted-chunks=3-delay=0-ttft=0", "Mine").await?;
    let mut differs = Vec::new();
    let mut measured = |name: &str, [theirs, nothing]: [u128; 2]| {
        println!("{name}: {theirs} µs, {nothing} µs");
        if theirs.abs_diff(nothing) > theirs.max(nothing) / 10 {
            differs.push(format!("{name}: {theirs} and {nothing} µs"));
        }
    };
    for (method, path, body) in [
        (Method::GET, "/api/conversations/{c}", json!({})),
        (Method::PATCH, "/api/conversations/{c}", json!({"title": "Taken"})),
        (Method::DELETE, "/api/conversations/{c}", json!({})),
        (Method::GET, "/api/conversations/{c}/messages", json!({})),
        (Method::POST, "/api/conversations/{c}/messages", json!({"content": "Into yours"})),
        (Method::GET, "/api/runs/{r}", json!({})),
        (Method::GET, "/api/runs/{r}/events", json!({})),
        (Method::POST, "/api/runs/{r}/cancel", json!({})),
        (Method::POST, "/api/runs/{r}/retry", json!({})),
        (Method::POST, "/api/runs/{r}/approvals", json!({"call_id": "call", "decision": "deny"})),
    ] {
        let medians = medians_us(TIMES, async |n, is_there| {
            let nothing = format!("01900000-0000-7000-8000-{n:012}");
            let (conversation, run) = if is_there { (&turn.conversation, &turn.run) } else { (&nothing, &nothing) };
            let path = path.replace("{c}", conversation).replace("{r}", run);
            Ok(stranger.request(method.clone(), &path).json(&body).send().await?)
        });
        measured(&format!("{method} {path}"), medians.await?);
    }
    let medians = medians_us(LOG_INS, async |_, is_there| {
        let email = if is_there { owner.email.clone() } else { format!("nobody-{}", owner.email) };
        let body = json!({"email": email, "password": "not the right one"});
        Ok(app.request(Method::POST, "/auth/login").json(&body).send().await?)
    });
    measured("POST /auth/login", medians.await?);
    anyhow::ensure!(differs.is_empty(), "{differs:?}");
    Ok(())
}
