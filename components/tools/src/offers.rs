//! `POST /internal/offers`, for `stream`: what a run's model may be offered. What could be offered to anybody is kept in the database, where
//! `stream` finds it the next time.

use axum::extract::State;
use problem::Problem;
use toolbox::{
    Offerable, OfferableTool, Tool,
    wire::{Executor, Offer, Offers},
};
use web::{
    Json, Result,
    log::{Level, log},
};

use crate::{COMPONENT, calls, listings::Listed, router::Tools};

/// What is longer is not kept: reading it for every run would cost more than asking.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

pub(crate) async fn list(State(tools): State<Tools>, Json(executor): Json<Executor<'static>>) -> Result<Json<Offers>> {
    // Whoever lost the lease hears so soon enough; an empty list would be remembered.
    let Some((_, holder)) = calls::lease(&tools, &executor, "").await? else { return Err(Problem::not_found().into()) };
    let listed = tools.listed().await?;
    let offerable = offerable(&listed);
    keep(&tools, &offerable, listed.ttl_ms());
    let person = tools.store().tool_offers(holder.user_id).await?;
    Ok(Json(offerable.for_person(&tools.config.policies, &person.denied, &person.secrets)))
}

fn offerable(listed: &Listed) -> Offerable {
    let tool = |(name, tool): (&str, &Tool)| OfferableTool {
        server: tool.server.clone(),
        name: tool.name.clone(),
        secrets: listed.secrets_of(tool).filter(|secret| !secret.optional).map(|secret| secret.name.clone()).collect(),
        offer: Offer {
            name: name.to_owned(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
        },
    };
    Offerable { tools: listed.catalog.iter().map(tool).collect() }
}

/// Keeps it for the runs to come; this one does not wait for it.
fn keep(tools: &Tools, offerable: &Offerable, ttl_ms: i64) {
    // An empty text is no list: whoever finds it asks.
    let json = serde_json::to_string(offerable).ok().filter(|json| json.len() <= MAX_KEPT_BYTES).unwrap_or_default();
    let tools = tools.clone();
    platform::spawn(async move {
        if let Err(error) = tools.store().save_offerable_tools(&json, ttl_ms).await {
            log(COMPONENT, Level::Warn, "offers cannot be kept", serde_json::json!({ "cause": error.to_string() }));
        }
    });
}
