//! What a model may be offered: everything that is not denied to the caller.

use axum::extract::State;
use toolbox::wire::{Offer, Offers};
use web::{Json, Result, Session};

use crate::{policies, router::Tools};

/// `GET /internal/offers`, for `stream`.
pub(crate) async fn list(State(tools): State<Tools>, session: Session) -> Result<Json<Offers>> {
    let listed = tools.listed().await?;
    let rules = policies::of(&tools, session.user_id()).await?;
    let allowed = listed.catalog.iter().filter(|(_, tool)| rules.effect(tool) != toolbox::Effect::Deny);
    let offer = |(name, tool): (&str, &toolbox::Tool)| Offer {
        name: name.to_owned(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
    };
    Ok(Json(Offers { items: allowed.map(offer).collect() }))
}
