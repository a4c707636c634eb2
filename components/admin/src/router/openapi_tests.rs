//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::*;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        users::list,
        users::read,
        users::update,
        users::make_reset_link,
        users::remove_second_factor,
        invitations::list,
        invitations::create,
        invitations::revoke,
        groups::list,
        groups::create,
        groups::update,
        groups::delete,
        groups::members,
        groups::add_member,
        groups::remove_member,
        roles::list,
        roles::set,
        roles::delete,
        service_accounts::list,
        service_accounts::create,
        service_accounts::keys,
        service_accounts::create_key,
        service_accounts::revoke_key,
        sessions::list,
        sessions::end,
        keys::list,
        keys::rotate,
        settings::list,
        limits::list,
        limits::set,
        retention::list,
        retention::set,
        usage::list,
        audit::list,
        audit::export,
        audit_chain::read,
        erasures::list,
        erasures::request,
        erasures::take_back,
    ),
    // Only ever within a page, which would otherwise have it without its name.
    components(schemas(usage::UsageBody)),
    tags(
        (name = "People", description = "All accounts, their roles and their suspension."),
        (name = "Invitations", description = "Links that make one account each."),
        (name = "Groups", description = "Groups give roles to their members."),
        (name = "Roles", description = "Sets of permissions."),
        (name = "Service accounts", description = "Accounts for programs, and their keys."),
        (name = "Sessions", description = "Who is signed in."),
        (name = "Keys of the installation", description = "What signs and encrypts, and its rotation."),
        (name = "Installation", description = "How it is configured."),
        (name = "Limits", description = "Rates for roles and API keys, and budgets for people, groups, API keys and the installation."),
        (name = "Retention", description = "How long conversations are kept."),
        (name = "Usage of everybody", description = "What people use."),
        (name = "Record", description = "Who did what, sealed as a chain."),
        (name = "Erasures", description = "People have everything about them erased."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| {
        router_test::openapi::compare(Description::openapi(), |app| router(app, Config::default())).await;
    });
}
