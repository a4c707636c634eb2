//! The world of a test: a store on a file, a model that follows a script, tools that count their calls, and paused time.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet, VecDeque},
    fs,
    ops::Range,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use domain::{Decision, Effect, Id, Run, RunState, ToolCall};
use http::HeaderMap;
use models::{Pricing, Provider};
use native_sqlite::SqliteFile;
use orchestrator::{
    CallTerms, FileText, Host, Ledger, ModelAnswer, Offered, Opened, Settings, Severity, ToolAnswer, ToolDefinition,
    ToolProgress, Unreachable, open, request_handler,
};
use serde_json::{Value, json};
use storage::{
    Database, Statement, Store,
    approvals::{Decided, Question},
    claims::Claim,
    messages::{Appended, IncomingMessage},
    runs::Lease,
    tool_calls::Started,
    tool_listings::ToolOffers,
    users::{NewUser, Opening},
};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    distant::{Distant, migrated},
    heard::Heard,
    script::{Answer, Body, Refuses, answer},
};

pub(crate) struct World {
    pub(crate) store: Store<Distant>,
    pub(crate) user: Id,
    pub(crate) conversation: Id,
    folder: tempfile::TempDir,
    started: Instant,
    ledger: Ledger,
    script: RefCell<VecDeque<Answer>>,
    asked: RefCell<Vec<(Duration, Value)>>,
    /// Those that have the model, in order.
    pub(crate) providers: Vec<Provider>,
    /// Who was asked, in order.
    pub(crate) asked_providers: RefCell<Vec<String>>,
    pub(crate) pricing: Pricing,
    dropped_at: Rc<Cell<Duration>>,
    tools: Vec<ToolDefinition>,
    /// How long listing them takes; `None`: they cannot be listed.
    pub(crate) listing_takes: Cell<Option<Duration>>,
    pub(crate) unconfigured: Vec<String>,
    idempotent: HashSet<String>,
    asking: HashSet<String>,
    tool_delay: Duration,
    tool_answer: RefCell<Option<ToolAnswer>>,
    /// The progress reports of a call, one in each second.
    tool_progress: RefCell<Vec<ToolProgress>>,
    calls: RefCell<Vec<String>>,
    /// How often the task of a call has to be asked about until it has ended; `None`: calls become no tasks.
    pub(crate) task_lasts: Cell<Option<u32>>,
    /// How long a question about tasks takes; `None`: nobody can be asked.
    pub(crate) question_takes: Cell<Option<Duration>>,
    /// Whether somebody has a budget.
    pub(crate) has_budgets: Cell<bool>,
    /// How often a reader wanted to ask.
    pub(crate) questions: Cell<u32>,
    /// How often tasks were asked about.
    pub(crate) task_asked: Cell<u32>,
    /// How often a file was read.
    pub(crate) files_read: Cell<u32>,
    pub(crate) texts: RefCell<HashMap<Id, FileText>>,
    logged: RefCell<String>,
    /// Decides which requests the model's server refuses, with status and text.
    refuses: Box<Refuses>,
    /// The server's answer when the script has ended.
    afterwards: Option<String>,
}

impl World {
    pub(crate) fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("db"), migrated()).unwrap();
        let file = SqliteFile::open(&folder.path().join("db")).unwrap();
        // Not within the budget of the test's task, which this executor cannot give back.
        let (store, user, conversation) = futures::executor::block_on(tokio::task::unconstrained(async {
            let store = Store::new(Distant::new(file));
            let user = NewUser { email: "a@example.org", name: "", password_hash: "x" };
            let user = store.create_user(user, Opening::Open).await.unwrap().unwrap().id;
            let conversation = store.create_conversation(user, "", None).await.unwrap().id;
            (store, user, conversation)
        }));
        Self {
            store,
            user,
            conversation,
            folder,
            started: Instant::now(),
            ledger: Ledger::new(),
            script: RefCell::new(script.into_iter().collect()),
            asked: RefCell::default(),
            providers: vec![Provider::standard("https://model.example/v1", "planted-key", "m", "")],
            asked_providers: RefCell::default(),
            pricing: Pricing::default(),
            dropped_at: Rc::default(),
            tools: Vec::new(),
            listing_takes: Cell::new(Some(Duration::ZERO)),
            unconfigured: Vec::new(),
            idempotent: HashSet::new(),
            asking: HashSet::new(),
            tool_delay: Duration::ZERO,
            tool_progress: RefCell::default(),
            tool_answer: RefCell::default(),
            calls: RefCell::default(),
            task_lasts: Cell::new(None),
            question_takes: Cell::new(Some(Duration::ZERO)),
            has_budgets: Cell::default(),
            questions: Cell::new(0),
            task_asked: Cell::new(0),
            files_read: Cell::default(),
            texts: RefCell::default(),
            logged: RefCell::default(),
            refuses: Box::new(|_| None),
            afterwards: None,
        }
    }

    pub(crate) fn refusing(self, refuses: impl Fn(&Value) -> Option<(u16, String)> + 'static) -> Self {
        Self { refuses: Box::new(refuses), ..self }
    }

    pub(crate) fn answering_afterwards(self, text: &str) -> Self {
        Self { afterwards: Some(text.to_owned()), ..self }
    }

    pub(crate) fn with_tool(self, name: &str, idempotent: bool) -> Self {
        self.with_tool_of_schema(name, idempotent, &json!({"type": "object"}))
    }

    pub(crate) fn with_tool_of_schema(mut self, name: &str, idempotent: bool, schema: &Value) -> Self {
        self.tools.push(ToolDefinition {
            name: name.into(),
            title: Some(format!("Title of {name}")),
            description: "A tool.".into(),
            input_schema: serde_json::value::to_raw_value(schema).unwrap(),
        });
        if idempotent {
            self.idempotent.insert(name.into());
        }
        self
    }

    /// A tool whose calls need the person's approval.
    pub(crate) fn with_asking_tool(mut self, name: &str) -> Self {
        self.asking.insert(name.into());
        self.with_tool(name, false)
    }

    pub(crate) fn with_distant_database(self, round_trip_ms: u64) -> Self {
        let distant = Distant { round_trip_ms, ..Distant::new(self.file()) };
        Self { store: Store::new(distant), ..self }
    }

    /// A database with one connection. While it is in use, other statements wait without limit.
    pub(crate) fn with_one_connection(self, round_trip_ms: u64) -> Self {
        let distant = Distant { round_trip_ms, connections: Semaphore::new(1), ..Distant::new(self.file()) };
        Self { store: Store::new(distant), ..self }
    }

    /// A database that is away for this time, since the world's beginning.
    pub(crate) fn with_outage(self, away: Range<Duration>) -> Self {
        let distant = Distant { away, ..Distant::new(self.file()) };
        Self { store: Store::new(distant), ..self }
    }

    /// A database whose disk is read-only from then on.
    pub(crate) fn with_disk_read_only_from(self, read_only_from: Duration) -> Self {
        let distant = Distant { read_only_from, ..Distant::new(self.file()) };
        Self { store: Store::new(distant), ..self }
    }

    pub(crate) fn with_slow_tools(self, tool_delay: Duration) -> Self {
        Self { tool_delay, ..self }
    }

    pub(crate) fn tell_with_the_next_call(&self, progress: Vec<ToolProgress>) {
        *self.tool_progress.borrow_mut() = progress;
    }

    pub(crate) fn answer_calls_with(&self, answer: ToolAnswer) {
        *self.tool_answer.borrow_mut() = Some(answer);
    }

    pub(crate) fn file(&self) -> SqliteFile {
        SqliteFile::open(&self.folder.path().join("db")).unwrap()
    }

    pub(crate) async fn send(&self, content: &str) -> Id {
        self.send_to(self.conversation, content).await
    }

    /// Sends a message to a new conversation.
    pub(crate) async fn send_elsewhere(&self, content: &str) -> Id {
        let conversation = self.store.create_conversation(self.user, "", None).await.unwrap();
        self.send_to(conversation.id, content).await
    }

    async fn send_to(&self, conversation: Id, content: &str) -> Id {
        let incoming = IncomingMessage { content, title: "t", default_model: "m", ..IncomingMessage::default() };
        match self.store.append_message(self.user, conversation, &incoming).await.unwrap() {
            Appended::Stored(_, run, _) => run.id,
            other => panic!("not stored: {other:?}"),
        }
    }

    pub(crate) async fn run(&self, id: Id) -> Run {
        self.store.run(self.user, id).await.unwrap().unwrap()
    }

    pub(crate) async fn stored(&self) -> Vec<String> {
        let page = self.store.messages(self.user, self.conversation, 0, 100, 1_000_000).await.unwrap();
        page.messages.into_iter().map(|message| message.content).collect()
    }

    /// Makes the run claimable, as if its executor had died a while ago.
    pub(crate) async fn expire_lease(&self, run: Id) {
        let sql = "UPDATE runs SET lease_expires_at = now_ms() - 1 WHERE id = ?1";
        self.file().query(Statement::new("expire", sql, [run.into()])).await.unwrap();
    }

    /// Shortens the lease, as if its executor had been silent for some seconds.
    pub(crate) async fn shorten_lease(&self, run: Id, left_ms: i64) {
        let sql = "UPDATE runs SET lease_expires_at = now_ms() + ?2 WHERE id = ?1";
        self.file().query(Statement::new("shorten", sql, [run.into(), left_ms.into()])).await.unwrap();
    }

    /// Suspends the person.
    pub(crate) async fn suspend(&self) {
        // The last administrator cannot be suspended.
        let sql = "UPDATE users SET suspended_at = now_ms()";
        self.file().query(Statement::new("suspend", sql, [])).await.unwrap();
    }

    /// Waits until a run has a state.
    pub(crate) async fn until(&self, run: Id, state: RunState) {
        while self.run(run).await.state != state {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Decides about a call once the run waits for it.
    pub(crate) async fn decide(&self, run: Id, call_id: &str, decision: Decision) {
        self.until(run, RunState::AwaitingApproval).await;
        let decided = self.store.decide_approval(self.user, run, call_id, decision).await.unwrap();
        assert_eq!(decided, Decided::Decided);
    }

    pub(crate) fn reader_that_leaves_after(&self, writes: usize) -> Heard {
        Heard { patience: Rc::new(Cell::new(writes)), ..Heard::default() }
    }

    pub(crate) async fn read(&self, run: Id, seen: u64) -> Heard {
        self.read_with(run, seen, Heard::default()).await
    }

    pub(crate) async fn replay(&self, run: Id, seen: u64) -> Heard {
        self.read(run, seen).await
    }

    pub(crate) async fn read_with(&self, run: Id, seen: u64, reader: Heard) -> Heard {
        let settings = Settings {
            context_window_tokens: 10_000,
            system_prompt: "Be kind.".into(),
            silence: Duration::from_secs(30),
            pricing: self.pricing.clone(),
        };
        match open(self, self.user, run, seen).await.unwrap() {
            Opened::Events(reading) => request_handler::read(self, &settings, reading, reader.clone()).await,
            other => panic!("no events: {other:?}"),
        }
        reader
    }

    /// Reads as the executor, and dies after `life`, in the middle of its work.
    pub(crate) async fn read_and_die(&self, run: Id, life: Duration) -> Heard {
        let heard = Heard::default();
        let reading = self.read_with(run, 0, heard.clone());
        assert!(tokio::time::timeout(life, reading).await.is_err(), "it ended before it died");
        self.expire_lease(run).await;
        heard
    }

    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.borrow().iter().map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn times(&self) -> Vec<Duration> {
        self.asked.borrow().iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// The log lines.
    pub(crate) fn log_lines(&self) -> String {
        self.logged.borrow().clone()
    }

    pub(crate) fn dropped_at(&self) -> Duration {
        self.dropped_at.get()
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl World {
    async fn unless_approved(&self, lease: Lease, call: &ToolCall) -> Option<ToolAnswer> {
        let permission = self.store.tool_permission(self.user, Some((lease.run_id, &call.id))).await.unwrap();
        let pattern = format!("world:{}", call.name);
        if permission.policies.iter().any(|policy| policy.pattern == pattern && policy.effect == Effect::Allow) {
            return None;
        }
        match permission.approval.map(|approval| (approval.decision, approval.expired)) {
            Some((Some(decision), _)) if decision.allows() => return None,
            Some((Some(_), _)) => return Some(ToolAnswer::failed("The person declined.")),
            Some((None, true)) => return Some(ToolAnswer::failed("The person did not decide in time.")),
            Some((None, false)) | None => {}
        }
        let question = Question { call_id: &call.id, server: "world", tool: &call.name, always_asks: false };
        let asked = self.store.ask_approval(lease, self.user, question, 3_600_000).await.unwrap();
        Some(asked.map_or(ToolAnswer::LeaseLost, |expires_at| {
            let (server, title) = ("world".to_owned(), format!("Title of {}", call.name));
            ToolAnswer::ApprovalNeeded { server, title, always_asks: false, may_disclose: false, expires_at }
        }))
    }
}

impl World {
    fn answer(
        &self,
        status: u16,
        headers: HeaderMap,
        pieces: VecDeque<(u64, Result<Bytes, String>)>,
    ) -> ModelAnswer<Body> {
        let stream = futures::stream::unfold(pieces, async |mut pieces| {
            let (delay_ms, piece) = pieces.pop_front()?;
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Some((piece.map_err(Unreachable::Connection), pieces))
        });
        let body = Body { stream: Box::pin(stream), dropped_at: Rc::clone(&self.dropped_at), started: self.started };
        ModelAnswer { status, headers, body }
    }
}

impl Host for World {
    type Database = Distant;
    type Body = Body;

    fn store(&self) -> &Store<Distant> {
        &self.store
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn model_servers(&self) -> String {
        let servers = self.providers.iter().map(|provider| provider.remembered_as());
        servers.collect::<Vec<_>>().join(" ")
    }

    async fn providers(&self, _: &Claim) -> Vec<Provider> {
        self.providers.clone()
    }

    async fn ask_model(&self, provider: &Provider, body: Vec<u8>) -> Result<ModelAnswer<Body>, Unreachable> {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let refused = (self.refuses)(&request);
        self.asked.borrow_mut().push((self.started.elapsed(), request));
        self.asked_providers.borrow_mut().push(provider.name.clone());
        let next = refused.map(|(status, body)| Answer::Refuse(status, None, body));
        let next = next.or_else(|| self.script.borrow_mut().pop_front());
        let next = next.or_else(|| self.afterwards.as_deref().map(|text| answer(&[text])));
        let next = next.expect("the model is asked more often than the test expects");
        let (status, headers, pieces) = match next {
            Answer::Stream(pieces) => (200, HeaderMap::new(), pieces),
            Answer::Refuse(status, retry_after, body) => {
                let after = retry_after.map(|after| (http::header::RETRY_AFTER, after.as_secs().into()));
                (status, after.into_iter().collect(), vec![(0, Ok(body))])
            }
            Answer::RefuseAndStay(status, body) => {
                (status, HeaderMap::new(), vec![(0, Ok(body)), (3_600_000, Ok(String::new()))])
            }
            Answer::Packed(status, coding, body, size) => {
                let coding = coding.map(|coding| (http::header::CONTENT_ENCODING, coding.parse().unwrap()));
                let pieces = body.chunks(size).map(|piece| (0, Ok(Bytes::copy_from_slice(piece))));
                return Ok(self.answer(status, coding.into_iter().collect(), pieces.collect()));
            }
            Answer::Unreachable => return Err(Unreachable::Connection("refused".into())),
        };
        let pieces = pieces.into_iter().map(|(delay_ms, piece)| (delay_ms, piece.map(Bytes::from)));
        Ok(self.answer(status, headers, pieces.collect()))
    }

    async fn tools(&self, _: &ToolOffers) -> Option<Offered> {
        tokio::time::sleep(self.listing_takes.get()?).await;
        Some(Offered { tools: self.tools.clone(), unconfigured: self.unconfigured.clone() })
    }

    async fn file(&self, user_id: Id, file_id: Id, size: u64) -> Option<Vec<u8>> {
        assert_eq!(user_id, self.user);
        self.files_read.set(self.files_read.get() + 1);
        let sealed = self.store.file_piece(user_id, file_id, 0).await.unwrap()?;
        let file = self.store.file(user_id, file_id).await.unwrap()?;
        assert_eq!(file.size, size);
        Some(file.open(0, &sealed).unwrap())
    }

    async fn file_text(&self, _: Id, file_id: Id, max_bytes: usize) -> FileText {
        self.document_text(file_id, max_bytes).await
    }

    async fn has_budgets(&self) -> bool {
        self.has_budgets.get()
    }

    async fn call_tool(
        &self,
        lease: Lease,
        call: &ToolCall,
        _: CallTerms<'_>,
        to: &dyn Fn(ToolProgress),
    ) -> ToolAnswer {
        if !self.tools.iter().any(|tool| tool.name == call.name) {
            return ToolAnswer::failed(format!("There is no tool named {}.", call.name));
        }
        if self.asking.contains(&call.name)
            && let Some(answer) = self.unless_approved(lease, call).await
        {
            return answer;
        }
        let started = self.store.start_tool_call(lease, self.user, &call.id, &call.name).await.unwrap();
        match started {
            Started::LeaseLost => return ToolAnswer::LeaseLost,
            Started::Again if !self.idempotent.contains(&call.name) => {
                return ToolAnswer::failed("Nobody knows whether it took effect.");
            }
            Started::First | Started::Again => {}
        }
        self.calls.borrow_mut().push(call.id.clone());
        for progress in self.tool_progress.take() {
            to(progress);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let task = match self.task_lasts.get() {
            Some(_) => Some(self.begin_task(lease, call).await),
            None => None,
        };
        tokio::time::sleep(self.tool_delay).await;
        let answer = task.or_else(|| self.tool_answer.borrow().clone());
        answer.unwrap_or_else(|| ToolAnswer::Result { content: format!("result of {}", call.id), is_error: false })
    }

    async fn ask_about_tasks(&self, _: Id, run_id: Id) -> bool {
        self.questions.set(self.questions.get() + 1);
        match self.question_takes.get() {
            Some(takes) => {
                tokio::time::sleep(takes).await;
                self.look_after_tasks(run_id).await;
                true
            }
            None => false,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn log(&self, _: Severity, message: &str, fields: Value) {
        self.logged.borrow_mut().push_str(&format!("{message} {fields}\n"));
    }
}
