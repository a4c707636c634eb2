//! `POST /internal/offers`, for `stream`: what a run's model may be offered, which is everything that is not denied to the person and has of
//! them what it needs. Definitions cost every request, and what cannot work yet confuses models.

use std::collections::BTreeSet;

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
    let entered =
        if listed.has_secrets() { tools.store().tool_secret_names(holder.user_id).await? } else { Vec::new() };
    let is_configured = |tool: &Tool| {
        let is_entered = |name: &str| entered.iter().any(|(server, entered)| *server == tool.server && entered == name);
        listed.secrets_of(tool).all(|secret| secret.optional || is_entered(&secret.name))
    };
    let allowed = listed.catalog.iter().filter(|(_, tool)| rules.effect(tool) != Effect::Deny);
    let (usable, wanting): (Vec<_>, Vec<_>) = allowed.partition(|(_, tool)| is_configured(tool));
    let offer = |(name, tool): (&str, &Tool)| Offer {
        name: name.to_owned(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
    };
    let unconfigured: BTreeSet<_> = wanting.into_iter().map(|(_, tool)| tool.server.clone()).collect();
    Ok(Json(Offers {
        items: usable.into_iter().map(offer).collect(),
        unconfigured: unconfigured.into_iter().collect(),
    }))
}
