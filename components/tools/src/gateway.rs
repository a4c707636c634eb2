//! `POST /mcp` and `POST /mcp/{server}`: the same tools for MCP clients outside, behind the same rules.
//!
//! A client proves who it is with a bearer token of ours that opens the gateway and nothing else, and goes no further. A cookie is not enough:
//! any page could send it along.

use std::rc::Rc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    response::Response,
};
use bytes::Bytes;
use domain::{Id, tool::ToolProgress};
use futures::{StreamExt, future::ready, stream};
use http::{HeaderMap, HeaderValue, header};
use identity::Purpose;
use mcp::{Description, Failure, Notice, Outcome, Reply, Settings, ToolCall};
use permissions::{Action, table::GatewayUse};
use problem::Problem;
use send_wrapper::SendWrapper;
use storage::Database;
use tool_catalogue::{Host, Listed};
use toolbox::{Effect, Execution, Tool, execute};
use web::{Allowed, Authenticator, Error, Result};

use crate::{
    config::COMPONENT,
    metadata,
    progress::{self, Step, Told, steps},
    rules,
    state::{Tools, here},
    world::CallWorld,
};

/// A request; arguments are most of it.
const MAX_BYTES: usize = 1024 * 1024;
/// How long clients may keep a list. It is one person's, and policies change.
const TTL_MS: u64 = 60_000;

/// `/mcp`.
pub(crate) async fn all<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    request: Request,
) -> Result<Response> {
    answer(tools, None, request).await
}

/// `/mcp/{server}`.
pub(crate) async fn one<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    Path(server): Path<String>,
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
    if server.as_ref().is_some_and(|name| !tools.config.servers.all.iter().any(|server| server.name == *name)) {
        return Err(Problem::not_found().into());
    }
    let body = Bytes::from(web::body::read(&head.headers, body, MAX_BYTES).await?.into_bytes());
    let listed = tools.listed().await?;
    let locale = web::language::preferred(&head.headers);
    let gateway = Gateway { listed: Rc::clone(&listed), tools: tools.clone(), server, session, locale };
    let response = here(async move {
        let settings = Settings::default();
        mcp::respond(&gateway, &settings, Request::from_parts(head, body)).await.map(SendWrapper::new)
    });
    Ok(response.await.map(|body| body_of(tools.host(), body.take())))
}

/// Whose token it is. Who has none is told where to learn how to get one (RFC 9728, section 5.1).
async fn caller<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: Option<&str>,
    headers: &HeaderMap,
) -> Result<Allowed<GatewayUse>> {
    let challenge = |error: Error| {
        let Some(url) = metadata::url(tools, headers, server) else { return error };
        match HeaderValue::from_str(&format!("Bearer resource_metadata=\"{url}\"")) {
            Ok(value) => error.with_header(header::WWW_AUTHENTICATE, value),
            Err(_) => error,
        }
    };
    let token = web::session::bearer(headers).ok_or_else(|| challenge(Problem::unauthenticated().into()))?;
    tools.app().authenticate(token, Purpose::Gateway).await.map_err(challenge)?.allowed()
}

fn body_of(host: &impl Host, body: mcp::Body) -> Body {
    match body {
        mcp::Body::Empty => Body::empty(),
        mcp::Body::Json(bytes) => Body::from(bytes),
        mcp::Body::Events(events) => progress::body(host, events),
    }
}

/// All servers, or one of them, as one server to one caller.
struct Gateway<D, H> {
    tools: Tools<D, H>,
    listed: Rc<Listed>,
    server: Option<String>,
    session: Allowed<GatewayUse>,
    locale: Option<String>,
}

impl<D, H> Gateway<D, H> {
    /// The tools by the names under which they are offered here: their own at their own server, else those that models use.
    fn offered(&self) -> impl Iterator<Item = (&str, &str, &Tool)> {
        let mine = |tool: &Tool| self.server.as_ref().is_none_or(|server| tool.server == *server);
        self.listed.catalog.iter().filter(move |(_, tool)| mine(tool)).map(|(name, tool)| {
            let shown = if self.server.is_some() && is_plain(&tool.name) { tool.name.as_str() } else { name };
            (shown, name, tool)
        })
    }
}

impl<D: Database + 'static, H: Host> mcp::Provider for Gateway<D, H> {
    async fn describe(&self) -> Result<Description, Failure> {
        let unavailable = |error: Error| {
            let fields = serde_json::json!({ "cause": error.causes() });
            web::log::log(COMPONENT, web::log::Level::Error, "the tools cannot be listed", fields);
            Failure::Internal("The tools cannot be listed at the moment. Try again later.".to_owned())
        };
        let rules = rules::of(&self.tools, self.session.user_id()).await.map_err(unavailable)?;
        let may_call =
            |tool: &Tool| self.session.access().allows(&Action::CallTool { server: &tool.server, tool: &tool.name });
        let allowed = self.offered().filter(|(.., tool)| may_call(tool) && rules.effect(tool) != Effect::Deny);
        Ok(Description {
            name: self.server.clone().unwrap_or_else(|| "edge-assistant".to_owned()),
            title: Some("Edge Assistant".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tools: allowed.map(|(shown, _, tool)| definition(shown, tool)).collect(),
            ttl_ms: Some(TTL_MS),
            private: true,
            ..Description::default()
        })
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        let Some((_, name, _)) = self.offered().find(|(shown, ..)| *shown == call.name) else {
            return Err(Failure::Unknown(call.name));
        };
        let told = call.context.wants_progress.then(Told::default);
        let call = GatewayCall {
            tools: self.tools.clone(),
            listed: Rc::clone(&self.listed),
            user_id: self.session.user_id(),
            locale: self.locale.clone(),
            name: name.to_owned(),
            arguments: call.arguments,
            told: told.clone(),
        };
        let work = call.made();
        let Some(told) = told else { return work.await.map(Reply::Done) };
        let mut steps = Box::pin(steps(self.tools.host().clone(), told, work));
        match steps.next().await {
            Some(Step::End(end)) => end.map(Reply::Done),
            Some(first) => Ok(Reply::Live(Box::pin(stream::once(ready(first)).chain(steps).map(notice)))),
            None => Err(Failure::Internal("The call has no end.".to_owned())),
        }
    }
}

fn notice(step: Step<std::result::Result<Outcome, Failure>>) -> Notice {
    match step {
        Step::Progress(ToolProgress { progress, total, message }) => {
            Notice::Progress { progress, total, message: Some(message).filter(|message| !message.is_empty()) }
        }
        Step::End(end) => Notice::Done(end),
    }
}

/// A call that a program makes.
struct GatewayCall<D, H> {
    tools: Tools<D, H>,
    listed: Rc<Listed>,
    user_id: Id,
    locale: Option<String>,
    name: String,
    arguments: Box<serde_json::value::RawValue>,
    told: Option<Told>,
}

impl<D: Database + 'static, H: Host> GatewayCall<D, H> {
    async fn made(self) -> std::result::Result<Outcome, Failure> {
        let Self { tools, listed, user_id, locale, name, arguments, told } = self;
        let id = Id::new().to_string();
        let world = CallWorld { tools: &tools, listed: &listed, user_id, locale, run: None, id, told };
        match execute(&world, &listed.catalog, &name, arguments.get()).await {
            Ok(Execution::Result { outcome, .. }) => Ok(outcome),
            // Only runs can wait, and only runs have leases.
            Ok(Execution::ApprovalNeeded { .. } | Execution::LeaseLost) => {
                Ok(Outcome::error("This call needs a person's approval, which cannot be had here."))
            }
            Err(error) => {
                let fields = serde_json::json!({ "tool": name, "cause": error.to_string() });
                web::log::log(COMPONENT, web::log::Level::Error, "a call cannot be judged", fields);
                Err(Failure::Internal("The call cannot be made at the moment. Try again later.".to_owned()))
            }
        }
    }
}

/// Whether every client takes the name (Model Context Protocol, "Tool Names"): some refuse a whole list for one that is not.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn definition(name: &str, tool: &Tool) -> mcp::Tool {
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
        meta: None,
    }
}
