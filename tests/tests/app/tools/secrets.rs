//! The secrets that a person enters for tools: entered once, used by the tool, seen by nobody.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tests::{App, Event, Outside, Person, array, problem, start_model, until};

const MODEL: &str = "scripted-tool=misbehaving_secret_write-delay=0-ttft=0-test=secrets";
const PATH: &str = "/api/tools/secrets";
const OF_PASSWORD: &str = "/api/tools/secrets?server=misbehaving&name=password";
const VALUE: &str = "correct \"horse\" bättery";

/// 32 bytes in base64.
const FIRST_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const SECOND_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

async fn put(person: &Person, server: &str, name: &str, value: &str) -> Result<Response> {
    let body = json!({"server": server, "name": name, "value": value});
    Ok(person.request(Method::PUT, PATH).json(&body).send().await?)
}

/// The only secret that the server needs, as the person sees it.
async fn listed(person: &Person) -> Result<Value> {
    let mut items = array(&person.get(PATH).await?, "/items")?;
    items.retain(|item| item["server"] == "misbehaving");
    let [item] = items.try_into().map_err(|_| anyhow::anyhow!("not one item"))?;
    Ok(item)
}

/// Makes the model call the tool, and approves the call.
async fn called(person: &Person, outside: &Outside) -> Result<(String, Vec<Event>)> {
    let turn = person.ask(MODEL, &json!({"url": outside.url()}).to_string()).await?;
    let mut events = person.events(&turn.run).await?.through(|event| event.kind() == "tool_approval").await?;
    let asked = events.last().context("nobody was asked")?;
    let decision = json!({"call_id": asked.metadata("call_id"), "decision": "allow_once"});
    let decided = person.post(&format!("/api/runs/{}/approvals", turn.run), &decision).await?;
    ensure!(decided.status() == StatusCode::OK, "deciding: {}", decided.status());
    let rest = person.events_after(&turn.run, asked.id).await?.context("nothing more came")?;
    events.extend(rest.all().await?);
    Ok((turn.conversation, events))
}

const UNSET: &str = "\"Password\" under Tools in the settings";

/// Makes the model call the tool for a person whose secret the tool does not have. The result says so, and the person is not asked before.
async fn refused(person: &Person, outside: &Outside, why: &str) -> Result<()> {
    let (_, events) = person.hear(MODEL, &json!({"url": outside.url()}).to_string()).await?;
    let (words, is_error) = result(&events)?;
    ensure!(is_error && words.contains(why), "{words}");
    ensure!(!events.iter().any(|event| event.kind() == "tool_approval"), "somebody was asked");
    Ok(())
}

fn result(events: &[Event]) -> Result<(&str, bool)> {
    let result = events.iter().find(|event| event.kind() == "tool_result").context("no result")?;
    Ok((result.content(), result.metadata("is_error") == &json!(true)))
}

#[tokio::test]
async fn a_secret_reaches_its_tool_and_nobody_else() -> Result<()> {
    let model = start_model()?;
    let Some((mut host, app)) = App::own(model.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let (outside, mut person, other) =
        (Outside::start().await?, Person::in_app(&app).await?, Person::in_app(&app).await?);
    let unset = json!({
        "server": "misbehaving", "name": "password", "title": "Password", "description": "Any will do.",
        "visible": false, "optional": false, "is_set": false,
    });
    assert_eq!(listed(&person).await?, unset);
    refused(&person, &outside, UNSET).await?;
    assert!(outside.posted().is_empty());

    let entered = put(&person, "misbehaving", "password", VALUE).await?;
    assert_eq!(entered.status(), StatusCode::OK);
    let entered: Value = entered.json().await?;
    assert_eq!((&entered["is_set"], entered.get("value")), (&json!(true), None));
    assert_eq!((listed(&person).await?, listed(&other).await?), (entered, unset.clone()));

    // The key was made on first use, and outlives a restart.
    host.restart()?;
    person.app = App::of(&host);
    let (conversation, events) = called(&person, &outside).await?;
    let (words, is_error) = result(&events)?;
    assert!(!is_error && words.contains("with [secret]"), "{words}");
    assert_eq!(outside.posted(), [VALUE]);
    let prompts: Vec<Value> = model.journal().read("secrets").await?.into_iter().map(|asked| asked.request).collect();
    assert!(prompts.len() >= 4, "the model was asked {} times", prompts.len());
    let said = events.iter().map(|event| event.data.clone());
    let seen: Vec<Value> = said.chain(person.messages(&conversation).await?).chain(prompts).collect();
    for seen in seen {
        let seen = seen.to_string();
        assert!(!seen.contains("horse") && !seen.contains("bättery"), "{seen}");
    }

    for _ in 0..2 {
        assert_eq!(person.request(Method::DELETE, OF_PASSWORD).send().await?.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(listed(&person).await?, unset);
    refused(&person, &outside, UNSET).await?;
    assert_eq!(outside.posted().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_tool_is_offered_once_the_person_has_entered_what_it_needs() -> Result<()> {
    let model = start_model()?;
    let Some((mut host, app)) = App::own(model.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let mut person = Person::in_app(&app).await?;
    person.hear("scripted-delay=0-ttft=0-test=before", "Hello").await?;
    assert_eq!(put(&person, "misbehaving", "password", VALUE).await?.status(), StatusCode::OK);
    // Offers are valid for a moment; a new instance knows none.
    host.restart()?;
    person.app = App::of(&host);
    person.hear("scripted-delay=0-ttft=0-test=after", "Hello").await?;
    let asked = async |test: &str| anyhow::Ok(model.journal().read(test).await?.pop().context("not asked")?.request);
    let offers = |request: &Value, name: &str| -> Result<bool> {
        Ok(array(request, "/tools")?.iter().any(|tool| tool["function"]["name"] == name))
    };
    let (before, after) = (asked("before").await?, asked("after").await?);
    assert!(!offers(&before, "misbehaving_secret_write")? && offers(&before, "clock_now")?, "{before}");
    assert!(offers(&after, "misbehaving_secret_write")? && offers(&after, "clock_now")?, "{after}");
    let told = |request: &Value| {
        let words = request["messages"][0]["content"].as_str().unwrap_or_default();
        let line = words.lines().find(|line| line.contains("on the page Tools")).unwrap_or_default();
        (line.contains("calendar"), line.contains("misbehaving"))
    };
    assert_eq!((told(&before), told(&after)), ((true, true), (true, false)), "{before} {after}");
    Ok(())
}

#[tokio::test]
async fn only_what_a_tool_needs_can_be_entered() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let person = Person::in_app(&app).await?;
    let long = "x".repeat(4 * 1024 + 1);
    for (server, name, value, field) in [
        ("clock", "password", "x", "server"),
        ("nothing", "password", "x", "server"),
        ("misbehaving", "key", "x", "name"),
        ("misbehaving", "password", "", "value"),
        ("misbehaving", "password", &long, "value"),
    ] {
        let refused = problem(put(&person, server, name, value).await?, 422, "invalid_field").await?;
        assert_eq!(refused["field"], field, "{refused}");
    }
    assert_eq!(listed(&person).await?["is_set"], false);
    let longest = "\n".repeat(4 * 1024);
    assert_eq!(put(&person, "misbehaving", "password", &longest).await?.status(), StatusCode::OK);
    problem(app.request(Method::GET, PATH).send().await?, 401, "unauthenticated").await?;
    Ok(())
}

#[tokio::test]
async fn keys_can_be_changed_and_who_loses_them_is_told() -> Result<()> {
    let options = start_model()?.options().with_misbehaving_tools()?.variable("master_key", FIRST_KEY);
    let Some((mut host, app)) = App::own(options)? else { tests::skip!("needs tools of its own") };
    let (outside, mut person) = (Outside::start().await?, Person::in_app(&app).await?);
    assert_eq!(put(&person, "misbehaving", "password", VALUE).await?.status(), StatusCode::OK);
    say_everywhere(&person).await?;

    host.set_variable("master_key", &format!("{SECOND_KEY}, {FIRST_KEY}"));
    host.restart()?;
    person.app = App::of(&host);
    assert_eq!(listed(&person).await?["is_set"], true);

    // All that the first key wrapped is wrapped by the second, and the first may go.
    until("nothing needs the first key", async || {
        let ready: Value = person.app.request(Method::GET, "/ready").send().await?.json().await?;
        let told = array(&ready, "/checks")?.into_iter().find(|check| check["name"] == "master_key");
        Ok(told.filter(|check| check["detail"].as_str().unwrap_or_default().contains("Nothing needs")))
    })
    .await?;
    host.set_variable("master_key", SECOND_KEY);
    host.restart()?;
    person.app = App::of(&host);
    assert_eq!(listed(&person).await?["is_set"], true);
    let (_, events) = called(&person, &outside).await?;
    assert!(!result(&events)?.1);

    // Without it, everybody is told, and nothing is written over what it opens.
    host.set_variable("master_key", FIRST_KEY);
    host.restart()?;
    person.app = App::of(&host);
    assert_eq!(listed(&person).await?["is_set"], false);
    problem(put(&person, "misbehaving", "password", VALUE).await?, 503, "key_missing").await?;
    problem(person.request(Method::GET, "/api/conversations").send().await?, 503, "key_missing").await?;
    assert_eq!(person.app.request(Method::GET, "/ready").send().await?.status(), StatusCode::SERVICE_UNAVAILABLE);

    host.set_variable("master_key", SECOND_KEY);
    host.restart()?;
    person.app = App::of(&host);
    assert_eq!(listed(&person).await?["is_set"], true);

    // All this time, nothing that anybody said has been written where it can be read.
    let mut all = String::new();
    for (name, written) in host.everything_written().await? {
        let written = String::from_utf8_lossy(&written);
        for said in [PLANTED, VALUE, "bättery", "with [secret]"] {
            assert!(!written.contains(said), "{said} is in {name}");
        }
        all.push_str(&written);
    }
    assert!(all.contains("scripted-echo=1"), "models' names can be read, so the database was searched");
    assert!(all.contains("\"path\":\"/api/conversations"), "and the log was");
    Ok(())
}

/// Nobody else writes this.
const PLANTED: &str = "aubergine heron";

/// Says it in every place where people or models say something, also where it is refused.
async fn say_everywhere(person: &Person) -> Result<()> {
    let (turn, events) = person.hear("scripted-echo=1-delay=0-ttft=0", PLANTED).await?;
    ensure!(events.iter().any(|event| event.data.to_string().contains("heron")), "the model does not repeat it");
    let path = format!("/api/conversations/{}", turn.conversation);
    let renamed = person.request(Method::PATCH, &path).json(&json!({"title": PLANTED})).send().await?;
    ensure!(renamed.status() == StatusCode::OK, "renaming: {}", renamed.status());
    let arguments = json!({"expression": PLANTED}).to_string();
    person.hear("scripted-tool=calculator_calculate-delay=0-ttft=0", &arguments).await?;
    // The provider refuses, and quotes nothing; and bodies are refused that are no message, or no JSON.
    person.hear("scripted-fail=400-ttft=0", PLANTED).await?;
    let messages = format!("{path}/messages");
    for body in [json!({"content": [PLANTED]}).to_string(), format!("{{\"content\": \"{PLANTED}")] {
        let request = person.request(Method::POST, &messages).header("content-type", "application/json").body(body);
        ensure!(request.send().await?.status().is_client_error(), "it is taken");
    }
    Ok(())
}
