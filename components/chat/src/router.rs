//! All routes of this component.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, patch, post},
};
use domain::Id;
use http::Method;
use storage::{Database, StorageError, Store};
use web::{App, Authenticator};

use crate::{assistants, config::Config, conversations, memories, messages, runs, usage};

pub(crate) struct Chat<D> {
    app: App<D>,
    pub(crate) config: Arc<Config>,
    pub(crate) stop_tasks: StopTasks<D>,
}

/// Stops tasks at their servers, for a person: those of the run, and others that are to be stopped.
pub(crate) type StopTasks<D> = fn(app: &App<D>, user_id: Id, run_id: Option<Id>);

impl<D> Clone for Chat<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: Arc::clone(&self.config), stop_tasks: self.stop_tasks }
    }
}

impl<D: Database> Chat<D> {
    /// Stops tasks at their servers, while nobody waits for it.
    pub(crate) fn stop_tasks(&self, user_id: Id, run_id: Option<Id>) {
        (self.stop_tasks)(&self.app, user_id, run_id);
    }

    pub(crate) fn store(&self) -> &Store<D> {
        self.app.store()
    }

    /// Whether anybody has a budget.
    pub(crate) async fn has_budgets(&self) -> Result<bool, StorageError> {
        self.app.has_budgets().await
    }

    /// Whether a rule deletes conversations.
    pub(crate) async fn has_retention_rules(&self) -> Result<bool, StorageError> {
        self.app.has_retention_rules().await
    }
}

impl<D: Database> Authenticator for Chat<D> {
    type Database = D;

    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Arc<Config>, stop_tasks: StopTasks<D>) -> Router {
    Router::new()
        .route("/api/conversations", get(conversations::list::<D>).post(conversations::create::<D>))
        .route(
            "/api/conversations/{id}",
            get(conversations::read::<D>).patch(conversations::update::<D>).delete(conversations::delete::<D>),
        )
        .route("/api/conversations/{id}/messages", get(messages::list::<D>).post(messages::send::<D>))
        .route("/api/assistants", get(assistants::list::<D>).post(assistants::create::<D>))
        .route(
            "/api/assistants/{id}",
            get(assistants::read::<D>).patch(assistants::update::<D>).delete(assistants::delete::<D>),
        )
        .route("/api/memories", get(memories::list::<D>).patch(memories::switch::<D>).delete(memories::delete_all::<D>))
        .route("/api/memories/{id}", patch(memories::update::<D>).delete(memories::delete::<D>))
        .route("/api/groups", get(assistants::list_groups::<D>))
        .route("/api/usage", get(usage::read::<D>))
        .route("/api/runs/{id}", get(runs::read::<D>))
        .route("/api/runs/{id}/approvals", post(runs::decide::<D>))
        .route("/api/runs/{id}/cancel", post(runs::cancel::<D>))
        .route("/api/runs/{id}/retry", post(runs::retry::<D>))
        .with_state(Chat { app, config, stop_tasks })
}

#[cfg(test)]
mod assistant_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod openapi_tests;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod settings_tests;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use domain::{Id, RunState};
    use futures::executor::block_on;
    use http::{Method, Request, StatusCode};
    use router_test::{Answer, Fixture, request, send};
    use serde_json::{Value, json};
    use storage::{
        approvals::Question,
        runs::{Batch, Ending, Lease},
        tool_tasks::{NewTask, Said},
    };

    use web::limits::Rates;

    use super::*;

    thread_local! {
        /// The runs whose tasks were to be stopped; `None`: those of deleted runs.
        static STOPPED: RefCell<Vec<Option<Id>>> = const { RefCell::new(Vec::new()) };
    }

    /// Of an installation with the model `m` and these others.
    pub(super) fn config(others: &str) -> Config {
        let standard = models::Provider::standard("https://own.example/v1", "", "m", others);
        let (more, rates, pricing) = (Vec::new(), Rates::default(), models::Pricing::default());
        Config { default_model: "m".into(), standard, more, has_more: false, rates, pricing }
    }

    pub(super) struct Test {
        pub(super) fixture: Fixture,
        pub(super) user_id: Id,
        pub(super) token: String,
    }

    impl Test {
        pub(super) fn new() -> Self {
            let fixture = Fixture::default();
            let (user, token) = fixture.person("ada@example.org");
            Self { fixture, user_id: user.id, token }
        }

        pub(super) fn router(&self) -> Router {
            router(self.fixture.app.clone(), Arc::new(config("other*")), |_, _, run_id| {
                STOPPED.with_borrow_mut(|stopped| stopped.push(run_id))
            })
        }

        pub(super) fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
            send(self.router(), request(method, path, Some(&self.token), body.as_ref()))
        }

        pub(super) fn conversation(&self) -> String {
            let made = self.send(Method::POST, "/api/conversations", Some(json!({})));
            assert_eq!(made.status, StatusCode::CREATED);
            made.json["id"].as_str().unwrap().to_owned()
        }

        /// The path of a run that waits for decisions about calls, each open for this many milliseconds. The tool of a call named `pay` always asks;
        /// a call named `task` goes on at its server instead.
        fn waiting_run(&self, calls: &[(&str, i64)]) -> String {
            let path = format!("/api/conversations/{}/messages", self.conversation());
            let sent = self.send(Method::POST, &path, Some(json!({"content": "hello"}))).json;
            let run_id: Id = sent["run"]["id"].as_str().unwrap().parse().unwrap();
            let (store, lease) = (self.fixture.app.store(), Lease { run_id, owner: Id::new() });
            block_on(async {
                store.claim(lease, 60_000, "").await.unwrap().unwrap();
                for (call_id, lifetime_ms) in calls {
                    if *call_id == "task" {
                        let said = Said { message: None, poll_ms: 0, lifetime_ms: 60_000 };
                        let (name, title, server, tool, task_id) = ("lab_report", "Report", "lab", "report", "t1");
                        let task = NewTask { call_id, name, title, server, tool, task_id, session: None, said };
                        store.keep_tool_task(lease, self.user_id, task).await.unwrap().unwrap();
                        continue;
                    }
                    let always_asks = *call_id == "pay";
                    let question = Question { call_id, server: "mail", tool: "send", always_asks };
                    store.ask_approval(lease, self.user_id, question, *lifetime_ms).await.unwrap().unwrap();
                }
                let (state, batch) = (RunState::AwaitingApproval, Batch::default());
                let ending = Ending { state, failure: None, usage: None, message: None, batch };
                assert!(store.finish_run(lease, &ending).await.unwrap());
            });
            format!("/api/runs/{run_id}")
        }

        fn decide(&self, run: &str, call_id: &str, decision: &str) -> Answer {
            let body = json!({"call_id": call_id, "decision": decision});
            self.send(Method::POST, &format!("{run}/approvals"), Some(body))
        }
    }

    pub(super) fn code(answer: &Answer) -> (u16, &str) {
        (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
    }

    #[test]
    fn nothing_is_answered_without_a_valid_token() {
        let test = Test::new();
        for token in [None, Some("rubbish"), Some("a.b.c")] {
            let answer = send(test.router(), request(Method::GET, "/api/conversations", token, None));
            assert_eq!(code(&answer), (401, "unauthenticated"));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }

    #[test]
    fn a_list_is_not_taken_for_the_fields_of_a_body() {
        let test = Test::new();
        let path = format!("/api/conversations/{}", test.conversation());
        assert_eq!(code(&test.send(Method::PATCH, &path, Some(json!(["Plans", null])))), (400, "invalid_json"));
        assert_eq!(test.send(Method::GET, &path, None).json["title"], "");
    }

    #[test]
    fn a_conversation_can_be_made_changed_listed_and_deleted() {
        let test = Test::new();
        let path = format!("/api/conversations/{}", test.conversation());
        let changed = test.send(Method::PATCH, &path, Some(json!({"title": " Plans ", "model": "other-1"})));
        assert_eq!((&changed.json["title"], &changed.json["model"]), (&json!("Plans"), &json!("other-1")));
        let list = test.send(Method::GET, "/api/conversations", None).json;
        assert_eq!((list["items"].as_array().unwrap().len(), &list["next_cursor"]), (1, &Value::Null));
        assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
        assert_eq!(code(&test.send(Method::GET, &path, None)), (404, "not_found"));
    }

    #[test]
    fn a_message_is_stored_with_its_run_once_for_each_key() {
        let test = Test::new();
        let path = format!("/api/conversations/{}/messages", test.conversation());
        let send_with_key = || {
            let body = json!({"content": "hello"});
            let mut request = request(Method::POST, &path, Some(&test.token), Some(&body));
            request.headers_mut().insert("idempotency-key", http::HeaderValue::from_static("k1"));
            send(test.router(), request)
        };
        let (first, again) = (send_with_key(), send_with_key());
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
        assert_eq!(first.json, again.json);
        let run = &first.json["run"];
        assert_eq!(run["events_url"], format!("/api/runs/{}/events", run["id"].as_str().unwrap()));
        let other = test.send(Method::POST, &path, Some(json!({"content": "more"})));
        assert_eq!(code(&other), (409, "run_active"));
    }

    #[test]
    fn cancelling_a_run_that_nobody_executes_ends_it_at_once() {
        let test = Test::new();
        let path = format!("/api/conversations/{}/messages", test.conversation());
        let sent = test.send(Method::POST, &path, Some(json!({"content": "hello"}))).json;
        let run = format!("/api/runs/{}", sent["run"]["id"].as_str().unwrap());
        let cancelled = test.send(Method::POST, &format!("{run}/cancel"), None);
        assert_eq!((cancelled.status.as_u16(), &cancelled.json["state"]), (202, &json!("cancelled")));
        let retried = test.send(Method::POST, &format!("{run}/retry"), None);
        assert_eq!((retried.status.as_u16(), &retried.json["run"]["state"]), (201, &json!("queued")));
        assert_eq!(code(&test.send(Method::POST, &format!("{run}/retry"), None)), (409, "run_active"));
    }

    #[test]
    fn a_run_whose_executor_does_not_end_it_is_ended_at_once_if_the_person_wants_that() {
        let test = Test::new();
        let path = format!("/api/conversations/{}/messages", test.conversation());
        let sent = test.send(Method::POST, &path, Some(json!({"content": "hello"}))).json;
        let run_id: Id = sent["run"]["id"].as_str().unwrap().parse().unwrap();
        let (store, lease) = (test.fixture.app.store(), Lease { run_id, owner: Id::new() });
        block_on(store.claim(lease, 60_000, "")).unwrap().unwrap();
        let cancel = |query: &str| test.send(Method::POST, &format!("/api/runs/{run_id}/cancel{query}"), None);
        for _ in 0..2 {
            let asked = cancel("");
            assert_eq!((asked.status.as_u16(), &asked.json["state"]), (202, &json!("processing")));
        }
        let second = cancel("?at_once=true");
        assert_eq!((second.status.as_u16(), &second.json["state"]), (202, &json!("cancelled")));
        let (state, batch) = (RunState::Complete, Batch::default());
        let ending = Ending { state, failure: None, usage: None, message: None, batch };
        assert!(!block_on(store.finish_run(lease, &ending)).unwrap(), "its executor can write nothing more");
        assert_eq!(cancel("?at_once=true").json["state"], "cancelled");
    }

    #[test]
    fn a_call_is_decided_about_once() {
        let test = Test::new();
        let run = test.waiting_run(&[("c1", 60_000), ("c2", 60_000), ("late", -1)]);
        let decided = test.decide(&run, "c1", "allow_once");
        assert_eq!(decided.status, StatusCode::OK);
        assert_eq!((&decided.json["call_id"], &decided.json["decision"]), (&json!("c1"), &json!("allow_once")));
        assert_eq!(decided.json["run"]["state"], "awaiting_approval");
        assert_eq!(test.decide(&run, "c1", "allow_once").json, decided.json, "sent again");
        assert_eq!(code(&test.decide(&run, "c1", "deny")), (409, "already_decided"));
        assert_eq!(code(&test.decide(&run, "late", "deny")), (409, "approval_expired"));
        assert_eq!(code(&test.decide(&run, "c3", "deny")), (404, "not_found"));
        let wrong = test.decide(&run, "c2", "allow");
        assert_eq!((code(&wrong), &wrong.json["field"]), ((422, "invalid_field"), &json!("decision")));
        assert_eq!(code(&test.decide(&format!("/api/runs/{}", Id::new()), "c1", "deny")), (404, "not_found"));
        assert_eq!(test.decide(&run, "c2", "allow_always").status, StatusCode::OK);
        let policies = block_on(test.fixture.app.store().tool_policies(test.user_id)).unwrap();
        assert_eq!((policies.len(), policies[0].pattern.as_str()), (1, "mail:send"));
    }

    #[test]
    fn who_may_not_set_policies_decides_about_one_call_at_a_time() {
        let mut test = Test::new();
        let (user, token) = test.fixture.person_with("program@example.org", "service");
        (test.user_id, test.token) = (user.id, token);
        let run = test.waiting_run(&[("c1", 60_000)]);
        let refused = test.decide(&run, "c1", "allow_always");
        assert_eq!((code(&refused), &refused.json["permission"]), ((403, "forbidden"), &json!("tools:manage")));
        assert_eq!(test.decide(&run, "c1", "allow_once").status, StatusCode::OK);
    }

    #[test]
    fn what_always_asks_is_allowed_once_or_not_at_all() {
        let test = Test::new();
        let run = test.waiting_run(&[("pay", 60_000)]);
        let refused = test.decide(&run, "pay", "allow_always");
        assert_eq!(code(&refused), (409, "always_asks"));
        assert!(refused.json["detail"].as_str().unwrap().contains("allow_once or deny"), "{}", refused.json);
        assert_eq!(block_on(test.fixture.app.store().tool_policies(test.user_id)).unwrap(), []);
        assert_eq!(test.decide(&run, "pay", "allow_once").status, StatusCode::OK, "it was still open");
        assert_eq!(code(&test.decide(&run, "pay", "allow_always")), (409, "already_decided"));
        let late = test.waiting_run(&[("pay", -1)]);
        assert_eq!(code(&test.decide(&late, "pay", "allow_always")), (409, "approval_expired"));
    }

    #[test]
    fn nobody_decides_for_somebody_else() {
        let test = Test::new();
        let run = test.waiting_run(&[("c1", 60_000)]);
        let (_, token) = test.fixture.person("eve@example.org");
        let body = json!({"call_id": "c1", "decision": "allow_once"});
        let request = request(Method::POST, &format!("{run}/approvals"), Some(&token), Some(&body));
        assert_eq!(code(&send(test.router(), request)), (404, "not_found"));
        assert_eq!(test.decide(&run, "c1", "deny").status, StatusCode::OK);
    }

    #[test]
    fn a_run_that_waits_is_stopped_at_once_and_then_it_is_too_late_to_decide() {
        let test = Test::new();
        let run = test.waiting_run(&[("c1", 60_000)]);
        let cancelled = test.send(Method::POST, &format!("{run}/cancel"), None);
        assert_eq!((cancelled.status.as_u16(), &cancelled.json["state"]), (202, &json!("cancelled")));
        assert_eq!(code(&test.decide(&run, "c1", "allow_always")), (409, "approval_expired"));
        let retried = test.send(Method::POST, &format!("{run}/retry"), None);
        assert_eq!((retried.status.as_u16(), &retried.json["run"]["state"]), (201, &json!("queued")));
    }

    #[test]
    fn a_run_that_waits_for_a_task_is_stopped_at_once_and_so_is_the_task_elsewhere() {
        let test = Test::new();
        let run = test.waiting_run(&[]);
        test.send(Method::POST, &format!("{run}/cancel"), None);
        assert!(STOPPED.take().is_empty(), "it had none");
        let run = test.waiting_run(&["task"].map(|call_id| (call_id, -1)));
        assert_eq!(test.send(Method::GET, &run, None).json["state"], "awaiting_task");
        let cancelled = test.send(Method::POST, &format!("{run}/cancel"), None);
        assert_eq!((cancelled.status.as_u16(), &cancelled.json["state"]), (202, &json!("cancelled")));
        test.send(Method::POST, &format!("{run}/cancel"), None);
        let stopped: Vec<_> = STOPPED.take().iter().map(|id| format!("/api/runs/{}", id.unwrap())).collect();
        assert_eq!(stopped, [run.clone(), run], "a second request is a second attempt");
    }

    #[test]
    fn a_stopped_run_keeps_the_result_of_a_task_that_has_ended() {
        let test = Test::new();
        let run = test.waiting_run(&[("task", -1)]);
        let run_id: Id = run.rsplit('/').next().unwrap().parse().unwrap();
        let store = test.fixture.app.store();
        assert!(block_on(store.end_tool_task(test.user_id, run_id, "task", "the report", false)).unwrap());
        let cancelled = test.send(Method::POST, &format!("{run}/cancel"), None).json;
        assert_eq!(cancelled["state"], "cancelled");
        let path = format!("/api/conversations/{}/messages", cancelled["conversation_id"].as_str().unwrap());
        let messages = test.send(Method::GET, &path, None).json;
        let last = messages["items"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["role"], &last["content"]), (&json!("tool"), &json!("the report")), "{messages}");
    }

    #[test]
    fn the_tasks_of_a_deleted_conversation_are_to_be_stopped() {
        let test = Test::new();
        let run = test.waiting_run(&[("task", -1)]);
        let run = test.send(Method::GET, &run, None).json;
        let path = format!("/api/conversations/{}", run["conversation_id"].as_str().unwrap());
        assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
        assert_eq!(STOPPED.take(), [None]);
        let taken = block_on(test.fixture.app.store().take_stopped_tool_tasks(None, 60_000)).unwrap();
        assert_eq!(taken.len(), 1, "its server can still be told");
        let path = format!("/api/conversations/{}", test.conversation());
        assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
        assert!(STOPPED.take().is_empty(), "it had none");
    }

    #[test]
    fn messages_come_oldest_first_or_newest_first_page_by_page() {
        let test = Test::new();
        let path = format!("/api/conversations/{}/messages", test.conversation());
        for content in ["one", "two", "three"] {
            let sent = test.send(Method::POST, &path, Some(json!({"content": content}))).json;
            test.send(Method::POST, &format!("/api/runs/{}/cancel", sent["run"]["id"].as_str().unwrap()), None);
        }
        let contents = |order: &str| {
            let (mut contents, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = test.send(Method::GET, &format!("{path}?limit=2{order}{cursor}"), None).json;
                contents.extend(page["items"].as_array().unwrap().iter().map(|item| item["content"].clone()));
                let Some(next) = page["next_cursor"].as_str() else { return contents };
                cursor = format!("&cursor={next}");
            }
        };
        assert_eq!(contents(""), ["one", "two", "three"]);
        assert_eq!(contents("&order=asc"), ["one", "two", "three"]);
        assert_eq!(contents("&order=desc"), ["three", "two", "one"]);
    }

    #[test]
    fn what_cannot_be_taken_is_answered_in_words() {
        let test = Test::new();
        let messages = format!("/api/conversations/{}/messages", test.conversation());
        let raw = |content_type: &str, body: String| {
            let request = Request::post(&messages)
                .header("authorization", format!("Bearer {}", test.token))
                .header("content-type", content_type)
                .body(body.into())
                .unwrap();
            send(test.router(), request)
        };
        let long = json!({"content": "x".repeat(1024 * 1024 + 1)}).to_string();
        assert_eq!(code(&raw("text/plain", "{}".into())), (415, "unsupported_media_type"));
        assert_eq!(code(&raw("application/json", "{".into())), (400, "invalid_json"));
        assert_eq!(code(&raw("application/json", "{}".into())), (400, "invalid_json"));
        assert_eq!(code(&raw("application/json", long)), (413, "too_large"));
        assert_eq!(code(&raw("application/json", "x".repeat(8 * 1024 * 1024))), (413, "too_large"));
        assert_eq!(code(&raw("application/json", json!({"content": "  "}).to_string())), (422, "invalid_field"));
        for path in [
            "/api/conversations?limit=0",
            "/api/conversations?limit=x",
            "/api/conversations?cursor=x",
            &format!("{messages}?order=x"),
        ] {
            assert_eq!(test.send(Method::GET, path, None).status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        }
        for path in ["/api/nothing", "/api/conversations/no-id", "/api/runs/1"] {
            assert_eq!(code(&test.send(Method::GET, path, None)), (404, "not_found"), "{path}");
        }
        let wrong_method = test.send(Method::PUT, "/api/conversations", None);
        assert_eq!(code(&wrong_method), (405, "method_not_allowed"));
        assert_eq!(wrong_method.headers["allow"], "GET,HEAD,POST");
    }
}

#[cfg(test)]
mod permission_tests;
