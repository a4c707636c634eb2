//! The log as an operator reads it: every line has the same fields, each message is in the table of `docs/logs.md` with its fields, and the lines of one trace
//! lead through the components.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tests::{App, Person, log_messages, start_model, until};

const ALWAYS: [&str; 4] = ["timestamp", "level", "component", "message"];
const OF_A_REQUEST: [&str; 3] = ["trace_id", "span_id", "request_id"];
const TRACE: &str = "5d0af7651916cd43dd8448eb211c8031";

/// All lines of all components, and the text of each.
fn lines(state: &Path) -> Result<Vec<(Value, String)>> {
    let mut lines = Vec::new();
    for file in fs::read_dir(state.join("logs"))? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        for line in text.lines() {
            lines.push((
                serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?,
                line.to_owned(),
            ));
        }
    }
    Ok(lines)
}

#[tokio::test]
async fn a_trace_leads_through_the_components_and_every_line_is_as_the_table_says() -> Result<()> {
    let Some((host, app)) = App::own(start_model()?.options().variable("log_level", "debug"))? else {
        tests::skip!("needs a host of its own")
    };
    let person = Person::in_app(&app).await?;
    let turn = person.ask("scripted-tool=clock_now-delay=0-ttft=0", r#"{"time_zone":"Asia/Tokyo"}"#).await?;
    let request = person.request(Method::GET, &format!("/api/runs/{}/events", turn.run));
    let request =
        request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).header("x-request-id", "mine");
    tests::Events::new(request.send().await?)?.all().await?;
    let (_, failed) = person.hear("scripted-fail=401-delay=0-ttft=0", "Hello").await?;
    ensure!(failed.last().is_some_and(|end| end.kind() == "error"), "{failed:?}");
    assert_eq!(person.request(Method::GET, "/api/conversations/nothing").send().await?.status(), StatusCode::NOT_FOUND);
    app.request(Method::GET, "/ready").send().await?;
    let of_trace = |lines: &[(Value, String)]| {
        let own = lines.iter().filter(|(line, _)| line["trace_id"] == TRACE);
        own.map(|(line, _)| (line["component"].to_string(), line["message"].to_string())).collect::<BTreeSet<_>>()
    };
    // A run's last line comes after its last event.
    until("the trace is complete", async || {
        let found = of_trace(&lines(host.state_folder())?);
        let has = |component: &str, message: &str| found.contains(&(format!("{component:?}"), format!("{message:?}")));
        Ok((has("stream", "request") && has("tools", "request") && has("stream", "a run ended")).then_some(()))
    })
    .await?;
    let (lines, table) = (lines(host.state_folder())?, log_messages()?);
    for (line, text) in &lines {
        let object = line.as_object().context("an object")?;
        let places: Vec<_> = ALWAYS.iter().map(|field| text.find(&format!("\"{field}\":"))).collect();
        ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
        let message = line["message"].as_str().unwrap_or_default();
        let known = table.get(message).with_context(|| format!("docs/logs.md does not have {text}"))?;
        let more = object.keys().map(String::as_str).filter(|key| !ALWAYS.contains(key) && !OF_A_REQUEST.contains(key));
        let unknown: Vec<&str> = more.filter(|key| !known.contains(*key)).collect();
        ensure!(unknown.is_empty(), "docs/logs.md does not say that {message} has {unknown:?}");
        let is_of_a_request = object.contains_key("trace_id") && object.contains_key("span_id");
        ensure!(message != "request" || is_of_a_request, "{text}");
    }
    let asked = |component: &str| {
        let of = |(line, _): &&(Value, String)| {
            line["component"] == component && line["message"] == "request" && line["trace_id"] == TRACE
        };
        lines.iter().find(of).map(|(line, _)| line.clone()).context("a request")
    };
    let (stream, tools) = (asked("stream")?, asked("tools")?);
    assert_eq!((&stream["request_id"], &stream["parent_span_id"]), (&"mine".into(), &"b7ad6b7169203331".into()));
    assert_eq!(tools["parent_span_id"], stream["span_id"], "the one asked the other");
    Ok(())
}
