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

#[derive(Serialize)]
pub(crate) struct ToolList {
    items: Vec<ToolBody>,
    next_cursor: Option<String>,
    problems: Vec<ProblemBody>,
}

/// What is missing, and why.
#[derive(Serialize)]
struct ProblemBody {
    server: String,
    tool: Option<String>,
    message: String,
    /// What to do, for whoever can.
    advice: Option<String>,
}

#[expect(clippy::struct_excessive_bools, reason = "independent statements, as the protocol has them")]
#[derive(Serialize)]
struct ToolBody {
    server: String,
    name: String,
    title: String,
    description: String,
    input_schema: Box<RawValue>,
    read_only: bool,
    destructive: bool,
    idempotent: bool,
    open_world: bool,
    /// It is asked about whatever anybody allowed.
    always_asks: bool,
    remote: bool,
    /// What holds for the caller.
    policy: Effect,
    /// What the caller has said about exactly this tool.
    own_policy: Option<Effect>,
}

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
