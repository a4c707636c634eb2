//! `POST /internal/offers`, for `stream`: what a run's model may be offered, which is everything that is not denied to the person.

use axum::extract::State;
use problem::Problem;
use toolbox::{
    Effect, Tool,
    wire::{Executor, Offer, Offers},
};
use web::{Json, Result};

use crate::{calls, policies, router::Tools};

pub(crate) async fn list(State(tools): State<Tools>, Json(executor): Json<Executor<'static>>) -> Result<Json<Offers>> {
    // Whoever lost the lease hears so soon enough; an empty list would be remembered.
    let Some((_, holder)) = calls::lease(&tools, &executor, "").await? else { return Err(Problem::not_found().into()) };
    let listed = tools.listed().await?;
    let rules = policies::of(&tools, holder.user_id).await?;
    let allowed = listed.catalog.iter().filter(|(_, tool)| rules.effect(tool) != Effect::Deny);
    let offer = |(name, tool): (&str, &Tool)| Offer {
        name: name.to_owned(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
    };
    Ok(Json(Offers { items: allowed.map(offer).collect() }))
}
