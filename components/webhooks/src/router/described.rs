//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::*;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        webhooks::list_own,
        webhooks::add_own,
        webhooks::remove_own,
        webhooks::test_own,
        webhooks::list_all,
        webhooks::add_all,
        webhooks::remove_all,
        webhooks::test_all,
    ),
    tags(
        (name = "Webhooks", description = "Addresses to which one's own events are told. docs/webhooks.md of the source is for receivers."),
        (name = "Webhooks of the installation", description = "Addresses to which everybody's events are told."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| {
        router_test::openapi::compare(Description::openapi(), |app| router(tests::webhooks(app))).await;
    });
}
