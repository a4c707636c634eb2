//! What tools may do unasked: `/api/tools/policies`.

use axum::extract::State;
use domain::Id;
use http::StatusCode;
use permissions::{
    Action, Required,
    table::{PoliciesManage, ToolsManage, ToolsRead},
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    audit::AuditEvent,
    tool_policies::{MAX_POLICIES, ToolPolicy},
};
use tool_catalogue::Host;
use toolbox::{Effect, Policy};
use web::{Allowed, Json, Query, Result, Session};

use crate::state::Tools;

/// The caller's policies, and those for everybody.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PolicyList {
    items: Vec<PolicyBody>,
}

/// What tools may do unasked.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Policy, example = json!({"pattern": "mail:*", "effect": "ask", "scope": "own"})))]
pub(crate) struct PolicyBody {
    /// `server:tool`, where `*` stands for anything.
    pattern: String,
    effect: Effect,
    scope: Scope,
}

/// For whom a policy holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PolicyScope))]
enum Scope {
    /// The caller.
    #[default]
    Own,
    /// Everybody; it takes another permission to set it.
    Installation,
}

/// Lists the caller's policies, and those for everybody.
///
/// The policies of the setting `tool_policies` are not among them.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/tools/policies", tag = "Policies", operation_id = "listPolicies",
    responses(
        (status = 200, description = "The policies.", body = PolicyList),
    ),
))]
pub(crate) async fn list<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsRead>,
) -> Result<Json<PolicyList>> {
    let stored = tools.store().tool_policies(session.user_id()).await?;
    let body = |ToolPolicy { installation, pattern, effect }| {
        let scope = if installation { Scope::Installation } else { Scope::Own };
        PolicyBody { pattern, effect, scope }
    };
    Ok(Json(PolicyList { items: stored.into_iter().map(body).collect() }))
}

/// A policy to be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(example = json!({"pattern": "mail:*", "effect": "ask"})))]
pub(crate) struct NewPolicy {
    /// `server:tool`, where `*` stands for anything.
    pattern: String,
    effect: Effect,
    /// The caller, unless said otherwise.
    #[serde(default)]
    scope: Scope,
}

/// Sets a policy.
///
/// It replaces the one with the same pattern. One for everybody needs `policies:manage` besides. An `allow` changes nothing for a tool that always
/// asks.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/tools/policies", tag = "Policies", operation_id = "setPolicy",
    request_body = NewPolicy,
    responses(
        (status = 200, description = "The policy.", body = PolicyBody),
        (status = 403, description = "`forbidden`: a policy for everybody needs the permission `policies:manage`."),
        (status = 409, description = "`too_many_policies`: there are 500 already."),
    ),
))]
pub(crate) async fn set<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsManage>,
    Json(new): Json<NewPolicy>,
) -> Result<Json<PolicyBody>> {
    let NewPolicy { pattern, effect, scope } = new;
    let owner = owner(&session, scope)?;
    Policy::parse(&pattern, effect).map_err(|error| Problem::invalid_field("pattern", format!("{error}.")))?;
    if !tools.store().set_tool_policy(owner, &pattern, effect).await? {
        let detail = format!("There are {MAX_POLICIES} policies already. Delete one first.");
        return Err(Problem::conflict("too_many_policies", detail).into());
    }
    record(&tools, &session, owner, "policy.set", &pattern, Some(effect)).await?;
    Ok(Json(PolicyBody { pattern, effect, scope }))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct OldPolicy {
    /// Of the policy.
    pattern: String,
    /// The caller, unless said otherwise.
    #[serde(default)]
    scope: Scope,
}

/// Removes a policy.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/tools/policies", tag = "Policies", operation_id = "removePolicy",
    params(OldPolicy),
    responses(
        (status = 204, description = "There is no such policy any more."),
        (status = 403, description = "`forbidden`: a policy for everybody needs the permission `policies:manage`."),
    ),
))]
pub(crate) async fn delete<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsManage>,
    Query(old): Query<OldPolicy>,
) -> Result<StatusCode> {
    let owner = owner(&session, old.scope)?;
    tools.store().delete_tool_policy(owner, &old.pattern).await?;
    record(&tools, &session, owner, "policy.remove", &old.pattern, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose policies are meant: `None` are the installation's.
fn owner(session: &Session, scope: Scope) -> Result<Option<Id>> {
    match scope {
        Scope::Own => Ok(Some(session.user_id())),
        Scope::Installation => session.check(&Action::Route(PoliciesManage::NAME)).map(|()| None),
    }
}

/// A policy for everybody is an act of administration, which the audit record has. One's own is not.
async fn record<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    session: &Session,
    owner: Option<Id>,
    action: &str,
    pattern: &str,
    effect: Option<Effect>,
) -> Result<()> {
    if owner.is_some() {
        return Ok(());
    }
    let detail = effect.map(Effect::as_str);
    let event = AuditEvent { detail, ..AuditEvent::new(session.user_id(), action, pattern) };
    Ok(tools.store().append_audit(&event).await?)
}
