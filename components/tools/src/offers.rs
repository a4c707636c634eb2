//! `POST /internal/offers`, for `stream`: what a run's model may be offered. What of it holds for everybody is kept in the database, where `stream` finds
//! it the next time.

use axum::extract::State;
use problem::Problem;
use toolbox::{
    Effect, Offerable, OfferableTool, Tool,
    wire::{Executor, Offer, Offers},
};
use web::{
    Json, Result,
    log::{Level, log},
};

use crate::{
    COMPONENT, calls,
    config::Config,
    listings::{COMPOSED_TTL_MS, Listed},
    router::Tools,
};

/// What is longer is not kept: reading it for every run would cost more than asking.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

pub(crate) async fn list(State(tools): State<Tools>, Json(executor): Json<Executor<'static>>) -> Result<Json<Offers>> {
    // Whoever lost the lease hears so soon enough; an empty list would be remembered.
    let Some((_, holder)) = calls::lease(&tools, &executor, "").await? else { return Err(Problem::not_found().into()) };
    let offerable = offerable(&tools.config, &*tools.listed().await?);
    keep(&tools, &offerable).await;
    let person = tools.store().tool_offers(holder.user_id).await?;
    Ok(Json(offerable.to(person.stored(), &person.secrets)))
}

/// What may be offered to anybody: what the operator denies is not among it.
fn offerable(config: &Config, listed: &Listed) -> Offerable {
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
    let allowed =
        listed.catalog.iter().filter(|(_, tool)| toolbox::decide(tool, &config.policies, &[]) != Effect::Deny);
    Offerable { tools: allowed.map(tool).collect() }
}

/// It saves time later; nothing depends on it.
async fn keep(tools: &Tools, offerable: &Offerable) {
    let json = match serde_json::to_string(offerable) {
        Ok(json) if json.len() <= MAX_KEPT_BYTES => json,
        _ => return,
    };
    if let Err(error) = tools.store().save_offerable_tools(&json, COMPOSED_TTL_MS).await {
        log(COMPONENT, Level::Warn, "offers cannot be kept", serde_json::json!({ "cause": error.to_string() }));
    }
}
