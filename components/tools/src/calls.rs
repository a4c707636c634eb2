//! `POST /internal/calls`, for `stream`: a call that a run's model wants.

use axum::extract::State;
use domain::Id;
use problem::Problem;
use storage::runs::Lease;
use toolbox::{
    Execution, execute,
    wire::{Call, Called, Executor},
};
use web::{Json, Result};

use crate::{
    router::{Tools, here},
    world::{CallWorld, RunCall},
};

/// The longest arguments that `toolbox` reads, escaped in JSON, and the rest.
const MAX_BYTES: usize = 1024 * 1024;

pub(crate) async fn call(
    State(tools): State<Tools>,
    Json(call): Json<Call<'static>, MAX_BYTES>,
) -> Result<Json<Called>> {
    let Some((lease, user_id)) = lease(&tools, &call.executor).await? else { return Ok(Json(Called::LeaseLost)) };
    let listed = tools.listed().await?;
    let world = CallWorld {
        tools: &tools,
        listed: &listed,
        user_id,
        id: format!("{}:{}", lease.run_id, call.call_id),
        run: Some(RunCall { lease, call_id: call.call_id.into_owned() }),
    };
    let execution = here(execute(&world, &listed.catalog, &call.name, &call.arguments)).await?;
    Ok(Json(match execution {
        Execution::Result { outcome, .. } => {
            Called::Result { is_error: outcome.is_error, content: toolbox::text_for_model(&outcome) }
        }
        Execution::ApprovalNeeded { server, title, expires_at_ms } => {
            Called::ApprovalNeeded { server, title, expires_at_ms }
        }
        Execution::LeaseLost => Called::LeaseLost,
    }))
}

/// The lease that the executor holds, and whose run it is on. Only who executes a run knows the owner of its lease, and people's own
/// tokens may expire before their runs end (docs/adr/0016).
pub(crate) async fn lease(tools: &Tools, executor: &Executor<'_>) -> Result<Option<(Lease, Id)>> {
    let id = |text: &str| text.parse::<Id>().map_err(|_| Problem::not_found());
    let lease = Lease { run_id: id(&executor.run_id)?, owner: id(&executor.lease_owner)? };
    Ok(tools.store().holder_of(lease).await?.map(|user_id| (lease, user_id)))
}
