//! `POST /internal/offers`, for `stream`: what a run's model may be offered, which is everything that is not denied to the person.

use axum::extract::State;
use toolbox::{
    Effect, Tool,
    wire::{Executor, Offer, Offers},
};
use web::{Json, Result};

use crate::{calls, policies, router::Tools};

pub(crate) async fn list(State(tools): State<Tools>, Json(executor): Json<Executor<'static>>) -> Result<Json<Offers>> {
    let Some((_, user_id)) = calls::lease(&tools, &executor).await? else {
        return Ok(Json(Offers { items: Vec::new() }));
    };
    let listed = tools.listed().await?;
    let rules = policies::of(&tools, user_id).await?;
    let allowed = listed.catalog.iter().filter(|(_, tool)| rules.effect(tool) != Effect::Deny);
    let offer = |(name, tool): (&str, &Tool)| Offer {
        name: name.to_owned(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
    };
    Ok(Json(Offers { items: allowed.map(offer).collect() }))
}
