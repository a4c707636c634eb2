//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::*;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(results::search),
    tags((name = "Search", description = "Full-text search over what one said and was answered.")),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| router_test::openapi::compare(Description::openapi(), tests::routes).await);
}
