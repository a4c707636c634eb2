//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::*;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(files::list, upload::create, files::read, files::delete, files::download, resumable::go_on),
    tags((name = "Files", description = "Files of one's own, which can be attached to messages.")),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| {
        router_test::openapi::compare(Description::openapi(), |app| router(tests::files(app))).await;
    });
}
