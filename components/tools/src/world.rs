//! What a call needs of the world: the database, the servers, time. One value for each call.

use std::{cell::RefCell, time::Duration};

use cache::Clock;
use domain::{FILES_SERVER, Id, Timestamp};
use mcp::{CallAnswer, CallResult, ClientError, Input, Map, Progress, Task, Tasks};
use permissions::Scopes;
use serde_json::{Value, json, value::RawValue};
use storage::{
    Database, StorageError,
    approvals::Question,
    limits::LimitKind,
    rate_limits::{Limit, RetryAfterMs},
    runs::Lease,
    tool_tasks::NewTask,
};
use tool_catalogue::{Host, Listed, Server};
use toolbox::{
    Approval, AuditEntry, CallFailure, Called, Chosen, KnownTool, Outcome, Permission, Reached, Redaction, Started,
    World, execution::CALL_LIMIT,
};
use web::{Authenticator as _, Preferences};

use crate::{
    access_tokens::with_token,
    failures::{failed, failed_here},
    files, memory,
    passed::{entered, passed},
    progress::Told,
    record::record,
    rules::Rules,
    state::Tools,
    tasks::{self, AskError, TaskAt, redacted},
};

/// How long a person may think about a call.
const APPROVAL_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// The largest result that an instance remembers.
const MAX_CACHED_BYTES: usize = 64 * 1024;

/// Where the adapter finds what the protocol has no place for.
const META_CALL: &str = "edge-assistant/call";

/// A call's place in a run.
pub(crate) struct RunCall {
    pub(crate) lease: Lease,
    pub(crate) call_id: String,
    /// The tool, as the model calls it.
    pub(crate) name: String,
    /// Somebody has begun it before.
    pub(crate) begun: bool,
    /// The tools that the run may use.
    pub(crate) chosen: Chosen,
    /// Nobody is there who could approve a call, and what is said in the conversation, a program says.
    pub(crate) unattended: bool,
    /// The conversation has read something private.
    pub(crate) has_read_private: bool,
    /// It has read something that others wrote.
    pub(crate) has_read_others: bool,
}

/// A call and who has it made.
pub(crate) struct CallWorld<'a, D, H> {
    pub(crate) tools: &'a Tools<D, H>,
    pub(crate) listed: &'a Listed,
    pub(crate) user_id: Id,
    /// Beyond these, a program may call nothing, whatever its person may. A run has none.
    pub(crate) scopes: Option<Scopes>,
    /// What they prefer, if their browser or program says so: of a run, the language of whoever reads it now, and the time zone of its first call.
    pub(crate) preferences: Preferences,
    /// `None`: a program calls, through the gateway.
    pub(crate) run: Option<RunCall>,
    /// Whoever wants it can ask later what it came to.
    pub(crate) can_wait: bool,
    /// The same for every attempt at the same call.
    pub(crate) id: String,
    /// What the client of the gateway can be asked, and what it answered.
    pub(crate) input: Input,
    /// Where it is noted how far the call is, if somebody waits for that.
    pub(crate) told: Option<Told>,
    /// The person's roles, once they were read to judge the call.
    pub(crate) roles: RefCell<Vec<String>>,
}

impl<D, H> CallWorld<'_, D, H> {
    fn server(&self, tool: &KnownTool) -> Result<&Server, CallFailure> {
        // Whoever listed a tool of this server had it configured a moment ago.
        self.tools.server(&tool.server).ok_or_else(|| CallFailure::Unreachable("it is no longer configured".to_owned()))
    }

    /// Whose result it is, in which language and for which time zone.
    fn kept_under(&self, key: &str) -> (Id, String) {
        let Preferences { locale, time_zone } = &self.preferences;
        let [locale, time_zone] = [locale, time_zone].map(|said| said.as_deref().unwrap_or_default());
        (self.user_id, format!("{locale}\0{time_zone}\0{key}"))
    }
}

impl<D: Database + 'static, H: Host> CallWorld<'_, D, H> {
    /// One call of a server.
    async fn called(
        &self,
        tool: &KnownTool,
        server: &Server,
        arguments: &RawValue,
        meta: &Map,
        redaction: &Redaction,
    ) -> Result<CallAnswer, ClientError> {
        let _measured = metrics::ToolCall::begin(format!("{}:{}", tool.server, tool.name));
        let sessions = &self.tools.memory().sessions;
        let run_id = self.run.as_ref().map(|run| run.lease.run_id.to_string());
        let request_id = run_id.as_deref().unwrap_or(&self.id);
        let client = sessions.lend(self.tools.host(), server, self.user_id, request_id).await;
        let definition = mcp::Tool {
            name: tool.name.clone(),
            title: None,
            description: None,
            input_schema: tool.input_schema.clone(),
            output_schema: None,
            annotations: mcp::Annotations::default(),
            execution: mcp::ToolExecution { task_support: tool.task_support },
            meta: None,
        };
        let mut note = self.told.as_ref().map(|told| |said: Progress| told.note(said, redaction));
        let on_progress = note.as_mut().map(|note| note as &mut dyn FnMut(Progress));
        // Ours are over with their requests. Of the others a task is wanted even where there need be none: nobody knows how long the call takes,
        // and one that takes too long is lost.
        let tasks = match (tool.remote, self.can_wait) {
            (false, _) => Tasks::Never,
            (true, false) => Tasks::IfNeeded,
            (true, true) => Tasks::Wanted,
        };
        let meta = meta.clone();
        // Boxed: either is large, and this would carry both.
        if self.run.is_none() && !tool.remote {
            let passed = Box::pin(client.pass_call(&definition, arguments, meta, &self.input, on_progress)).await;
            return passed.map(CallAnswer::Result);
        }
        Box::pin(client.call_tool_or_task(&definition, arguments, meta, on_progress, tasks)).await
    }
}

/// The limit of everything that a person asks of servers, from tools to resources. 0: there is none.
pub(crate) fn calls_limit(user_id: Id, per_minute: u32) -> Option<Limit> {
    limit(format!("tools:{user_id}"), per_minute)
}

fn limit(key: String, per_minute: u32) -> Option<Limit> {
    (per_minute > 0).then(|| Limit::per_minute(key, per_minute))
}

impl<D: Database + 'static, H: Host> World for CallWorld<'_, D, H> {
    type Error = StorageError;

    async fn permission(&self, tool: &KnownTool) -> Result<Permission, StorageError> {
        let call = self.run.as_ref().map(|run| (run.lease.run_id, run.call_id.as_str()));
        let found = self.tools.store().tool_permission(self.user_id, call).await?;
        let rules = Rules::new(&self.tools.config.policies, found.policies);
        let approval = found.approval.map_or(Approval::None, |approval| match approval.decision {
            // What was decided about another tool says nothing about this one, and the question cannot be asked anew.
            _ if (&approval.server, &approval.tool) != (&tool.server, &tool.name) => Approval::Expired,
            Some(decision) if decision.allows() => Approval::Allowed,
            Some(_) => Approval::Denied,
            None if approval.expired => Approval::Expired,
            None => Approval::Pending { expires_at_ms: approval.expires_at.as_millis() },
        });
        // A run's person may have no token by now, and a program's token may be older than a change of roles.
        let access = web::access::access_of(&found.roles).within(self.scopes.as_ref());
        self.roles.replace(found.roles.names);
        let chosen = self.run.as_ref().map(|run| run.chosen.clone()).unwrap_or_default();
        let unattended = self.run.as_ref().is_some_and(|run| run.unattended);
        Ok(Permission { access, chosen, unattended, installation: rules.installation, user: rules.user, approval })
    }

    async fn is_set_up(&self, tool: &KnownTool) -> Result<(), CallFailure> {
        entered(self.tools, self.listed, self.user_id, tool).await
    }

    async fn ask_approval(&self, tool: &KnownTool) -> Result<Option<i64>, StorageError> {
        let Some(RunCall { lease, call_id, .. }) = &self.run else { return Ok(None) };
        let (server, name, always_asks) = (&tool.server, &tool.name, tool.always_asks);
        let question = Question { call_id, server, tool: name, always_asks };
        let asked = self.tools.store().ask_approval(*lease, self.user_id, question, APPROVAL_LIFETIME_MS).await?;
        Ok(asked.map(|expires_at| expires_at.as_millis()))
    }

    async fn take_rate(&self, tool: &KnownTool) -> Result<Result<(), u64>, StorageError> {
        let (config, role_limits) = (&self.tools.config, self.tools.app().role_limits().await?);
        let roles = self.roles.borrow().clone();
        let rate = |kind, default| role_limits.per_minute(roles.iter().map(String::as_str), kind, default);
        let calls = calls_limit(self.user_id, rate(LimitKind::ToolCalls, config.calls_per_minute));
        let change = || {
            let key = format!("tool:{}:{}:{}", self.user_id, tool.server, tool.name);
            limit(key, rate(LimitKind::ToolChanges, config.changes_per_minute))
        };
        let changes = if tool.reads_only() { None } else { change() };
        let limits: Vec<_> = calls.into_iter().chain(changes).collect();
        Ok(self.tools.store().take_rate(&limits).await?.map_err(|RetryAfterMs(wait)| wait))
    }

    async fn cached(&self, key: &str) -> Option<Outcome> {
        // What is kept was made of the arguments alone.
        if !self.input.is_first() {
            return None;
        }
        let key = self.kept_under(key);
        let found = self.tools.memory().results.borrow().get(&key, self.tools.host().now()).cloned();
        metrics::cache_request(metrics::Cache::ToolResults, found.is_some());
        found
    }

    async fn cache(&self, key: &str, outcome: &Outcome, ttl_ms: u64) {
        if !self.input.is_first() || toolbox::content::written_bytes(outcome) > MAX_CACHED_BYTES {
            return;
        }
        let until = self.tools.host().now().saturating_add(Duration::from_millis(ttl_ms));
        let key = self.kept_under(key);
        self.tools.memory().results.borrow_mut().insert(key, outcome.clone(), until);
    }

    async fn start(&self) -> Result<Started, StorageError> {
        let Some(RunCall { lease, call_id, name, .. }) = &self.run else { return Ok(Started::First) };
        let started = self.tools.store().start_tool_call(*lease, self.user_id, call_id, name).await?;
        Ok(match started {
            storage::tool_calls::Started::First => Started::First,
            storage::tool_calls::Started::Again => Started::Again,
            storage::tool_calls::Started::LeaseLost => Started::LeaseLost,
        })
    }

    async fn call(&self, tool: &KnownTool, arguments: &str) -> Result<Reached, CallFailure> {
        if tool.built_in {
            let run_id = self.run.as_ref().filter(|run| !run.unattended).map(|run| run.lease.run_id);
            return match tool.server.as_str() {
                FILES_SERVER => files::call(self.tools, self.user_id, run_id, tool, arguments).await,
                _ => memory::call(self.tools.store(), self.user_id, run_id, tool, arguments).await,
            };
        }
        let arguments = RawValue::from_string(arguments.to_owned())
            .map_err(|error| CallFailure::InvalidArguments(error.to_string()))?;
        let secrets = passed(self.tools, self.listed, self.user_id, tool).await?;
        let hidden = secrets.iter().filter(|secret| !secret.visible).map(|secret| secret.value.as_str());
        // A server may repeat the request that it refuses.
        let hidden: Vec<&str> = hidden.collect();
        let redaction = |server: &Server| Redaction::new(hidden.iter().copied().chain(server.secret()));
        let values = secrets.iter().map(|secret| (secret.name.clone(), Value::from(secret.value.as_str())));
        let meta = if tool.remote { Map::new() } else { about_call(&self.id, &self.preferences, values.collect()) };
        let began = self.tools.host().now();
        let call = async |server: &Server| self.called(tool, server, &arguments, &meta, &redaction(server)).await;
        let asked = with_token(self.tools, self.server(tool)?, self.user_id, call).await?;
        let (refusal, redaction) = (asked.refusal(), redaction(&asked.server));
        match asked.answer {
            Ok(CallAnswer::Task(task)) => Ok(Reached::Task(Box::new(redacted(task, &redaction)))),
            Ok(CallAnswer::Result(CallResult { content, structured, is_error, failure })) => {
                let outcome = redaction.outcome(Outcome { content, structured, is_error });
                Ok(Called { outcome, failure: failure.filter(|_| !tool.remote) }.into())
            }
            Err(error) => {
                let after = self.tools.host().now().saturating_sub(began);
                let failed = || if tool.remote { failed(tool, error) } else { failed_here(tool, error, after) };
                Err(redaction.failure(refusal.unwrap_or_else(failed)))
            }
        }
    }

    async fn keep_task(&self, tool: &KnownTool, task: &Task) -> Result<Option<i64>, StorageError> {
        // A client of the gateway keeps its own.
        let Some(RunCall { lease, call_id, name, .. }) = &self.run else {
            return Ok(Some(Timestamp::now().as_millis()));
        };
        let (server, said) = (&tool.server, tasks::said(task));
        let task = NewTask {
            call_id,
            name,
            title: tool.title(),
            server,
            tool: &tool.name,
            task_id: &task.id,
            session: task.session.as_deref(),
            said,
        };
        let kept = self.tools.store().keep_tool_task(*lease, self.user_id, task).await?;
        Ok(kept.map(|started_at| started_at.as_millis()))
    }

    async fn task(&self, tool: &KnownTool, task: &Task) -> Result<Task, CallFailure> {
        let of = TaskAt { user_id: self.user_id, server: &tool.server, id: &task.id, session: task.session.as_deref() };
        tasks::asked(self.tools, of).await.map_err(|error| match error {
            AskError::Unknown => CallFailure::TaskLost,
            AskError::Silent(cause) => CallFailure::Unreachable(cause),
        })
    }

    async fn cancel_task(&self, tool: &KnownTool, task: &Task) {
        let of = TaskAt { user_id: self.user_id, server: &tool.server, id: &task.id, session: task.session.as_deref() };
        tasks::cancel(self.tools, of).await;
    }

    async fn audit(&self, entry: AuditEntry) -> Result<(), StorageError> {
        let call = self.run.as_ref().map(|run| (run.lease.run_id, run.call_id.as_str()));
        record(self.tools, self.user_id, call, &entry).await
    }

    async fn sleep(&self, duration: Duration) {
        Clock::sleep(self.tools.host(), duration).await;
    }

    fn begun(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.begun)
    }

    fn can_ask(&self) -> bool {
        self.run.is_some()
    }

    fn can_wait(&self) -> bool {
        self.can_wait
    }

    fn has_read_private(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.has_read_private)
    }

    fn has_read_others(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.has_read_others)
    }

    async fn written_by_person(&self) -> Result<Vec<String>, StorageError> {
        // What a program says may be anybody's: a mail that it has fetched.
        let Some(run) = self.run.as_ref().filter(|run| !run.unattended) else { return Ok(Vec::new()) };
        self.tools.store().written_by_person(run.lease.run_id, self.user_id).await
    }
}

/// What a provider of this installation may know of a call.
pub(crate) fn about_call(id: &str, preferences: &Preferences, secrets: Map) -> Map {
    let deadline_ms = u64::try_from(CALL_LIMIT.as_millis()).unwrap_or(u64::MAX);
    let Preferences { locale, time_zone } = preferences;
    let call =
        json!({ "id": id, "deadlineMs": deadline_ms, "secrets": secrets, "locale": locale, "timeZone": time_zone });
    Map::from_iter([(META_CALL.to_owned(), call)])
}
