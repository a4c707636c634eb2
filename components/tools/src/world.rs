//! What a call needs of the world: the database, the servers, time. One value for each call.

use std::time::Duration;

use cache::Clock;
use domain::Id;
use mcp::{CallResult, ClientError, Map, Progress, TransportError};
use serde_json::{Value, json, value::RawValue};
use storage::{
    Database, StorageError,
    approvals::Question,
    audit::AuditEvent,
    rate_limits::{Limit, RetryAfterMs},
    runs::Lease,
};
use tool_catalogue::{Host, Listed, Server};
use toolbox::{
    Approval, AuditEntry, CallFailure, Called, Outcome, Permission, Redaction, Started, Tool, World,
    execution::CALL_LIMIT,
};
use web::log::{Level, log};

use crate::{
    config::COMPONENT,
    passed::{entered, passed},
    progress::Told,
    rules::Rules,
    state::Tools,
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
    /// The conversation has read something private.
    pub(crate) has_read_private: bool,
}

/// A call and who has it made.
pub(crate) struct CallWorld<'a, D, H> {
    pub(crate) tools: &'a Tools<D, H>,
    pub(crate) listed: &'a Listed,
    pub(crate) user_id: Id,
    /// What language they want, if their browser or program says so: that of whoever reads the run now. BCP 47.
    pub(crate) locale: Option<String>,
    /// `None`: a program calls, through the gateway.
    pub(crate) run: Option<RunCall>,
    /// The same for every attempt at the same call.
    pub(crate) id: String,
    /// Where it is noted how far the call is, if somebody waits for that.
    pub(crate) told: Option<Told>,
}

impl<D, H> CallWorld<'_, D, H> {
    fn server(&self, tool: &Tool) -> Result<&Server, CallFailure> {
        let server = self.tools.config.servers.all.iter().find(|server| server.name == tool.server);
        // Whoever listed a tool of this server had it configured a moment ago.
        server.ok_or_else(|| CallFailure::Unreachable("it is no longer configured".to_owned()))
    }

    /// Whose result it is, and in which language.
    fn kept_under(&self, key: &str) -> (Id, String) {
        (self.user_id, format!("{}\0{key}", self.locale.as_deref().unwrap_or_default()))
    }
}

impl<D: Database + 'static, H: Host> World for CallWorld<'_, D, H> {
    type Error = StorageError;

    async fn permission(&self, tool: &Tool) -> Result<Permission, StorageError> {
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
        let access = web::access::access_of(&found.roles);
        Ok(Permission { access, installation: rules.installation, user: rules.user, approval })
    }

    async fn is_set_up(&self, tool: &Tool) -> Result<(), CallFailure> {
        entered(self.tools, self.listed, self.user_id, tool).await
    }

    async fn ask_approval(&self, tool: &Tool) -> Result<Option<i64>, StorageError> {
        let Some(RunCall { lease, call_id, .. }) = &self.run else { return Ok(None) };
        let (server, name, always_asks) = (&tool.server, &tool.name, tool.always_asks);
        let question = Question { call_id, server, tool: name, always_asks };
        let asked = self.tools.store().ask_approval(*lease, self.user_id, question, APPROVAL_LIFETIME_MS).await?;
        Ok(asked.map(|expires_at| expires_at.as_millis()))
    }

    async fn take_rate(&self, tool: &Tool) -> Result<Result<(), u64>, StorageError> {
        let config = &self.tools.config;
        let limit = |key: String, per_minute: u32| Limit { key, per_minute, burst: per_minute };
        let mut limits = vec![limit(format!("tools:{}", self.user_id), config.calls_per_minute)];
        if !tool.reads_only() {
            let key = format!("tool:{}:{}:{}", self.user_id, tool.server, tool.name);
            limits.push(limit(key, config.changes_per_minute));
        }
        Ok(self.tools.store().take_rate(&limits).await?.map_err(|RetryAfterMs(wait)| wait))
    }

    async fn cached(&self, key: &str) -> Option<Outcome> {
        let key = self.kept_under(key);
        self.tools.memory().results.borrow().get(&key, self.tools.host().now()).cloned()
    }

    async fn cache(&self, key: &str, outcome: &Outcome, ttl_ms: u64) {
        if toolbox::content::written_bytes(outcome) > MAX_CACHED_BYTES {
            return;
        }
        let until = self.tools.host().now().saturating_add(Duration::from_millis(ttl_ms));
        let key = self.kept_under(key);
        self.tools.memory().results.borrow_mut().insert(key, outcome.clone(), until);
    }

    async fn start(&self, _: &Tool) -> Result<Started, StorageError> {
        let Some(RunCall { lease, call_id, name, .. }) = &self.run else { return Ok(Started::First) };
        let started = self.tools.store().start_tool_call(*lease, self.user_id, call_id, name).await?;
        Ok(match started {
            storage::tool_calls::Started::First => Started::First,
            storage::tool_calls::Started::Again => Started::Again,
            storage::tool_calls::Started::LeaseLost => Started::LeaseLost,
        })
    }

    async fn call(&self, tool: &Tool, arguments: &str) -> Result<Called, CallFailure> {
        let server = self.server(tool)?;
        let client = self.tools.memory().sessions.lend(self.tools.host(), server, self.user_id);
        let definition = mcp::Tool {
            name: tool.name.clone(),
            title: None,
            description: None,
            input_schema: tool.input_schema.clone(),
            output_schema: None,
            annotations: mcp::Annotations::default(),
            meta: None,
        };
        let arguments = RawValue::from_string(arguments.to_owned())
            .map_err(|error| CallFailure::InvalidArguments(error.to_string()))?;
        let secrets = passed(self.tools, self.listed, self.user_id, tool).await?;
        let hidden = secrets.iter().filter(|secret| !secret.visible).map(|secret| secret.value.as_str());
        // A server may repeat the request that it refuses.
        let redaction = Redaction::new(hidden.chain(server.secret()));
        let mut meta = Map::new();
        if !tool.remote {
            let deadline_ms = u64::try_from(CALL_LIMIT.as_millis()).unwrap_or(u64::MAX);
            let secrets: Map =
                secrets.into_iter().map(|secret| (secret.name, Value::from(secret.value.as_str()))).collect();
            let mut call = json!({ "id": self.id, "deadlineMs": deadline_ms, "secrets": secrets });
            if let Some((call, locale)) = call.as_object_mut().zip(self.locale.as_deref()) {
                call.insert("locale".to_owned(), locale.into());
            }
            meta.insert(META_CALL.to_owned(), call);
        }
        let mut note = self.told.as_ref().map(|told| |said: Progress| told.note(said, &redaction));
        let on_progress = note.as_mut().map(|note| note as &mut dyn FnMut(Progress));
        let began = self.tools.host().now();
        match client.call_tool(&definition, &arguments, meta, on_progress).await {
            Ok(CallResult { content, structured, is_error, failure }) => {
                let outcome = redaction.outcome(Outcome { content, structured, is_error });
                Ok(Called { outcome, failure: failure.filter(|_| !tool.remote) })
            }
            Err(error) => {
                let after = self.tools.host().now().saturating_sub(began);
                Err(redaction.failure(if tool.remote { failed(tool, error) } else { failed_here(tool, error, after) }))
            }
        }
    }

    async fn audit(&self, entry: AuditEntry) -> Result<(), StorageError> {
        let subject = format!("{}:{}", entry.server.as_deref().unwrap_or("?"), entry.tool);
        let event = AuditEvent {
            user_id: self.user_id,
            action: "tool.call",
            subject: &subject,
            run_id: self.run.as_ref().map(|run| run.lease.run_id),
            call_id: self.run.as_ref().map(|run| run.call_id.as_str()),
            outcome: entry.code.as_str(),
            detail: None,
        };
        let stored = self.tools.store().append_audit(&event).await;
        if let Err(error) = &stored {
            let fields = json!({ "tool": subject, "outcome": event.outcome, "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a call cannot be recorded", fields);
        }
        stored
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

    fn has_read_private(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.has_read_private)
    }

    async fn written_by_person(&self) -> Result<Vec<String>, StorageError> {
        let Some(run) = &self.run else { return Ok(Vec::new()) };
        self.tools.store().written_by_person(run.lease.run_id, self.user_id).await
    }
}

/// What a component of this installation did wrong, or that there is none. It speaks the protocol as the adapter does: an answer that breaks off
/// means that the component ended.
fn failed_here(tool: &Tool, error: ClientError, after: Duration) -> CallFailure {
    let component = format!("mcp-{}", tool.server);
    match error {
        ClientError::Transport(TransportError::Absent) => CallFailure::NotInstalled { component },
        ClientError::Http { status, .. } if status == http::StatusCode::INTERNAL_SERVER_ERROR => {
            CallFailure::Crashed { component, seconds: after.as_secs() }
        }
        ClientError::Transport(TransportError::Connection(_)) | ClientError::Malformed(_) => {
            CallFailure::Crashed { component, seconds: after.as_secs() }
        }
        other => failed(tool, other),
    }
}

/// What a server or the way to it did wrong. Its own words are other people's: the crate `toolbox` cuts them.
fn failed(tool: &Tool, error: ClientError) -> CallFailure {
    match error {
        ClientError::Transport(TransportError::TimedOut) => CallFailure::TimedOut,
        ClientError::Transport(TransportError::Connection(cause)) => {
            broken_off(tool, &format!("the connection to its server broke: {cause}"))
        }
        ClientError::Transport(error) => CallFailure::Unreachable(error.to_string()),
        ClientError::TooLarge => CallFailure::TooLarge,
        ClientError::Protocol { code: -32602, message, .. } => CallFailure::InvalidArguments(message),
        ClientError::Protocol { code: -32601, .. } => CallFailure::Unknown,
        ClientError::Http { status, .. } if status.is_server_error() => {
            broken_off(tool, &format!("its server broke off the call ({status})"))
        }
        ClientError::Http { status, .. } if status == http::StatusCode::UNAUTHORIZED => {
            CallFailure::NotConfigured("its server wants an authorization that it was not given".to_owned())
        }
        ClientError::Malformed(_) | ClientError::TooManyMessages => broken_off(tool, &error.to_string()),
        other => CallFailure::Upstream(other.to_string()),
    }
}

/// The call may have reached the server, and its result did not come back.
fn broken_off(tool: &Tool, words: &str) -> CallFailure {
    let unknown = if tool.reads_only() { "" } else { "; whether the call took effect is not known" };
    CallFailure::Upstream(format!("{words}{unknown}"))
}
