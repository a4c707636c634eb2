//! `GET /api/tools`: the tools that the caller may call, for people and programs, with what holds for each.

use axum::extract::State;
use permissions::{
    Action, Required,
    table::{SettingsRead, ToolsRead},
};
use serde::Serialize;
use serde_json::value::RawValue;
use storage::Database;
use tool_catalogue::{Host, Problem};
use toolbox::{Effect, KnownTool};
use web::{Allowed, Json, Result};

use crate::{connected_lists::listed_for, rules, state::Tools};

/// The tools that the caller may call, and what is missing.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ToolList {
    items: Vec<ToolBody>,
    next_cursor: Option<String>,
    /// Servers and tools that are missing.
    problems: Vec<ProblemBody>,
}

/// What is missing, and why: a server that does not answer, a list that was cut, or a tool that is left out.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ToolProblem, example = json!({"server": "wiki", "tool": null, "message": "This server does not answer.", "advice": null})))]
struct ProblemBody {
    server: String,
    /// Null if it is about the whole server.
    tool: Option<String>,
    /// What is wrong.
    message: String,
    /// What to do, for whoever can: only with the permission `settings:read`.
    advice: Option<String>,
}

/// A tool.
#[expect(clippy::struct_excessive_bools, reason = "independent statements, as the protocol has them")]
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Tool, example = json!({"server": "clock", "name": "now", "title": "Current time", "description": "Tells the time in a time zone.", "input_schema": {"type": "object"}, "read_only": true, "destructive": false, "idempotent": true, "open_world": false, "always_asks": false, "remote": false, "policy": "allow", "own_policy": null})))]
struct ToolBody {
    server: String,
    name: String,
    /// Its name for people.
    title: String,
    /// What it does, for the model.
    description: String,
    /// The JSON Schema of its arguments.
    #[cfg_attr(test, schema(value_type = std::collections::BTreeMap<String, serde_json::Value>))]
    input_schema: Box<RawValue>,
    /// It changes nothing.
    read_only: bool,
    /// It may destroy something.
    destructive: bool,
    /// The same call again changes nothing more.
    idempotent: bool,
    /// It reaches others.
    open_world: bool,
    /// It asks before every call, whatever anybody allowed.
    always_asks: bool,
    /// Its server is elsewhere.
    remote: bool,
    /// What holds for the caller, from all policies together.
    policy: Effect,
    /// The caller's own policy for exactly this tool.
    own_policy: Option<Effect>,
}

/// Lists the tools that the caller may call.
///
/// All tools of all servers, with what holds for each. Of a server that does not answer, its last known tools are listed.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/tools", tag = "Tools", operation_id = "listTools",
    responses(
        (status = 200, description = "The tools, and what is missing.", body = ToolList),
    ),
))]
pub(crate) async fn list<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsRead>,
) -> Result<Json<ToolList>> {
    let listed = listed_for(&tools, session.user_id()).await?;
    let rules = rules::of(&tools, session.user_id()).await?;
    let body = |(_, tool): (&str, &KnownTool)| ToolBody {
        server: tool.server.clone(),
        name: tool.name.clone(),
        title: tool.title().to_owned(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
        read_only: tool.annotations.read_only,
        destructive: tool.annotations.destructive,
        idempotent: tool.annotations.idempotent,
        open_world: tool.annotations.open_world,
        always_asks: tool.always_asks,
        remote: tool.remote,
        policy: rules.effect(tool),
        own_policy: rules.own(tool),
    };
    let may_configure = session.access().allows(&Action::Route(SettingsRead::NAME));
    let problem = |problem: &Problem| ProblemBody {
        server: problem.server.clone(),
        tool: problem.tool.clone(),
        message: problem.message.clone(),
        advice: problem.advice.clone().filter(|_| may_configure),
    };
    let problems = listed.problems.iter().map(problem).collect();
    let may_call = |(_, tool): &(&str, &KnownTool)| {
        session.access().allows(&Action::CallTool { server: &tool.server, tool: &tool.name })
    };
    let items = listed.catalog.iter().filter(may_call).map(body).collect();
    Ok(Json(ToolList { items, next_cursor: None, problems }))
}
