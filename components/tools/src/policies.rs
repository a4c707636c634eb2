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

#[derive(Serialize)]
pub(crate) struct PolicyList {
    items: Vec<PolicyBody>,
}

#[derive(Serialize)]
pub(crate) struct PolicyBody {
    pattern: String,
    effect: Effect,
    scope: Scope,
}

/// For whom a policy holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// The caller.
    #[default]
    Own,
    /// Everybody; it takes another permission to set it.
    Installation,
}

/// `GET /api/tools/policies`: the caller's, and those of the installation.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPolicy {
    pattern: String,
    effect: Effect,
    #[serde(default)]
    scope: Scope,
}

/// `PUT /api/tools/policies`.
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
pub(crate) struct OldPolicy {
    pattern: String,
    #[serde(default)]
    scope: Scope,
}

/// `DELETE /api/tools/policies?pattern=`.
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
