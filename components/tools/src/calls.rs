//! `POST /internal/calls`, for `stream`: a call that a run's model wants.

use axum::extract::State;
use domain::Id;
use problem::Problem;
use storage::runs::Lease;
use toolbox::{
    Execution, execute,
    wire::{Call, Called},
};
use web::{Json, Result, Session};

use crate::{
    router::{Tools, here},
    world::{CallWorld, RunCall},
};

/// The longest arguments that `toolbox` reads, escaped in JSON, and the rest.
const MAX_BYTES: usize = 1024 * 1024;

pub(crate) async fn call(
    State(tools): State<Tools>,
    session: Session,
    Json(call): Json<Call<'static>, MAX_BYTES>,
) -> Result<Json<Called>> {
    let id = |text: &str| text.parse::<Id>().map_err(|_| Problem::not_found());
    let lease = Lease { run_id: id(&call.run_id)?, owner: id(&call.lease_owner)? };
    let listed = tools.listed().await?;
    let world = CallWorld {
        tools: &tools,
        user_id: session.user_id(),
        id: format!("{}:{}", call.run_id, call.call_id),
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
