//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::*;
use crate::{config::Signup, second_factor::challenge};

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        sign_up::state,
        sign_up::create,
        log_in,
        challenge::log_in,
        challenge::log_in_setup,
        challenge::log_in_confirm,
        refresh,
        log_out,
        gateway_token,
        jwks,
        me,
        account::reset_password,
        account::rename,
        account::change_password,
        api_keys::list,
        api_keys::create,
        api_keys::revoke,
        second_factor::read,
        second_factor::setup,
        second_factor::confirm,
        second_factor::remove,
        second_factor::renew_recovery_codes,
        erasure::request,
        erasure::receipt_keys,
        erasure::receipt,
        export::read,
        oidc::log_in,
        oidc::log_in_to,
        oidc::come_back,
        oidc::link::link,
        oidc::back_channel::log_out,
        oidc::identities::list,
        oidc::identities::remove,
    ),
    tags(
        (name = "Signing in", description = "Accounts are made and logged in to, and sessions begin, go on and end."),
        (name = "Account", description = "One's own account, a copy of everything in it, and its erasure."),
        (name = "Second factor", description = "Codes of an app (TOTP, RFC 6238) and recovery codes. Each counts once."),
        (name = "Providers to sign in with", description = "Signing in with an organisation's provider (OpenID Connect)."),
        (name = "API keys", description = "Keys of one's own programs."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| {
        router_test::openapi::compare(Description::openapi(), |app| {
            let config = Config { signup: Signup::Open, ..Config::default() };
            router(app, config, SignIn::default())
        })
        .await;
    });
}
