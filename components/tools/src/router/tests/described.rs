//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::*;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        crate::list::list,
        crate::policies::list,
        crate::policies::set,
        crate::policies::delete,
        crate::secrets::list,
        crate::secrets::set,
        crate::secrets::delete,
        crate::connections::list,
        crate::connections::connect,
        crate::connections::callback,
        crate::connections::disconnect,
        crate::client_document::client,
        crate::gateway::all,
        crate::gateway::one,
        crate::metadata::all,
        crate::metadata::first,
        crate::metadata::one,
    ),
    tags(
        (name = "Tools", description = "The tools that models and programs can call."),
        (name = "Policies", description = "What tools may do unasked."),
        (name = "Secrets of tools", description = "What people entrust to tools."),
        (name = "Connections", description = "Servers elsewhere that each person connects for themselves, over OAuth."),
        (name = "Gateway", description = "The same tools over the Model Context Protocol, for programs. It takes a token of its own kind or an API key, never a cookie."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |outside| {
        let routes = |app| router(Tools::<SqliteFile, _>::new(app, Config::default(), outside.clone(), Rc::default()));
        router_test::openapi::compare(Description::openapi(), routes).await;
    });
}
