//! The suite's tools whose calls go on as tasks, for a process that outlives its requests: a component does not, so it does not offer them.
//!
//! Nobody works on a task here. What has become of one is reckoned when it is asked about, from when it was made and what was said to it since.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use mcp::{
    Answer, Completion, CompletionRequest, Context, Description, Failure, InputNeeded, Map, Outcome, PromptContent,
    Provider, Reply, ResourceContents, Task, TaskState, TaskSupport, Tool, ToolCall, ToolExecution,
};
use serde_json::{Value, json, value::to_raw_value};

use crate::Fixture;

/// As the suite names them, with what each is for.
const TOOLS: [(&str, &str, TaskSupport); 7] = [
    ("greet", "Greets", TaskSupport::Forbidden),
    ("slow_compute", "Takes some seconds", TaskSupport::Optional),
    ("failing_job", "Fails", TaskSupport::Required),
    ("protocol_error_job", "Fails otherwise than tools fail", TaskSupport::Optional),
    ("confirm_delete", "Asks for a yes", TaskSupport::Optional),
    ("multi_input", "Asks for two things at once", TaskSupport::Optional),
    ("test_tool_with_task", "Asks first and then works", TaskSupport::Required),
];

/// A time for tasks to be made at: nobody compares it with a clock.
const SOME_TIME: &str = "2026-07-28T12:00:00Z";
const TTL: Duration = Duration::from_secs(600);
/// How often the suite looks.
const POLL: Duration = Duration::from_millis(200);
/// How long a job takes that is not told how long.
const JOB: Duration = Duration::from_secs(1);

/// The suite's server with tasks, natively.
#[derive(Default, Debug)]
pub struct TaskFixture {
    jobs: RefCell<BTreeMap<String, Job>>,
}

#[derive(Clone, Debug)]
struct Job {
    begun: Instant,
    takes: Duration,
    /// What is still to be answered.
    asks: Map,
    end: TaskState,
    cancelled: bool,
}

impl Job {
    fn task(&self, id: &str) -> Task {
        let state = match () {
            () if self.cancelled => TaskState::Cancelled,
            () if !self.asks.is_empty() => TaskState::InputRequired(self.asks.clone()),
            () if self.begun.elapsed() < self.takes => TaskState::Working,
            () => self.end.clone(),
        };
        let time = SOME_TIME.to_owned();
        let message = (state == TaskState::Working).then(|| "Working on it".to_owned());
        Task {
            id: id.to_owned(),
            state,
            message,
            created_at: time.clone(),
            updated_at: time,
            ttl: Some(TTL),
            poll: POLL,
            session: None,
        }
    }
}

fn question(message: &str, field: &str) -> Value {
    let schema = json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]});
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}})
}

fn text(arguments: &Map, name: &str) -> String {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl TaskFixture {
    fn begin(&self, takes: Duration, asks: Map, end: TaskState) -> Reply {
        let mut jobs = self.jobs.borrow_mut();
        let id = format!("task-{}", jobs.len());
        let job = Job { begun: Instant::now(), takes, asks, end, cancelled: false };
        let task = job.task(&id);
        jobs.insert(id, job);
        // What is asked, is asked when the task is asked about.
        Reply::Task(Task { state: TaskState::Working, ..task })
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Job)) -> Result<(), Failure> {
        let mut jobs = self.jobs.borrow_mut();
        let job = jobs.get_mut(id).ok_or_else(|| Failure::Unknown(id.to_owned()))?;
        if !job.task(id).state.has_ended() {
            change(job);
        }
        Ok(())
    }
}

impl Provider for TaskFixture {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        let mut description = Rc::unwrap_or_clone(Fixture.describe().await?);
        description.has_tasks = true;
        let tool = |(name, what, task_support): (&str, &str, _)| {
            Some(Tool {
                name: name.to_owned(),
                title: None,
                description: Some(what.to_owned()),
                input_schema: to_raw_value(&json!({"type": "object"})).ok()?,
                output_schema: None,
                annotations: mcp::Annotations::default(),
                execution: ToolExecution { task_support },
                meta: None,
            })
        };
        description.tools.extend(TOOLS.into_iter().filter_map(tool));
        Ok(Rc::new(description))
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        let Some((name, _, support)) = TOOLS.into_iter().find(|(name, ..)| *name == call.name) else {
            return Fixture.call_tool(call).await;
        };
        let arguments: Map =
            serde_json::from_str(call.arguments.get()).map_err(|error| Failure::InvalidArguments(error.to_string()))?;
        let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or_default();
        let takes = Duration::try_from_secs_f64(seconds).unwrap_or(JOB);
        let done = |words: &str| TaskState::Completed(Outcome::text(words));
        if name == "greet" {
            return Ok(Reply::Done(Outcome::text(format!("Hello, {}!", text(&arguments, "name")))));
        }
        if !call.context.takes_task {
            return match support {
                TaskSupport::Required => Err(Failure::OnlyAsTask),
                _ if takes.is_zero() => Ok(Reply::Done(Outcome::text("done at once"))),
                // It would take longer than its request.
                _ => Err(Failure::OnlyAsTask),
            };
        }
        Ok(match name {
            "slow_compute" => self.begin(takes, Map::new(), done("computed")),
            "failing_job" => self.begin(JOB, Map::new(), TaskState::Completed(Outcome::error("the job failed"))),
            "protocol_error_job" => {
                self.begin(JOB, Map::new(), TaskState::Failed { code: -32603, message: "it broke".to_owned() })
            }
            "confirm_delete" => {
                let asks = Map::from_iter([("confirm".to_owned(), question("Delete it?", "confirm"))]);
                self.begin(Duration::ZERO, asks, done("deleted"))
            }
            "multi_input" => {
                let asks = [("first", "One?"), ("second", "Two?")];
                let asks = asks.map(|(key, words)| (key.to_owned(), question(words, key)));
                self.begin(Duration::ZERO, Map::from_iter(asks), done("both are known"))
            }
            _ => match call.context.input_responses.get("user_name") {
                None => {
                    let requests = Map::from_iter([("user_name".to_owned(), question("What is your name?", "name"))]);
                    Reply::NeedsInput(InputNeeded { requests, state: None })
                }
                Some(response) => {
                    let name = response.get("content").and_then(|content| content.get("name"));
                    let name = name.and_then(Value::as_str).unwrap_or("nobody");
                    self.begin(JOB, Map::new(), done(&format!("Hello, {name}!")))
                }
            },
        })
    }

    async fn task(&self, id: &str) -> Result<Task, Failure> {
        self.jobs.borrow().get(id).map(|job| job.task(id)).ok_or_else(|| Failure::Unknown(id.to_owned()))
    }

    async fn update_task(&self, id: &str, responses: Map) -> Result<(), Failure> {
        self.change(id, |job| job.asks.retain(|key, _| !responses.contains_key(key)))
    }

    async fn cancel_task(&self, id: &str) -> Result<(), Failure> {
        self.change(id, |job| job.cancelled = true)
    }

    async fn read_resource(&self, uri: &str, context: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        Fixture.read_resource(uri, context).await
    }

    async fn get_prompt(&self, name: &str, arguments: Map, context: Context) -> Result<Answer<PromptContent>, Failure> {
        Fixture.get_prompt(name, arguments, context).await
    }

    async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        Fixture.complete(request).await
    }
}
