//! What tools may do unasked: `/api/tools/policies`, and the rules that hold for a caller.

use axum::extract::State;
use domain::{Id, UserRole};
use http::StatusCode;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::tool_policies::{MAX_POLICIES, ToolPolicy};
use toolbox::{Effect, Policy, Tool, policy::exact_pattern};
use web::{Json, Query, Result, Session};

use crate::router::Tools;

/// The policies that hold for a caller.
pub(crate) struct Rules {
    pub(crate) installation: Vec<Policy>,
    pub(crate) user: Vec<Policy>,
    own: Vec<ToolPolicy>,
}

impl Rules {
    /// From what the operator configured and what is stored.
    pub(crate) fn new(configured: &[Policy], stored: Vec<ToolPolicy>) -> Self {
        let (installation, own): (Vec<_>, Vec<_>) = stored.into_iter().partition(|policy| policy.installation);
        Self {
            installation: configured.iter().cloned().chain(read(&installation)).collect(),
            user: read(&own).collect(),
            own,
        }
    }

    /// What happens when the caller has a tool called.
    pub(crate) fn effect(&self, tool: &Tool) -> Effect {
        toolbox::decide(tool, &self.installation, &self.user)
    }

    /// What the caller has said about exactly this tool.
    pub(crate) fn own(&self, tool: &Tool) -> Option<Effect> {
        let pattern = exact_pattern(tool);
        self.own.iter().find(|policy| policy.pattern == pattern).map(|policy| policy.effect)
    }
}

fn read(policies: &[ToolPolicy]) -> impl Iterator<Item = Policy> {
    policies.iter().filter_map(|policy| Policy::stored(&policy.pattern, policy.effect))
}

/// The rules for a caller.
pub(crate) async fn of(tools: &Tools, user_id: Id) -> Result<Rules> {
    Ok(Rules::new(&tools.config.policies, tools.store().tool_policies(user_id).await?))
}

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
    /// Everybody; only an administrator sets it.
    Installation,
}

/// `GET /api/tools/policies`: the caller's, and those of the installation.
pub(crate) async fn list(State(tools): State<Tools>, session: Session) -> Result<Json<PolicyList>> {
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
pub(crate) async fn set(
    State(tools): State<Tools>,
    session: Session,
    Json(new): Json<NewPolicy>,
) -> Result<Json<PolicyBody>> {
    let NewPolicy { pattern, effect, scope } = new;
    let owner = owner(&session, scope)?;
    Policy::parse(&pattern, effect).map_err(|error| Problem::invalid_field("pattern", format!("{error}.")))?;
    if !tools.store().set_tool_policy(owner, &pattern, effect).await? {
        let detail = format!("There are {MAX_POLICIES} policies already. Delete one first.");
        return Err(Problem::conflict("too_many_policies", detail).into());
    }
    Ok(Json(PolicyBody { pattern, effect, scope }))
}

#[derive(Deserialize)]
pub(crate) struct OldPolicy {
    pattern: String,
    #[serde(default)]
    scope: Scope,
}

/// `DELETE /api/tools/policies?pattern=`.
pub(crate) async fn delete(
    State(tools): State<Tools>,
    session: Session,
    Query(old): Query<OldPolicy>,
) -> Result<StatusCode> {
    tools.store().delete_tool_policy(owner(&session, old.scope)?, &old.pattern).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose policies are meant: `None` are the installation's.
fn owner(session: &Session, scope: Scope) -> Result<Option<Id>> {
    match scope {
        Scope::Own => Ok(Some(session.user_id())),
        Scope::Installation if session.0.role == UserRole::Admin => Ok(None),
        Scope::Installation => {
            let detail = "Only an administrator sets what holds for everybody.";
            Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into())
        }
    }
}
