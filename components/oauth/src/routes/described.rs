//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::permission_tests::routes;
use crate::{authorization, grants, metadata, registration, token};

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        metadata::read,
        registration::register,
        authorization::begin,
        authorization::show,
        authorization::decide,
        token::exchange,
        token::revoke,
        grants::list,
        grants::end,
    ),
    tags(
        (name = "Programs that sign in", description = "The authorization server of the gateway: OAuth 2.1 for public clients, as the Model Context Protocol wants it."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| router_test::openapi::compare(Description::openapi(), routes).await);
}
