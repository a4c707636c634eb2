//! `POST /internal/calls`, for `stream`: a call that a run's model wants.

use std::{cell::RefCell, rc::Rc};

use axum::{body::Body, extract::State};
use bytes::Bytes;
use domain::{Timestamp, tool::ToolAnswer};
use futures::{StreamExt, future::ready, stream};
use http::HeaderMap;
use mcp::Input;
use serde_json::json;
use storage::{Database, leases::Holder, runs::Lease};
use tool_catalogue::{Host, Listed};
use toolbox::{
    Chosen, Execution,
    arguments::MAX_ARGUMENTS_BYTES,
    execute,
    exposure::{may_have_read_others, may_have_read_private},
    policy::MAX_CHOSEN_BYTES,
    wire::{Call, Executor, Said},
};
use web::{
    Inside, Json, Preferences, Result,
    inside::Stream,
    log::{Level, log},
};

use crate::{
    config::COMPONENT,
    connected_lists::listed_for,
    progress::{self, Step, Told, steps},
    state::{Tools, here},
    tasks::id,
    world::{CallWorld, RunCall},
};

/// The longest arguments that `toolbox` reads, in which JSON may write a byte with six, the patterns of tools, and the rest.
const MAX_BYTES: usize = 6 * MAX_ARGUMENTS_BYTES + MAX_CHOSEN_BYTES + 16 * 1024;

pub(crate) async fn call<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    inside: Inside<Stream>,
    headers: HeaderMap,
    Json(call): Json<Call<'static>, MAX_BYTES>,
) -> Result<Body> {
    let Some((lease, holder)) = lease(&tools, &inside, &call.executor, &call.call_id).await? else {
        return Ok(Body::from(line(&Said::Answer(ToolAnswer::LeaseLost))));
    };
    let preferences = preferences(&tools, lease, &holder, Preferences::of(&headers)).await?;
    let listed = listed_for(&tools, holder.user_id).await?.take();
    here(async move {
        let (host, told) = (tools.host().clone(), Told::default());
        let work = made(tools, listed, lease, holder, preferences, call, told.clone());
        let mut steps = Box::pin(steps(host.clone(), told, work));
        // What ends at once can still fail as a whole.
        match steps.next().await {
            Some(Step::End(answer)) => Ok(Body::from(line(&Said::Answer(answer?)))),
            first => {
                let said =
                    stream::iter(first).chain(steps).filter_map(|step| ready(said(step))).map(|said| line(&said));
                Ok(progress::body(&host, said.boxed_local()))
            }
        }
    })
    .await
}

/// A line of the answer. Without an answer as the last, whoever reads it knows that there is none.
fn said(step: Step<Result<ToolAnswer>>) -> Option<Said> {
    match step {
        Step::Progress(progress) => Some(Said::Progress(progress)),
        Step::End(Ok(answer)) => Some(Said::Answer(answer)),
        Step::End(Err(error)) => {
            log(COMPONENT, Level::Error, "a call cannot be judged", json!({ "cause": error.causes() }));
            None
        }
    }
}

fn line(said: &Said) -> Bytes {
    // There is nothing in it that JSON has no form for.
    let mut line = serde_json::to_vec(said).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// Makes a call.
async fn made<D: Database + 'static, H: Host>(
    tools: Tools<D, H>,
    listed: Rc<Listed>,
    lease: Lease,
    holder: Holder,
    preferences: Preferences,
    call: Call<'static>,
    told: Told,
) -> Result<ToolAnswer> {
    // What is in a file was written by anybody, and the model has read it.
    let has_read_any = call.began_elsewhere || holder.has_files;
    let has_read_private = has_read_any || may_have_read_private(&listed.catalog, &holder.called);
    let has_read_others = has_read_any || may_have_read_others(&listed.catalog, &holder.called);
    let world = CallWorld {
        tools: &tools,
        listed: &listed,
        user_id: holder.user_id,
        scopes: None,
        preferences,
        id: format!("{}:{}", lease.run_id, call.call_id),
        run: Some(RunCall {
            lease,
            call_id: call.call_id.into_owned(),
            name: call.name.to_string(),
            begun: holder.begun,
            chosen: Chosen::parse(call.chosen.as_deref()),
            unattended: call.unattended,
            has_read_private,
            has_read_others,
        }),
        input: Input::default(),
        can_wait: true,
        told: Some(told),
        roles: RefCell::default(),
    };
    Ok(match execute(&world, &listed.catalog, &call.name, &call.arguments).await? {
        Execution::Result { outcome, .. } => {
            ToolAnswer::Result { is_error: outcome.is_error, content: toolbox::text_for_model(&outcome) }
        }
        Execution::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at_ms } => {
            let expires_at = Timestamp::from_millis(expires_at_ms);
            ToolAnswer::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at }
        }
        Execution::Task { server, title, started_at_ms, .. } => {
            ToolAnswer::Task { server, title, started_at: Timestamp::from_millis(started_at_ms) }
        }
        // Only clients of the gateway are asked in this way.
        Execution::LeaseLost | Execution::InputNeeded(_) | Execution::CapabilityNeeded(_) => ToolAnswer::LeaseLost,
    })
}

/// What the reader says of themselves. The time zone stays that of the run's first call: it decides what a call does, so every attempt at it has the
/// same, and the person may approve it where it is another hour.
async fn preferences<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    lease: Lease,
    holder: &Holder,
    said: Preferences,
) -> Result<Preferences> {
    if let (None, Some(time_zone)) = (&holder.time_zone, &said.time_zone) {
        tools.store().keep_time_zone(lease, time_zone).await?;
    }
    Ok(Preferences { time_zone: holder.time_zone.clone().or(said.time_zone), ..said })
}

/// The lease that the executor holds, and whose run it is on: the run and the person of the caller's token. Only who executes a run knows the owner of its
/// lease, and people's own tokens may expire before their runs end (docs/adr/0016).
async fn lease<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    inside: &Inside<Stream>,
    executor: &Executor<'_>,
    call_id: &str,
) -> Result<Option<(Lease, Holder)>> {
    let lease = Lease { run_id: id(&executor.run_id)?, owner: id(&executor.lease_owner)? };
    inside.check_run(lease.run_id)?;
    let Some(holder) = tools.store().holder_of(lease, call_id).await? else { return Ok(None) };
    inside.check_person(holder.user_id)?;
    Ok(Some((lease, holder)))
}
