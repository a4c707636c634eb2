//! Calls that go on at servers elsewhere: of runs, which wait for them, and of programs, which get a handle.

use domain::RunState;
use storage::{
    runs::{Batch, Ending},
    tool_tasks::ToolTask,
};
use toolbox::{
    Effect,
    wire::{ASK_TASKS_PATH, STOP_TASKS_PATH},
};

use super::*;

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

impl Test {
    /// With a wiki whose calls go on until they were asked about so often, in the older form or the newer one; it may be called unasked.
    fn with_tasks(outside: Surroundings, lasts: u32, is_legacy: bool) -> (Self, ToolServer) {
        let mut test = Self::new(outside);
        let tool =
            json!({ "name": "read", "inputSchema": { "type": "object" }, "execution": { "taskSupport": "optional" } });
        let server = ToolServer { tools: vec![tool], lasts: Some(lasts), is_legacy, ..ToolServer::of(&[]) };
        test.outside.set("wiki.example.org", server.clone());
        test.config.policies.push(Policy::parse("wiki:*", Effect::Allow).unwrap());
        (test, server)
    }

    /// Has the run wait, as its executor does.
    async fn wait(&self, lease: Lease) {
        let (state, batch) = (RunState::AwaitingTask, Batch::default());
        let ending = Ending { state, failure: None, usage: None, message: None, batch };
        assert!(self.fixture.app.store().finish_run(lease, &ending).await.unwrap());
    }

    /// Makes it time to ask.
    async fn let_time_pass(&self) {
        let sql = Statement::new("pass", "UPDATE tool_tasks SET ask_at = 0", []);
        self.fixture.another_connection().query(sql).await.unwrap();
    }

    async fn task(&self, lease: Lease) -> Option<ToolTask> {
        self.fixture.app.store().tool_tasks(lease.run_id).await.unwrap().pop()
    }

    /// Changes the stored tasks, as time or an earlier question would.
    async fn set(&self, columns: &str) {
        let sql = Statement::new("set", format!("UPDATE tool_tasks SET ask_at = 0, {columns}"), []);
        self.fixture.another_connection().query(sql).await.unwrap();
    }

    async fn about_tasks(&self, path: &str, lease: Lease) {
        let of = json!({ "run_id": lease.run_id });
        let caller = if path == STOP_TASKS_PATH { "chat" } else { "stream" };
        let proof = self.fixture.proof(caller, COMPONENT, Some(self.user.id), lease.run_id);
        assert_eq!(self.send_as(Some(&proof), Method::POST, path, Some(of)).await.status, StatusCode::NO_CONTENT);
    }

    async fn outcomes(&self) -> Vec<String> {
        let sql = Statement::new("audit", "SELECT outcome FROM audit_events ORDER BY id", []);
        let rows = self.fixture.another_connection().query(sql).await.unwrap();
        rows.into_iter().map(|row| format!("{:?}", row.0[0]).replace("Text", "")).collect()
    }

    /// What a program of the newer revision hears; it understands tasks, or does not say so.
    async fn modern(&self, token: &str, method: &str, mut params: Value, declares: bool) -> Value {
        let extensions = if declares { json!({ EXTENSION: {} }) } else { json!({}) };
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
        });
        let name = params.get("name").or_else(|| params.get("taskId")).and_then(Value::as_str).unwrap().to_owned();
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = request(Method::POST, "/mcp", Some(token), Some(&message));
        let headers = request.headers_mut();
        headers.insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
        headers.insert("mcp-method", HeaderValue::from_str(method).unwrap());
        headers.insert("mcp-name", HeaderValue::from_str(&name).unwrap());
        answer(self.router(), request).await.json
    }

    fn program(&self) -> String {
        self.fixture.token(&self.user, Purpose::Gateway)
    }
}

#[test]
fn a_runs_call_that_goes_on_is_made_once_and_its_result_told_when_it_is_there() {
    for is_legacy in [false, true] {
        paused(|outside| async move {
            let (mut test, server) = Test::with_tasks(outside, 2, is_legacy);
            let lease = test.lease().await;
            let waits = test.call(lease, "c1", "wiki_read").await;
            assert_eq!(
                (&waits["kind"], &waits["server"], &waits["title"]),
                (&json!("task"), &json!("wiki"), &json!("read"))
            );
            assert!(waits["started_at"].is_i64(), "{waits}");
            test.wait(lease).await;
            test.about_tasks(ASK_TASKS_PATH, lease).await;
            assert_eq!(server.task.asked.get(), 0, "it is not time yet");
            assert_eq!(test.asked("tools/call"), 1);
            // The next question comes to an instance that knows no tools, as after a while.
            test.memory = Rc::default();
            let forget = Statement::new("forget", "DELETE FROM tool_listings", []);
            test.fixture.another_connection().query(forget).await.unwrap();
            let ask = async || {
                test.let_time_pass().await;
                test.about_tasks(ASK_TASKS_PATH, lease).await;
                test.about_tasks(ASK_TASKS_PATH, lease).await;
            };
            ask().await;
            assert_eq!(test.asked("tools/list"), 0, "only an end is judged by what its tool says of itself");
            ask().await;
            // The older form asks for the result by itself.
            assert_eq!(server.task.asked.get(), 2 + u32::from(is_legacy));
            let ended = test.task(lease).await.unwrap().ended.unwrap();
            assert_eq!((ended.result.as_str(), ended.is_error), ("the report", false));
            assert_eq!(test.asked("tools/call"), 0, "it was made once");
            assert_eq!(test.outcomes().await, [r#"("task")"#, r#"("ok")"#]);
        });
    }
}

/// A run that waits for a task of the wiki, and the wiki while it is away.
async fn away(outside: Surroundings) -> (Test, Lease, ToolServer) {
    let (test, server) = Test::with_tasks(outside, 9, false);
    let lease = test.lease().await;
    test.call(lease, "c1", "wiki_read").await;
    test.wait(lease).await;
    let refused = Some(TransportError::Refused(String::new()));
    test.outside.set("wiki.example.org", ToolServer { fault: refused, ..server.clone() });
    (test, lease, server)
}

#[test]
fn a_server_that_is_away_is_asked_again_until_it_was_silent_for_long_and_need_not_know_the_task_any_more() {
    paused(|outside| async move {
        let (test, lease, _) = away(outside).await;
        let goes_on = async |columns: &str| {
            test.set(columns).await;
            test.about_tasks(ASK_TASKS_PATH, lease).await;
            test.task(lease).await.unwrap().ended.is_none()
        };
        assert!(goes_on("ask_at = 0").await);
        let store = test.fixture.app.store();
        let waiting = store.waiting_tool_tasks(test.user.id, lease.run_id).await.unwrap();
        assert_eq!(waiting[0].message.as_deref(), Some("Its server cannot be asked at the moment."));
        assert!(goes_on("lapses_at = 0, silent_since = NULL").await, "one question in vain is no end");
        assert!(goes_on("lapses_at = 0").await);
        assert!(goes_on("lapses_at = now_ms() + 60000, silent_since = 0").await, "it has to know it");
        assert!(!goes_on("lapses_at = 0").await);
        let ended = test.task(lease).await.unwrap().ended.unwrap();
        assert!(ended.is_error && ended.result.contains("has not answered for a while"), "{ended:?}");
    });
}

#[test]
fn a_task_that_never_ends_is_stopped_after_a_month() {
    paused(|outside| async move {
        let (test, server) = Test::with_tasks(outside, 9, false);
        let lease = test.lease().await;
        test.call(lease, "c1", "wiki_read").await;
        test.wait(lease).await;
        test.set("started_at = started_at - 2592000000").await;
        test.about_tasks(ASK_TASKS_PATH, lease).await;
        let ended = test.task(lease).await.unwrap().ended.unwrap();
        assert!(ended.is_error && ended.result.contains("30 days"), "{ended:?}");
        assert!(server.task.is_stopped.get());
    });
}

#[test]
fn a_server_without_tasks_has_lost_them() {
    paused(|outside| async move {
        let (test, lease, server) = away(outside).await;
        test.outside.set("wiki.example.org", ToolServer { lasts: None, ..server });
        test.let_time_pass().await;
        test.about_tasks(ASK_TASKS_PATH, lease).await;
        let ended = test.task(lease).await.unwrap().ended.unwrap();
        assert!(ended.result.contains("no longer knows the task"), "{ended:?}");
    });
}

#[test]
fn a_host_on_which_the_server_is_not_configured_ends_no_task() {
    paused(|outside| async move {
        let (mut test, lease, _) = away(outside).await;
        test.config.servers = Default::default();
        test.set("lapses_at = now_ms() + 60000").await;
        test.about_tasks(ASK_TASKS_PATH, lease).await;
        assert!(test.task(lease).await.unwrap().ended.is_none());
    });
}

#[test]
fn a_stopped_runs_task_is_stopped_where_it_is_and_a_running_one_is_not() {
    paused(|outside| async move {
        let (test, server) = Test::with_tasks(outside, 9, false);
        let lease = test.lease().await;
        test.call(lease, "c1", "wiki_read").await;
        test.wait(lease).await;
        test.about_tasks(STOP_TASKS_PATH, lease).await;
        assert!(!server.task.is_stopped.get(), "its person has not stopped it");
        test.fixture.app.store().request_cancel(test.user.id, lease.run_id, false).await.unwrap().unwrap();
        test.about_tasks(STOP_TASKS_PATH, lease).await;
        assert!(server.task.is_stopped.get());
        assert!(test.task(lease).await.is_none());
    });
}

#[test]
fn a_server_that_did_not_hear_of_the_stop_is_told_again() {
    paused(|outside| async move {
        let (test, lease, server) = away(outside).await;
        test.fixture.app.store().request_cancel(test.user.id, lease.run_id, false).await.unwrap().unwrap();
        test.about_tasks(STOP_TASKS_PATH, lease).await;
        assert!(test.task(lease).await.is_some(), "it is kept until its server was told");
        test.outside.set("wiki.example.org", server.clone());
        test.about_tasks(STOP_TASKS_PATH, lease).await;
        assert!(server.task.is_stopped.get() && test.task(lease).await.is_none());
    });
}

#[test]
fn the_task_of_a_deleted_conversation_is_stopped_by_whoever_lists_tools_next() {
    paused(|outside| async move {
        let (test, lease, server) = away(outside).await;
        let delete = Statement::new("delete", "DELETE FROM conversations", []);
        test.fixture.another_connection().query(delete).await.unwrap();
        test.outside.set("wiki.example.org", server.clone());
        test.send_as(Some(&test.by_stream()), Method::POST, OFFERS_PATH, None).await;
        while test.task(lease).await.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(server.task.is_stopped.get());
    });
}

#[test]
fn a_call_that_was_stopped_before_its_task_was_kept_leaves_none_behind() {
    paused(|outside| async move {
        let (test, server) = Test::with_tasks(outside, 9, false);
        let lease = test.lease().await;
        let store = test.fixture.app.store();
        let stop = async {
            // The call is on its way.
            tokio::time::sleep(Duration::from_millis(50)).await;
            store.request_cancel(test.user.id, lease.run_id, false).await.unwrap().unwrap();
        };
        test.offers().await;
        test.outside.set("wiki.example.org", ToolServer { takes: Some(Duration::from_millis(500)), ..server.clone() });
        let (called, ()) = tokio::join!(test.call(lease, "c1", "wiki_read"), stop);
        assert_eq!(called["kind"], "lease_lost");
        assert!(server.task.is_stopped.get());
    });
}

#[test]
fn a_program_that_understands_tasks_gets_a_handle_that_is_its_accounts_alone_on_any_host() {
    paused(|outside| async move {
        let (mut test, server) = Test::with_tasks(outside, 2, false);
        let token = test.program();
        let called = test.modern(&token, "tools/call", json!({ "name": "wiki_read" }), true).await;
        let task = &called["result"];
        assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")));
        assert_eq!((&task["ttlMs"], &task["pollIntervalMs"]), (&json!(3_600_000), &json!(1_000)));
        let handle = json!({ "taskId": task["taskId"] });
        assert_ne!(task["taskId"], "t1");
        // Another host knows nothing but the database.
        test.memory = Rc::default();
        let (eve, _) = test.fixture.person("eve@example.org");
        let eve = test.fixture.token(&eve, Purpose::Gateway);
        for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
            let mut params = handle.clone();
            params["inputResponses"] = json!({});
            assert_eq!(test.modern(&eve, method, params.clone(), true).await["error"]["code"], -32602, "{method}");
            assert_eq!(test.modern(&token, method, params, false).await["error"]["code"], -32021, "{method}");
        }
        assert_eq!((server.task.asked.get(), server.task.is_stopped.get()), (0, false));
        let working = test.modern(&token, "tasks/get", handle.clone(), true).await;
        assert_eq!(
            (&working["result"]["status"], &working["result"]["statusMessage"]),
            (&json!("working"), &json!("step 1"))
        );
        let ended = test.modern(&token, "tasks/get", handle.clone(), true).await;
        assert_eq!(ended["result"]["result"]["content"][0]["text"], "the report", "{ended}");
        assert_eq!(ended["result"]["taskId"], handle["taskId"]);
        assert_eq!(test.modern(&token, "tasks/get", handle.clone(), true).await["result"]["status"], "completed");
        let refused = Some(TransportError::Refused(String::new()));
        test.outside.set("wiki.example.org", ToolServer { fault: refused, ..server.clone() });
        let unheard = test.modern(&token, "tasks/cancel", handle.clone(), true).await;
        assert!(unheard["error"]["message"].as_str().unwrap().contains("the task goes on"), "{unheard}");
        test.outside.set("wiki.example.org", server.clone());
        let mut update = handle.clone();
        update["inputResponses"] = json!({ "nothing": {} });
        assert_eq!(test.modern(&token, "tasks/update", update, true).await["result"]["resultType"], "complete");
        assert_eq!(test.modern(&token, "tasks/cancel", handle, true).await["result"]["resultType"], "complete");
        assert!(server.task.is_stopped.get());
        assert_eq!(test.outcomes().await, [r#"("begun")"#, r#"("task")"#], "however often it is asked about");
    });
}

#[test]
fn a_program_that_does_not_say_so_waits_as_long_as_for_any_call() {
    for (lasts, words) in [(3, "the report"), (1_000, "longer than 55 s")] {
        paused(|outside| async move {
            let (test, server) = Test::with_tasks(outside, lasts, false);
            let began = test.outside.now();
            let called = test.modern(&test.program(), "tools/call", json!({ "name": "wiki_read" }), false).await;
            let said = called["result"]["content"][0]["text"].as_str().unwrap();
            assert!(said.contains(words), "{called}");
            assert_eq!(server.task.is_stopped.get(), lasts > 3);
            assert!(test.outside.now() - began < Duration::from_secs(60));
        });
    }
}

#[test]
fn a_program_of_the_older_revision_asks_for_a_task_and_then_for_its_result() {
    paused(|outside| async move {
        let (test, _) = Test::with_tasks(outside, 3, true);
        let token = test.program();
        let listed = test.gateway(&token, "/mcp", "tools/list", json!({})).await.json;
        let tools = listed["result"]["tools"].as_array().unwrap();
        let support = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap()["execution"].clone();
        assert_eq!((support("wiki_read"), support("clock_now")), (json!({ "taskSupport": "optional" }), Value::Null));
        let params = json!({ "name": "wiki_read", "task": { "ttl": 60_000 } });
        let called = test.gateway(&token, "/mcp", "tools/call", params).await.json;
        let handle = json!({ "taskId": called["result"]["task"]["taskId"] });
        let got = test.gateway(&token, "/mcp", "tasks/get", handle.clone()).await.json;
        assert_eq!(got["result"]["status"], "working", "{got}");
        let result = test.gateway(&token, "/mcp", "tasks/result", handle.clone()).await.json;
        assert_eq!(result["result"]["content"][0]["text"], "the report", "it waits for it");
        assert_eq!(test.gateway(&token, "/mcp", "tasks/cancel", handle).await.json["error"]["code"], -32602);
        let refused = test.gateway(&token, "/mcp", "tools/call", json!({ "name": "clock_now", "task": {} })).await.json;
        assert_eq!(refused["error"]["code"], -32601);
        let plain = test.gateway(&token, "/mcp", "tools/call", json!({ "name": "clock_now" })).await.json;
        assert_eq!(plain["result"]["isError"], false);
    });
}

#[test]
fn no_component_of_ours_is_told_that_tasks_are_understood() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let told = test.call(test.lease().await, "c1", "clock_now").await;
        let content = told["content"].as_str().unwrap();
        assert!(content.contains("clientCapabilities") && !content.contains(EXTENSION), "{content}");
    });
}
