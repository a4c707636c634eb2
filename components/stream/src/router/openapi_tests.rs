//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::{
    router,
    tests::{config, scripted},
};
use crate::{
    events, model_list,
    programs::{self, tests::WAYS},
    providers,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        events::events,
        model_list::list,
        programs::chat_completions,
        programs::responses,
        programs::embeddings,
        programs::models::list,
        programs::models::one,
        providers::list,
        providers::set,
        providers::remove,
        providers::test,
    ),
    tags(
        (name = "Run events", description = "What happens in a run, as it happens."),
        (name = "Models", description = "The models that one may use."),
        (name = "Models for programs", description = "What programs say to models, in OpenAI's API."),
        (name = "Providers of models", description = "Who has models. Administrators add, change, test and remove providers; those of the configuration are changed there."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| {
        router_test::openapi::compare(Description::openapi(), |app| router(app, config("", ""), scripted, WAYS)).await;
    });
}
