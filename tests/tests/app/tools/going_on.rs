//! Calls that go on at a server elsewhere as tasks: the run waits, survives a host that is killed, and Stop reaches the server. Programs get a handle.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use anyhow::{Context as _, Result, ensure};
use axum::{Json, Router, extract::State, routing::post};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Event, Options, Person, start_model, text, until};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// The scripted model wants the tool.
const MODEL: &str = "scripted-tool=lab_report-delay=0-ttft=0";

/// A server of the revision 2026-07-28 with one tool, whose calls are tasks that have ended when they were asked about three times.
#[derive(Clone, Default)]
struct Lab(Arc<Seen>);

#[derive(Default)]
struct Seen {
    called: AtomicU32,
    asked: AtomicU32,
    cancelled: AtomicBool,
    /// It never ends by itself.
    is_slow: AtomicBool,
}

impl Lab {
    async fn serve(&self) -> Result<Options> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let router = Router::new().route("/mcp", post(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let servers = json!([{ "name": "lab", "url": url }]).to_string();
        let options = start_model()?.options().variable("remote_mcp_servers", &servers);
        Ok(options.variable("remote_mcp_host", "http://*:*").variable("tool_policies", "allow lab:*"))
    }

    fn task(&self, status: &str) -> Value {
        json!({
            "resultType": "complete", "taskId": "t1", "status": status, "ttlMs": 3_600_000, "pollIntervalMs": 1_000,
            "statusMessage": format!("step {}", self.0.asked.load(SeqCst)),
            "createdAt": "2026-07-28T12:00:00Z", "lastUpdatedAt": "2026-07-28T12:00:00Z",
        })
    }
}

async fn answer(State(lab): State<Lab>, Json(message): Json<Value>) -> Json<Value> {
    let declares =
        message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][EXTENSION].is_object();
    let result = match message["method"].as_str().unwrap_or_default() {
        "server/discover" => {
            json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "extensions": { EXTENSION: {} } } })
        }
        "tools/list" => json!({ "tools": [{ "name": "report", "inputSchema": { "type": "object" } }] }),
        "tools/call" if declares => {
            lab.0.called.fetch_add(1, SeqCst);
            let mut task = lab.task("working");
            task["resultType"] = json!("task");
            task
        }
        "tasks/get" if message["params"]["taskId"] == "t1" => {
            let asked = lab.0.asked.fetch_add(1, SeqCst) + 1;
            if asked < 3 || lab.0.is_slow.load(SeqCst) {
                lab.task("working")
            } else {
                let mut task = lab.task("completed");
                task["result"] = json!({ "content": [{ "type": "text", "text": "the report" }] });
                task
            }
        }
        "tasks/cancel" => {
            lab.0.cancelled.store(true, SeqCst);
            json!({ "resultType": "complete" })
        }
        other => {
            let error = json!({ "code": -32601, "message": other });
            return Json(json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

/// What a program that understands tasks hears at the gateway.
async fn gateway(program: &Person, method: &str, mut params: Value) -> Result<Value> {
    let name = params.get("name").or(params.get("taskId")).and_then(Value::as_str).context("no name")?.to_owned();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "extensions": { EXTENSION: {} } },
    });
    let request = program
        .request(Method::POST, "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .header("mcp-name", name);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    Ok(request.json(&body).send().await?.json().await?)
}

#[tokio::test]
async fn a_run_waits_for_a_task_though_its_host_is_killed_and_the_call_is_made_once() -> Result<()> {
    let lab = Lab::default();
    let Some((mut host, app)) = App::own(lab.serve().await?)? else { tests::skip!("needs a host to kill") };
    let mut person = Person::in_app(&app).await?;
    let turn = person.ask(MODEL, "{}").await?;
    let mut reading = person.events(&turn.run).await?;
    let heard = reading.through(|event| event.kind() == "tool_progress").await?;
    let task = heard.iter().find(|event| event.kind() == "tool_task").context("no task")?;
    assert_eq!((task.content(), task.metadata("server")), ("lab_report", &json!("lab")));
    let waiting = person.run_in(&turn.run, "awaiting_task").await?;
    ensure!(waiting["error"].is_null(), "{waiting}");
    host.kill()?;
    host.restart()?;
    person.app = App::of(&host);
    let events = person.events(&turn.run).await?.all().await?;
    let result = events.iter().find(|event: &&Event| event.kind() == "tool_result").context("no result")?;
    assert_eq!((result.content(), result.metadata("is_error")), ("the report", &json!(false)));
    assert_eq!(events.last().map(Event::kind), Some("complete"));
    assert_eq!((lab.0.called.load(SeqCst), lab.0.asked.load(SeqCst)), (1, 3));
    Ok(())
}

#[tokio::test]
async fn stop_reaches_the_server_and_a_programs_handle_is_its_accounts_alone() -> Result<()> {
    let lab = Lab::default();
    lab.0.is_slow.store(true, SeqCst);
    let Some((_host, app)) = App::own(lab.serve().await?)? else { tests::skip!("needs a server of its own") };
    let person = Person::in_app(&app).await?;
    let turn = person.ask(MODEL, "{}").await?;
    let mut reading = person.events(&turn.run).await?;
    reading.through(|event| event.kind() == "tool_task").await?;
    assert_eq!(person.cancel(&turn.run).await?["state"], "cancelled");
    let rest = reading.through(|event| event.kind() == "complete").await?;
    assert_eq!(rest.last().map(|event| event.metadata("finish_reason")), Some(&json!("cancelled")));
    until("the server to be told", async || Ok(lab.0.cancelled.load(SeqCst).then_some(()))).await?;

    let (program, other) = (person.program().await?, Person::in_app(&app).await?.program().await?);
    let called = gateway(&program, "tools/call", json!({ "name": "lab_report", "arguments": {} })).await?;
    let handle = json!({ "taskId": text(&called, "/result/taskId")? });
    ensure!(called["result"]["resultType"] == "task" && handle["taskId"] != "t1", "{called}");
    assert_eq!(gateway(&other, "tasks/get", handle.clone()).await?["error"]["code"], -32602);
    assert_eq!(gateway(&program, "tasks/get", handle.clone()).await?["result"]["status"], "working");
    lab.0.is_slow.store(false, SeqCst);
    lab.0.asked.store(9, SeqCst);
    let ended = gateway(&program, "tasks/get", handle).await?;
    assert_eq!(ended["result"]["result"]["content"][0]["text"], "the report", "{ended}");
    Ok(())
}
