//! `POST /mcp` and `POST /mcp/{server}`: the same tools for MCP clients outside, behind the same rules.
//!
//! A client proves who it is with a bearer token of ours that opens the gateway and nothing else, or with an API key that has the scope for it. A
//! cookie is not enough: any page could send it along.

use std::{borrow::Cow, cell::RefCell, rc::Rc};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use domain::{Id, tool::ToolProgress};
use futures::{StreamExt, future::ready, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use identity::Purpose;
use mcp::{
    Answer, Completion, CompletionRequest, Context, Description, Failure, Input, Map, Notice, Outcome, PromptContent,
    Reply, ResourceContents, Settings, Task, TaskSupport, ToolCall, ToolExecution,
};
use permissions::{Action, Required as _, Scopes, is_scope_token, table::GatewayUse};
use problem::Problem;
use send_wrapper::SendWrapper;
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::Database;
use tool_catalogue::{Host, Listed, Server};
use toolbox::{Effect, Execution, KnownTool, execute};
use web::{Allowed, Authenticator, Error, Preferences, Result, extract::PathName};

use crate::{
    config::COMPONENT,
    connected_lists::listed_for,
    features::readdressed,
    gateway_caller::Gateway,
    gateway_tasks,
    input::{self, Subject},
    metadata,
    progress::{self, Step, Told, steps},
    state::{Tools, here},
    world::CallWorld,
};

/// A request; arguments are most of it.
const MAX_BYTES: usize = 1024 * 1024;
/// What is wrong with a token (RFC 6750, section 3.1), as a part of a challenge.
const INVALID_TOKEN: &str = "error=\"invalid_token\", ";
const INSUFFICIENT_SCOPE: &str = "error=\"insufficient_scope\", ";
/// How long clients may keep a list. It is one person's, and policies change.
const TTL_MS: u64 = 60_000;

/// Speaks MCP about the tools of all servers.
///
/// The Model Context Protocol, revisions 2026-07-28 and 2025-11-25, over Streamable HTTP without sessions. Tools have the names that models see:
/// server, `_`, tool. A cookie is not enough here; the gateway cannot ask for approval, so a call that needs it says which policy would allow it.
#[cfg_attr(test, utoipa::path(
    post, path = "/mcp", tag = "Gateway", operation_id = "callGateway",
    params(
        ("Accept-Language" = Option<String>, Header, description = "The language of this installation's tools."),
        ("Time-Zone" = Option<String>, Header, description = "The person's time zone, such as `Europe/Berlin`."),
    ),
    request_body(content = serde_json::Value, description = "A message of JSON-RPC, of at most 1 MiB.", example = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
    responses(
        (status = 200, description = "The answer, as JSON-RPC. A call with a `progressToken` whose tool reports progress is answered as a stream.", content((serde_json::Value = "application/json"), (String = "text/event-stream"))),
        (status = 202, description = "A notification was taken."),
        (status = 400, description = "The request is wrong, as an error of JSON-RPC.", body = serde_json::Value),
        (status = 403, description = "`insufficient_scope`: the token or key lacks the scope, which `WWW-Authenticate` names."),
        (status = 404, description = "There is no such method or server.", body = serde_json::Value),
        (status = 415, description = "No body: it is not declared as JSON."),
    ),
))]
pub(crate) async fn all<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    request: Request,
) -> Result<Response> {
    answer(tools, None, request).await
}

/// Speaks MCP about one server.
///
/// The Model Context Protocol, revisions 2026-07-28 and 2025-11-25, over Streamable HTTP without sessions. Its tools, resources and prompts have
/// their own names and URIs.
#[cfg_attr(test, utoipa::path(
    post, path = "/mcp/{server}", tag = "Gateway", operation_id = "callGatewayOfServer",
    params(
        ("server" = String, Path, description = "The server's name."),
        ("Accept-Language" = Option<String>, Header, description = "The language of this installation's tools."),
        ("Time-Zone" = Option<String>, Header, description = "The person's time zone, such as `Europe/Berlin`."),
    ),
    request_body(content = serde_json::Value, description = "A message of JSON-RPC, of at most 1 MiB.", example = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
    responses(
        (status = 200, description = "The answer, as JSON-RPC. A call with a `progressToken` whose tool reports progress is answered as a stream.", content((serde_json::Value = "application/json"), (String = "text/event-stream"))),
        (status = 202, description = "A notification was taken."),
        (status = 400, description = "The request is wrong, as an error of JSON-RPC.", body = serde_json::Value),
        (status = 403, description = "`insufficient_scope`: the token or key lacks the scope, which `WWW-Authenticate` names."),
        (status = 404, description = "There is no such method or server.", body = serde_json::Value),
        (status = 415, description = "No body: it is not declared as JSON."),
    ),
))]
pub(crate) async fn one<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    PathName(server): PathName,
    request: Request,
) -> Result<Response> {
    answer(tools, Some(server), request).await
}

async fn answer<D: Database + 'static, H: Host>(
    tools: Tools<D, H>,
    server: Option<String>,
    request: Request,
) -> Result<Response> {
    let (head, body) = request.into_parts();
    let session = caller(&tools, server.as_deref(), &head.headers).await?;
    // What is built in is for conversations, where people see it called.
    if server.as_ref().is_some_and(|name| tools.server(name).is_none_or(Server::is_built_in)) {
        return Err(Problem::not_found().into());
    }
    let body = Bytes::from(web::body::read(&head.headers, body, MAX_BYTES).await?.into_bytes());
    let listed = listed_for(&tools, session.user_id()).await?;
    let preferences = Preferences::of(&head.headers);
    let (listed, rules) = (Rc::clone(&listed), RefCell::default());
    let metadata = metadata::url(&tools, &head.headers, server.as_deref());
    let gateway = Gateway { listed, tools: tools.clone(), server, session, preferences, rules };
    let response = here(async move {
        check_scope(&gateway, metadata, &body)?;
        let settings = Settings::default();
        Ok::<_, Error>(mcp::respond(&gateway, &settings, Request::from_parts(head, body)).await.map(SendWrapper::new))
    });
    Ok(response.await?.map(|body| body_of(tools.host(), body.take())))
}

/// Whose token or key it is. Who has none is told where to learn how to get one (RFC 9728, section 5.1), and with which scopes.
async fn caller<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: Option<&str>,
    headers: &HeaderMap,
) -> Result<Allowed<GatewayUse>> {
    let challenge = |error: Error, code: &str| {
        challenged(error, metadata::url(tools, headers, server), code, &Scopes::of_gateway().to_string())
    };
    let token = web::session::bearer(headers).ok_or_else(|| challenge(Problem::unauthenticated().into(), ""))?;
    let session = tools.app().authenticate(token, Purpose::Gateway).await.map_err(|error| {
        // If the database does not answer, the token may be as good as before.
        if error.status() == StatusCode::UNAUTHORIZED { challenge(error, INVALID_TOKEN) } else { error }
    })?;
    if !session.resource().is_none_or(|resource| metadata::is_within(server, resource)) {
        let detail = "This token is for another address of the gateway. Sign in at this one.";
        return Err(challenge(Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).into(), INVALID_TOKEN));
    }
    // With more scopes it would be allowed.
    let is_scope_missing = session.access().roles_allow(&Action::Route(GatewayUse::NAME));
    session.allowed().map_err(|error| if is_scope_missing { challenge(error, INSUFFICIENT_SCOPE) } else { error })
}

/// An error with what a client is to do about it (RFC 6750, section 3; RFC 9728, section 5.1), if the installation knows its address.
fn challenged(error: Error, metadata: Option<String>, code: &str, scopes: &str) -> Error {
    let Some(url) = metadata else { return error };
    match HeaderValue::from_str(&format!("Bearer {code}resource_metadata=\"{url}\", scope=\"{scopes}\"")) {
        Ok(value) => error.with_header(header::WWW_AUTHENTICATE, value),
        Err(_) => error,
    }
}

/// A message, as far as it says which tool is called.
#[derive(Deserialize)]
struct MaybeCall<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Called<'a>,
}

#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Refuses a call for which the roles would do and the scopes do not, so that the client can ask its person for more (Model Context Protocol,
/// "Runtime insufficient scope"). What else is wrong with a message is said by whoever answers it.
fn check_scope<D: Database + 'static, H: Host>(
    gateway: &Gateway<D, H>,
    metadata: Option<String>,
    body: &[u8],
) -> Result<()> {
    let access = gateway.session.access();
    let Some(scopes) = access.scopes().filter(|scopes| !scopes.include_all_tools()) else { return Ok(()) };
    let Ok(call) = serde_json::from_slice::<MaybeCall<'_>>(body) else { return Ok(()) };
    if call.method != "tools/call" {
        return Ok(());
    }
    let Some((_, _, tool)) = gateway.offered().find(|(shown, ..)| *shown == call.params.name) else { return Ok(()) };
    let action = Action::CallTool { server: &tool.server, tool: &tool.name };
    if !access.roles_allow(&action) {
        return Ok(());
    }
    gateway.session.check(&action).map_err(|error| {
        let needed = action.needs();
        // With what the token has, so that nothing is lost when the new one replaces it.
        if !is_scope_token(&needed) {
            error
        } else {
            challenged(error, metadata, INSUFFICIENT_SCOPE, &format!("{scopes} {needed}"))
        }
    })
}

fn body_of(host: &impl Host, body: mcp::Body) -> Body {
    match body {
        mcp::Body::Empty => Body::empty(),
        mcp::Body::Json(bytes) => Body::from(bytes),
        mcp::Body::Events(events) => progress::body(host, events),
    }
}

impl<D: Database + 'static, H: Host> mcp::Provider for Gateway<D, H> {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        let rules = self.rules().await?;
        let may_call = |tool: &KnownTool| {
            self.session.access().allows(&Action::CallTool { server: &tool.server, tool: &tool.name })
        };
        let allowed = self.offered().filter(|(.., tool)| may_call(tool) && rules.effect(tool) != Effect::Deny);
        let mut description = Description {
            name: self.server.clone().unwrap_or_else(|| "edge-assistant".to_owned()),
            title: Some("Edge Assistant".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tools: allowed.map(|(shown, _, tool)| definition(shown, tool)).collect(),
            has_tasks: true,
            ttl_ms: Some(TTL_MS),
            private: true,
            ..Description::default()
        };
        self.describe_features(&rules, &mut description);
        Ok(Rc::new(description))
    }

    async fn read_resource(&self, uri: &str, context: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        self.resource(uri, &context).await
    }

    async fn get_prompt(&self, name: &str, arguments: Map, context: Context) -> Result<Answer<PromptContent>, Failure> {
        self.prompt_content(name, &arguments, &context).await
    }

    async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        self.completion(request).await
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        let Some((_, name, tool)) = self.offered().find(|(shown, ..)| *shown == call.name) else {
            return Err(Failure::Unknown(call.name));
        };
        let subject = called(tool, &call.arguments);
        let input = input::given(&self.tools, self.session.user_id(), subject, &call.context).await?;
        let told = call.context.wants_progress.then(Told::default);
        let can_wait = call.context.takes_task;
        let call = GatewayCall {
            one_server: self.server.clone(),
            input,
            tools: self.tools.clone(),
            listed: Rc::clone(&self.listed),
            user_id: self.session.user_id(),
            scopes: self.session.access().scopes().cloned(),
            preferences: self.preferences.clone(),
            name: name.to_owned(),
            arguments: call.arguments,
            can_wait,
            told: told.clone(),
        };
        // Boxed: it is most of a request, and would be moved again and again.
        let work = Box::pin(call.made());
        let Some(told) = told else { return work.await };
        let mut steps = Box::pin(steps(self.tools.host().clone(), told, work));
        match steps.next().await {
            Some(Step::End(end)) => end,
            Some(first) => Ok(Reply::Live(Box::pin(stream::once(ready(first)).chain(steps).map(notice)))),
            None => Err(Failure::Internal("The call has no end.".to_owned())),
        }
    }

    async fn task(&self, id: &str) -> Result<Task, Failure> {
        self.task_of(id).await
    }

    async fn ended_task(&self, id: &str) -> Result<Task, Failure> {
        self.ended_task_of(id).await
    }

    /// Takes note of answers. Servers elsewhere can ask nothing through the gateway, so none is outstanding, and others mean nothing.
    async fn update_task(&self, id: &str, _: Map) -> Result<(), Failure> {
        self.opened(id).await.map(drop)
    }

    async fn cancel_task(&self, id: &str) -> Result<(), Failure> {
        self.cancel_task_of(id).await
    }
}

fn called<'a>(tool: &'a KnownTool, arguments: &'a RawValue) -> Subject<'a> {
    Subject { server: tool.server.as_str(), method: "tools/call", name: tool.name.as_str(), arguments: arguments.get() }
}

fn notice(step: Step<std::result::Result<Reply, Failure>>) -> Notice {
    match step {
        Step::Progress(ToolProgress { progress, total, message }) => {
            Notice::Progress { progress, total, message: Some(message).filter(|message| !message.is_empty()) }
        }
        Step::End(Ok(Reply::Task(task))) => Notice::Task(task),
        Step::End(Ok(Reply::Done(outcome))) => Notice::Done(Ok(outcome)),
        // A provider asks before it works, or not at all.
        Step::End(Ok(Reply::NeedsInput(_) | Reply::Live(_))) => {
            Notice::Done(Ok(Outcome::error("It asks something after it has begun, which is not possible.")))
        }
        Step::End(Err(failure)) => Notice::Done(Err(failure)),
    }
}

/// A call that a program makes.
struct GatewayCall<D, H> {
    tools: Tools<D, H>,
    listed: Rc<Listed>,
    user_id: Id,
    scopes: Option<Scopes>,
    preferences: Preferences,
    name: String,
    arguments: Box<RawValue>,
    can_wait: bool,
    told: Option<Told>,
    /// What it can be asked, and what it answered.
    input: Input,
    /// The server at whose own address it is called.
    one_server: Option<String>,
}

impl<D: Database + 'static, H: Host> GatewayCall<D, H> {
    async fn made(self) -> std::result::Result<Reply, Failure> {
        let Self { tools, listed, user_id, scopes, preferences, name, arguments, can_wait, told, input, one_server } =
            self;
        let found = listed.catalog.find(&name).ok_or_else(|| Failure::Unknown(name.clone()))?;
        let id = Id::new().to_string();
        let world = CallWorld {
            tools: &tools,
            listed: &listed,
            user_id,
            scopes,
            preferences,
            run: None,
            can_wait,
            id,
            input,
            told,
            roles: RefCell::default(),
        };
        match execute(&world, &listed.catalog, &name, arguments.get()).await {
            Ok(Execution::Result { outcome, .. }) => {
                Ok(Reply::Done(readdressed(one_server.as_deref(), &found.server, outcome)))
            }
            Ok(Execution::Task { server, tool, task, .. }) => {
                gateway_tasks::given_out(&tools, user_id, server, tool, *task).await.map(Reply::Task)
            }
            Ok(Execution::InputNeeded(needed)) => {
                input::sealed(&tools, user_id, called(found, &arguments), needed).await.map(Reply::NeedsInput)
            }
            Ok(Execution::CapabilityNeeded(missing)) => Err(missing.into()),
            // Only runs can wait, and only runs have leases.
            Ok(Execution::ApprovalNeeded { .. } | Execution::LeaseLost) => {
                let words = "This call needs a person's approval, which cannot be had here.";
                Ok(Reply::Done(Outcome::error(words)))
            }
            Err(error) => {
                let fields = serde_json::json!({ "tool": name, "cause": error.to_string() });
                web::log::log(COMPONENT, web::log::Level::Error, "a call cannot be judged", fields);
                Err(Failure::Internal("The call cannot be made at the moment. Try again later.".to_owned()))
            }
        }
    }
}

fn definition(name: &str, tool: &KnownTool) -> mcp::Tool {
    mcp::Tool {
        name: name.to_owned(),
        title: tool.title.clone(),
        description: Some(tool.description.clone()),
        input_schema: tool.input_schema.clone(),
        output_schema: tool.output_schema.clone(),
        annotations: mcp::Annotations {
            title: None,
            read_only: Some(tool.annotations.read_only),
            destructive: Some(tool.annotations.destructive),
            idempotent: Some(tool.annotations.idempotent),
            open_world: Some(tool.annotations.open_world),
        },
        // Whoever takes no task waits here instead, so none is required.
        execution: ToolExecution {
            task_support: match tool.task_support {
                TaskSupport::Forbidden => TaskSupport::Forbidden,
                TaskSupport::Optional | TaskSupport::Required => TaskSupport::Optional,
            },
        },
        meta: None,
    }
}
