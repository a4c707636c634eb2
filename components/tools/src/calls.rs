//! `POST /internal/calls`, for `stream`: a call that a run's model wants.

use axum::extract::State;
use domain::{Id, Timestamp, tool::ToolAnswer};
use http::HeaderMap;
use problem::Problem;
use storage::{Database, leases::Holder, runs::Lease};
use tool_catalogue::Host;
use toolbox::{
    Execution,
    arguments::MAX_ARGUMENTS_BYTES,
    execute,
    exposure::may_have_read_private,
    wire::{Call, Executor},
};
use web::{Json, Result, language};

use crate::{
    state::{Tools, here},
    world::{CallWorld, RunCall},
};

/// The longest arguments that `toolbox` reads, in which JSON may write a byte with six, and the rest.
const MAX_BYTES: usize = 6 * MAX_ARGUMENTS_BYTES + 16 * 1024;

pub(crate) async fn call<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    headers: HeaderMap,
    Json(call): Json<Call<'static>, MAX_BYTES>,
) -> Result<Json<ToolAnswer>> {
    let Some((lease, holder)) = lease(&tools, &call.executor, &call.call_id).await? else {
        return Ok(Json(ToolAnswer::LeaseLost));
    };
    let listed = tools.listed().await?;
    let has_read_private = may_have_read_private(&listed.catalog, &holder.called);
    let world = CallWorld {
        tools: &tools,
        listed: &listed,
        user_id: holder.user_id,
        locale: language::preferred(&headers),
        id: format!("{}:{}", lease.run_id, call.call_id),
        run: Some(RunCall {
            lease,
            call_id: call.call_id.into_owned(),
            name: call.name.to_string(),
            begun: holder.begun,
            has_read_private,
        }),
    };
    let execution = here(execute(&world, &listed.catalog, &call.name, &call.arguments)).await?;
    Ok(Json(match execution {
        Execution::Result { outcome, .. } => {
            ToolAnswer::Result { is_error: outcome.is_error, content: toolbox::text_for_model(&outcome) }
        }
        Execution::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at_ms } => {
            let expires_at = Timestamp::from_millis(expires_at_ms);
            ToolAnswer::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at }
        }
        Execution::LeaseLost => ToolAnswer::LeaseLost,
    }))
}

/// The lease that the executor holds, and whose run it is on. Only who executes a run knows the owner of its lease, and people's own
/// tokens may expire before their runs end (docs/adr/0016).
async fn lease<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    executor: &Executor<'_>,
    call_id: &str,
) -> Result<Option<(Lease, Holder)>> {
    let id = |text: &str| -> Result<Id> { text.parse().map_err(|_| Problem::not_found().into()) };
    let lease = Lease { run_id: id(&executor.run_id)?, owner: id(&executor.lease_owner)? };
    Ok(tools.store().holder_of(lease, call_id).await?.map(|holder| (lease, holder)))
}
