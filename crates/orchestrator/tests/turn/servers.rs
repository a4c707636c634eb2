//! Servers and their habits, a file each in `tests/servers`: what a server refuses and answers, what a person asks, and the result. In all of them,
//! the strictest server must accept each request.
//!
//! `rules` are the server's refusals with status and body. A rule is a name, then a colon and an argument ([`breaks`]). `answers` are its answers to
//! accepted requests, in order. `history` are rows that the database had before. `expect` has the number of `requests`, the last answers as `said`,
//! the states and errors that readers were `told`, the expected contents of the `last` request, and additional fields that requests may have, as
//! `also`.

use std::{fs, path::Path};

use domain::Id;
use serde_json::{Value, json};
use storage::{Database as _, Statement};

use crate::{
    script::{Answer, answer, chunk},
    strict,
    world::World,
};

impl World {
    /// Rows of the conversation that an earlier version wrote.
    pub(crate) async fn remember(&self, rows: &[Value]) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        for (position, row) in rows.iter().enumerate() {
            let sql =
                "INSERT INTO messages (id, conversation_id, run_id, position, role, content, tool_calls, tool_call_id,
                           finish_reason, size, created_at) VALUES (?1, ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)";
            let content = text(&row["content"]).unwrap_or_default();
            let tool_calls = row.get("tool_calls").map(Value::to_string);
            let size = (content.len() + tool_calls.as_ref().map_or(0, String::len)) as u64;
            let parameters: [storage::Value; 9] = [
                Id::new().into(),
                self.conversation.into(),
                (position as i64 + 1).into(),
                text(&row["role"]).unwrap().into(),
                content.into(),
                tool_calls.into(),
                text(&row["tool_call_id"]).into(),
                text(&row["finish_reason"]).into(),
                size.into(),
            ];
            self.file().query(Statement::new("remember", sql, parameters)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn servers_get_requests_as_they_want_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let case: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).expect(&name);
        wrong.extend(check(&case).await.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The differences from the expected result.
async fn check(case: &Value) -> Vec<String> {
    let world = served(case);
    world.remember(&list(case, "history")).await;
    let (mut said, mut told) = (Vec::new(), Vec::new());
    for question in list(case, "questions") {
        let run = world.send(question.as_str().unwrap()).await;
        let heard = world.read(run, 0).await;
        said.push(heard.text());
        let states = heard.data().into_iter().filter(|data| data["type"] == "state" || data["type"] == "error");
        told.extend(states.map(|data| match data["type"].as_str() {
            Some("error") => data["metadata"]["code"].clone(),
            _ => data["content"].clone(),
        }));
    }
    told.retain(|state| state != "processing");
    let (expect, asked) = (&case["expect"], world.asked());
    let mut faults: Vec<String> = Vec::new();
    let also: Vec<String> = list(expect, "also").iter().map(|field| field.as_str().unwrap().to_owned()).collect();
    let complaints =
        asked.iter().enumerate().filter_map(|(at, request)| Some((at, strict::complaint(request, &also)?)));
    faults.extend(complaints.map(|(at, complaint)| format!("request {at}: {complaint}")));
    for (what, expected, came) in [
        ("requests", &expect["requests"], json!(asked.len())),
        ("said", &expect["said"], json!(said)),
        ("told", &expect["told"], json!(told)),
    ] {
        if !expected.is_null() && *expected != came {
            faults.push(format!("{what}: {came} instead of {expected}"));
        }
    }
    if let Some(last) = expect.get("last")
        && let Some(difference) = missing(last, asked.last().unwrap(), "")
    {
        faults.push(format!("the last request: {difference}"));
    }
    faults
}

fn served(case: &Value) -> World {
    let rules = list(case, "rules");
    let refuses = move |request: &Value| {
        let rule = rules.iter().find(|rule| breaks(rule["rule"].as_str().unwrap(), request))?;
        let body = rule["body"].as_str().map_or_else(|| rule["body"].to_string(), str::to_owned);
        Some((u16::try_from(rule["status"].as_u64().unwrap_or(400)).unwrap(), body))
    };
    let schema = case.get("schema").cloned().unwrap_or_else(|| json!({"type": "object"}));
    let world = World::new(list(case, "answers").iter().map(said)).refusing(refuses);
    match case.get("tools").and_then(Value::as_array) {
        Some(names) => {
            names.iter().fold(world, |world, name| world.with_tool_of_schema(name.as_str().unwrap(), false, &schema))
        }
        None => world.with_tool_of_schema("t", false, &schema),
    }
}

/// An answer: a text, the deltas of a stream that ends with tool calls, a whole stream, or a refusal with its status.
fn said(said: &Value) -> Answer {
    if let Some(text) = said.as_str() {
        return answer(&[text]);
    }
    if let Some(refusal) = said["refuse"].as_array() {
        return Answer::Refuse(u16::try_from(refusal[0].as_u64().unwrap()).unwrap(), None, refusal[1].to_string());
    }
    if let Some(stream) = said["stream"].as_str() {
        return Answer::Stream(vec![(0, Ok(stream.to_owned()))]);
    }
    let deltas = list(said, "deltas").into_iter().map(|delta| (0, Ok(chunk(delta, None))));
    Answer::Stream(deltas.chain([(0, Ok(chunk(json!({}), Some("tool_calls"))))]).collect())
}

/// Whether a request breaks a rule.
fn breaks(rule: &str, request: &Value) -> bool {
    let (rule, about) = rule.split_once(':').unwrap_or((rule, ""));
    let messages = list(request, "messages");
    let calling = || messages.iter().filter(|message| message.get("tool_calls").is_some());
    let calls = || calling().flat_map(|message| list(message, "tool_calls"));
    let without = |value: &Value| value[about].as_str().is_none_or(str::is_empty) && !value[about].is_object();
    let schemas = || list(request, "tools").into_iter().map(|tool| tool["function"]["parameters"].clone());
    match rule {
        "field" => request.get(about).is_some(),
        "no_field" => request.get(about).is_none(),
        "above" => {
            let (field, most) = about.split_once(':').unwrap();
            request[field].as_u64().is_some_and(|value| value > most.parse().unwrap())
        }
        "role" => messages.iter().any(|message| message["role"] == about),
        "null_beside_calls" => calling().any(|message| message.get("content") == Some(&Value::Null)),
        "empty_beside_calls" => calling().any(|message| message["content"] == ""),
        "answers_with" => calling().any(|message| message.get(about).is_some()),
        "answers_without" => calling().any(without),
        "calls_with" => calls().any(|call| call.get(about).is_some()),
        "calls_without" => calls().any(|call| without(&call)),
        "keyword" => schemas().any(|schema| holds(&schema, &|key, _| key == about)),
        "type_lists" => schemas().any(|schema| holds(&schema, &|key, value| key == "type" && value.is_array())),
        "empty_properties" => {
            schemas().any(|schema| holds(&schema, &|key, value| key == "properties" && *value == json!({})))
        }
        "longer" => {
            let length = messages.iter().filter_map(|message| message["content"].as_str()).map(str::len).sum::<usize>();
            length > about.parse().unwrap()
        }
        "messages" => messages.len() > about.parse().unwrap(),
        "says" => messages.iter().any(|message| message["content"].as_str().is_some_and(|text| text.contains(about))),
        "larger" => request.to_string().len() > about.parse().unwrap(),
        "always" => true,
        other => panic!("there is no rule {other}"),
    }
}

fn holds(json: &Value, is: &dyn Fn(&str, &Value) -> bool) -> bool {
    match json {
        Value::Object(fields) => fields.iter().any(|(key, value)| is(key, value) || holds(value, is)),
        Value::Array(values) => values.iter().any(|value| holds(value, is)),
        _ => false,
    }
}

/// The first expected value that is missing.
fn missing(expected: &Value, came: &Value, place: &str) -> Option<String> {
    match (expected, came) {
        (Value::Object(expected), Value::Object(came)) => expected.iter().find_map(|(key, expected)| {
            missing(expected, came.get(key).unwrap_or(&Value::Null), &format!("{place}/{key}"))
        }),
        (Value::Array(expected), Value::Array(came)) if expected.len() == came.len() => {
            let mut pairs = expected.iter().zip(came).enumerate();
            pairs.find_map(|(at, (expected, came))| missing(expected, came, &format!("{place}/{at}")))
        }
        _ => (expected != came).then(|| format!("{place} is {came} instead of {expected}")),
    }
}

fn list(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().cloned().unwrap_or_default()
}
