//! What a provider publishes: how often it is asked, and what of it is believed.

use super::*;

impl Installation {
    /// As if the keys had been asked for long ago.
    fn keys_were_asked_for_long_ago(&self) {
        let sql = "UPDATE identity_providers SET keys_at = 0";
        block_on(self.fixture.another_connection().query(storage::Statement::new("t", sql, []))).unwrap();
    }

    /// As if what the provider publishes had been asked for two hours ago.
    fn let_time_pass(&self) {
        let sql = "UPDATE identity_providers SET keys_at = 0, asked_at = 0, fetched_at = fetched_at - 7200000";
        block_on(self.fixture.another_connection().query(storage::Statement::new("t", sql, []))).unwrap();
    }
}

#[test]
fn new_keys_are_asked_for_once_when_a_token_needs_them() {
    let installation = installation(&json!({}));
    assert_eq!(location(&installation.sign_in(&json!({}))), "/c/x");
    let documents = |installation: &Installation| {
        let asked = std::mem::take(&mut installation.provider.script().asked);
        let of = |path: &str| asked.iter().filter(|asked| asked.as_str() == path).count();
        (of("/.well-known/openid-configuration"), of("/jwks"))
    };
    assert_eq!(documents(&installation), (1, 1));
    // Another instance, another host: what is known is in the database.
    installation.sign_in(&json!({}));
    assert_eq!(documents(&installation), (0, 0));
    installation.provider.rotate("two");
    assert_eq!(location(&installation.sign_in(&json!({}))), "/c/x");
    assert_eq!(documents(&installation), (0, 1));
    // Another key of the same id.
    installation.provider.rotate("two");
    assert_eq!(outcome(&installation.sign_in(&json!({}))).1, "refused", "keys were asked for a moment ago");
    assert_eq!(documents(&installation), (0, 0));
    installation.keys_were_asked_for_long_ago();
    assert_eq!(location(&installation.sign_in(&json!({}))), "/c/x");
    assert_eq!(documents(&installation), (0, 1));
    installation.provider.rotate("three");
    for _ in 0..3 {
        assert_eq!(outcome(&installation.sign_in(&json!({}))).1, "refused");
    }
    assert_eq!(documents(&installation), (0, 0), "whoever makes tokens does not make us ask");
}

#[test]
fn keys_that_another_host_has_fetched_in_this_moment_count() {
    let installation = installation(&json!({}));
    installation.sign_in(&json!({}));
    installation.provider.rotate("two");
    let (authorization, cookies) = installation.leave();
    installation.agree(&authorization, &json!({}));
    // While the code is redeemed, another host has asked for the keys and stores them.
    let store = installation.fixture.app.store();
    assert!(block_on(store.may_ask_for_keys(ISSUER, 0)).unwrap());
    let other = storage::Store::new(installation.fixture.another_connection());
    let keys = installation.provider.keys();
    installation.provider.script().on_token = Some(Box::new(move || {
        let stores = std::thread::spawn(move || block_on(other.keep_provider_keys(ISSUER, &keys)).unwrap());
        stores.join().unwrap();
    }));
    assert_eq!(location(&installation.come_back(&authorization, &cookies)), "/c/x");
}

#[test]
fn a_provider_that_does_not_answer_is_not_asked_by_everybody() {
    let installation = installation(&json!({}));
    installation.provider.script().is_down = true;
    let asked = || std::mem::take(&mut installation.provider.script().asked).len();
    for _ in 0..3 {
        outcome(&installation.get("/auth/oidc/login?provider=corp", ""));
    }
    assert_eq!(asked(), 1);
    installation.provider.script().is_down = false;
    installation.let_time_pass();
    let session = kept(&installation.sign_in(&json!({})));
    installation.let_time_pass();
    installation.provider.script().is_down = true;
    asked();
    for _ in 0..3 {
        assert!(
            location(&installation.get("/auth/oidc/login?provider=corp", "")).starts_with(ISSUER),
            "as it was known"
        );
    }
    assert_eq!(asked(), 1);
    installation.let_time_pass();
    assert_eq!(installation.post("/auth/logout", &json!(null), &session).status, StatusCode::OK);
    assert_eq!(asked(), 0, "nobody waits for it to log out");
}

#[test]
fn a_provider_that_is_down_is_said_to_be_and_one_does_not_lose_ones_place() {
    let installation = installation(&json!({}));
    installation.provider.script().is_down = true;
    let answer = installation.get("/auth/oidc/login?provider=corp&return_to=/c/x", "");
    assert_eq!(outcome(&answer), ("/c/x", "provider_unavailable".to_owned()));
    installation.provider.script().is_down = false;
    installation.let_time_pass();
    let (authorization, cookies) = installation.leave();
    installation.provider.script().is_down = true;
    let answer = installation.come_back(&authorization, &cookies);
    assert_eq!(outcome(&answer), ("/c/x", "provider_unavailable".to_owned()));
    installation.provider.script().is_down = false;
    for (query, told) in [
        ("error=access_denied", "denied"),
        ("error=server_error", "provider_unavailable"),
        ("", "provider_unavailable"),
    ] {
        let (authorization, cookies) = installation.leave();
        let state = parameter(&authorization, "state");
        let answer = installation.get(&format!("/auth/oidc/callback/corp?{query}&state={state}"), &cookies);
        assert_eq!(outcome(&answer), ("/c/x", told.to_owned()), "{query}");
    }
}

#[test]
fn a_discovery_document_that_leads_elsewhere_is_not_followed() {
    for wrong in [
        json!({"issuer": "https://evil.example"}),
        json!({"token_endpoint": "http://id.example.org/token"}),
        json!({"jwks_uri": "http://127.0.0.1/jwks"}),
        json!({"token_endpoint": null}),
    ] {
        let installation = installation(&json!({}));
        installation.provider.script().document = wrong.clone();
        let answer = installation.get("/auth/oidc/login?provider=corp", "");
        assert_eq!(outcome(&answer), ("/", "provider_unavailable".to_owned()), "{wrong}");
    }
}

#[test]
fn a_response_must_name_its_sender_if_the_provider_says_that_it_does() {
    let installation = installation(&json!({}));
    installation.provider.script().document = json!({"authorization_response_iss_parameter_supported": true});
    for (iss, told) in [("", "refused"), ("&iss=https://evil.example", "refused"), ("&iss=https://id.example.org", "")]
    {
        let (authorization, cookies) = installation.leave();
        installation.agree(&authorization, &json!({}));
        let state = parameter(&authorization, "state");
        let answer = installation.get(&format!("/auth/oidc/callback/corp?code=the-code&state={state}{iss}"), &cookies);
        assert_eq!(parameter(location(&answer), OUTCOME), told, "{iss}");
    }
}
