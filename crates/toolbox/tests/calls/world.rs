//! A scripted world, which records what it was asked.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    task::Poll,
    time::Duration,
};

use futures::{
    executor::block_on,
    future::{pending, poll_fn},
};
use mcp::{FailureKind, Task, TaskState};
use permissions::Roles;
use toolbox::{
    Approval, AuditCode, AuditEntry, CallFailure, Called, Catalog, Chosen, Effect, Execution, KnownTool, Outcome,
    Permission, Policy, Reached, Started, World, execute, text_for_model,
};

/// The error of the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoreFailed;

/// The behaviour of the tool.
pub(crate) enum Tools {
    Answer(Outcome),
    /// Answers with a failure of this kind.
    Say(FailureKind),
    Fail(CallFailure),
    Hang,
    /// Becomes a task, which has these states when it is asked about; the last state stays.
    GoOn(Vec<TaskState>),
}

pub(crate) struct Scripted {
    pub(crate) tools: Tools,
    pub(crate) installation: Vec<(&'static str, Effect)>,
    pub(crate) user: Vec<(&'static str, Effect)>,
    pub(crate) approval: Approval,
    pub(crate) can_ask: bool,
    pub(crate) can_wait: bool,
    pub(crate) rate: Result<(), u64>,
    pub(crate) started: Started,
    pub(crate) begun: bool,
    pub(crate) has_read_private: bool,
    pub(crate) has_read_others: bool,
    /// The role of the caller.
    pub(crate) role: &'static str,
    /// A pattern of the tools that the conversation uses.
    pub(crate) chosen: Option<&'static str>,
    /// Whether nobody is there who could approve a call of the conversation.
    pub(crate) unattended: bool,
    /// The setting that the tool lacks.
    pub(crate) missing: Option<&'static str>,
    /// The texts of the person.
    pub(crate) written: Vec<&'static str>,
    pub(crate) audit_fails: bool,
    pub(crate) permission_fails: bool,
    /// The steps of the call, in order.
    pub(crate) steps: RefCell<Vec<&'static str>>,
    pub(crate) audited: RefCell<Vec<AuditEntry>>,
    pub(crate) called_with: RefCell<Vec<String>>,
    pub(crate) slept: Cell<Duration>,
    pub(crate) now: Cell<Duration>,
    pub(crate) lost_when_kept: Cell<bool>,
    pub(crate) keeping_fails: bool,
    /// The state of a new task.
    pub(crate) begins: TaskState,
    pub(crate) poll: Duration,
    /// How many requests about a task its server leaves unanswered.
    pub(crate) unanswered: Cell<usize>,
    /// How often the task was asked about.
    pub(crate) asked: Cell<usize>,
    pub(crate) kept: RefCell<HashMap<String, Outcome>>,
}

/// A world without failures and policies.
pub(crate) fn world() -> Scripted {
    Scripted {
        tools: Tools::Answer(answer("done")),
        installation: Vec::new(),
        user: Vec::new(),
        approval: Approval::None,
        can_ask: true,
        can_wait: true,
        rate: Ok(()),
        started: Started::First,
        begun: false,
        has_read_private: false,
        has_read_others: false,
        role: "member",
        chosen: None,
        unattended: false,
        missing: None,
        written: Vec::new(),
        audit_fails: false,
        permission_fails: false,
        steps: RefCell::default(),
        audited: RefCell::default(),
        called_with: RefCell::default(),
        slept: Cell::default(),
        now: Cell::default(),
        lost_when_kept: Cell::default(),
        keeping_fails: false,
        begins: TaskState::Working,
        poll: mcp::DEFAULT_POLL,
        unanswered: Cell::default(),
        asked: Cell::default(),
        kept: RefCell::default(),
    }
}

pub(crate) fn answer(text: &str) -> Outcome {
    Outcome::text(text)
}

fn task(state: TaskState, poll: Duration) -> Task {
    let (created_at, updated_at) = (String::new(), String::new());
    let (id, ttl) = ("t1".to_owned(), None);
    Task { id, state, message: None, created_at, updated_at, ttl, poll, session: None }
}

impl Scripted {
    /// Makes a call in this world.
    pub(crate) fn execute(&self, tool: &KnownTool, arguments: &str) -> Execution {
        let name = toolbox::catalog::model_name(&tool.server, &tool.name);
        self.try_execute(tool, &name, arguments).unwrap()
    }

    pub(crate) fn try_execute(&self, tool: &KnownTool, name: &str, arguments: &str) -> Result<Execution, StoreFailed> {
        let catalog = Catalog::new(vec![(tool.server.clone(), vec![tool.clone()])]);
        block_on(execute(self, &catalog, name, arguments))
    }

    /// Makes a call. Returns the text that the model reads, the code, and whether it is an error.
    pub(crate) fn words(&self, tool: &KnownTool, arguments: &str) -> (String, AuditCode, bool) {
        match self.execute(tool, arguments) {
            Execution::Result { outcome, code } => (text_for_model(&outcome), code, outcome.is_error),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn codes(&self) -> Vec<AuditCode> {
        self.audited.borrow().iter().map(|entry| entry.code).collect()
    }

    pub(crate) fn steps(&self) -> Vec<&'static str> {
        self.steps.take()
    }

    fn step(&self, step: &'static str) {
        self.steps.borrow_mut().push(step);
    }
}

fn policies(written: &[(&str, Effect)]) -> Vec<Policy> {
    written.iter().map(|(pattern, effect)| Policy::parse(pattern, *effect).unwrap()).collect()
}

impl World for Scripted {
    type Error = StoreFailed;

    async fn permission(&self, _: &KnownTool) -> Result<Permission, StoreFailed> {
        self.step("permission");
        if self.permission_fails {
            return Err(StoreFailed);
        }
        let (installation, user) = (policies(&self.installation), policies(&self.user));
        let access = Roles::default().access([self.role]);
        let chosen = self.chosen.map(|pattern| vec![pattern.to_owned()]);
        let chosen = Chosen::parse(chosen.as_deref());
        Ok(Permission { access, chosen, unattended: self.unattended, installation, user, approval: self.approval })
    }

    async fn is_set_up(&self, _: &KnownTool) -> Result<(), CallFailure> {
        self.missing.map_or(Ok(()), |words| Err(CallFailure::NotConfigured(words.to_owned())))
    }

    async fn ask_approval(&self, _: &KnownTool) -> Result<Option<i64>, StoreFailed> {
        self.step("ask");
        Ok((self.started != Started::LeaseLost).then_some(1_000))
    }

    async fn take_rate(&self, _: &KnownTool) -> Result<Result<(), u64>, StoreFailed> {
        self.step("rate");
        Ok(self.rate)
    }

    async fn cached(&self, key: &str) -> Option<Outcome> {
        self.step("cached");
        self.kept.borrow().get(key).cloned()
    }

    async fn cache(&self, key: &str, outcome: &Outcome, ttl_ms: u64) {
        assert!(ttl_ms > 0);
        self.step("cache");
        self.kept.borrow_mut().insert(key.to_owned(), outcome.clone());
    }

    async fn start(&self) -> Result<Started, StoreFailed> {
        self.step("start");
        Ok(self.started)
    }

    async fn call(&self, _: &KnownTool, arguments: &str) -> Result<Reached, CallFailure> {
        self.step("call");
        self.called_with.borrow_mut().push(arguments.to_owned());
        match &self.tools {
            Tools::Answer(outcome) => Ok(Called::from(outcome.clone()).into()),
            Tools::Say(failure) => Ok(Called { outcome: Outcome::error("no"), failure: Some(*failure) }.into()),
            Tools::GoOn(_) => Ok(Reached::Task(Box::new(task(self.begins.clone(), self.poll)))),
            Tools::Fail(failure) => Err(failure.clone()),
            Tools::Hang => pending().await,
        }
    }

    async fn keep_task(&self, _: &KnownTool, task: &Task) -> Result<Option<i64>, StoreFailed> {
        self.step("keep");
        assert_eq!(task.id, "t1");
        if self.keeping_fails { Err(StoreFailed) } else { Ok((!self.lost_when_kept.get()).then_some(1_000)) }
    }

    async fn task(&self, _: &KnownTool, made: &Task) -> Result<Task, CallFailure> {
        self.step("task");
        assert_eq!(made.id, "t1");
        let Tools::GoOn(states) = &self.tools else { panic!("there is no task") };
        if self.unanswered.get() > 0 {
            self.unanswered.set(self.unanswered.get() - 1);
            return Err(CallFailure::Unreachable("refused".to_owned()));
        }
        let asked = self.asked.replace(self.asked.get() + 1);
        Ok(task(states.get(asked).or(states.last()).cloned().unwrap_or(TaskState::Working), self.poll))
    }

    async fn cancel_task(&self, _: &KnownTool, made: &Task) {
        assert_eq!(made.id, "t1");
        self.step("cancel");
    }

    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreFailed> {
        self.step("audit");
        self.audited.borrow_mut().push(entry);
        if self.audit_fails { Err(StoreFailed) } else { Ok(()) }
    }

    /// Without a task, the time is over at once. With a task, each poll of a timer takes one second.
    async fn sleep(&self, duration: Duration) {
        self.slept.set(duration);
        let Tools::GoOn(_) = self.tools else { return };
        let until = self.now.get() + duration;
        poll_fn(|context| {
            if self.now.get() >= until {
                return Poll::Ready(());
            }
            self.now.set(self.now.get() + Duration::from_secs(1));
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn begun(&self) -> bool {
        self.begun
    }

    fn can_ask(&self) -> bool {
        self.can_ask
    }

    fn can_wait(&self) -> bool {
        self.can_wait
    }

    fn has_read_private(&self) -> bool {
        self.has_read_private
    }

    fn has_read_others(&self) -> bool {
        self.has_read_others
    }

    async fn written_by_person(&self) -> Result<Vec<String>, StoreFailed> {
        self.step("written");
        Ok(self.written.iter().map(|&text| text.to_owned()).collect())
    }
}
