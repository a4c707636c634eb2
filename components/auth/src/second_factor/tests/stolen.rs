//! What whoever stole a password, a session or what was shown once cannot do with it.

use identity::{api_key::ApiKey, refresh_token};
use storage::{api_keys::NewApiKey, invitations::Maker, provider_sessions::ProviderSession};

use super::*;
use crate::COMPONENT;

#[test]
fn a_new_second_factor_ends_the_sessions_of_other_browsers() {
    let house = House::new(&[]);
    let own = Browser::of(&house.sign_up(EMAIL));
    let thief = Browser::of(&house.log_in());
    let begun = house.post(&own, "/auth/second-factor/setup", json!({"password": PASSWORD})).json;
    let secret = TotpSecret::parse(begun["secret"].as_str().unwrap()).unwrap();
    let body = json!({"setup": begun["setup"], "code": now(&secret)});
    assert_eq!(house.post(&own, "/auth/second-factor/confirm", body).status, 201);
    assert_eq!(code(&house.send(&thief, Method::POST, "/auth/refresh", None)), (401, "session_ended"));
    assert_eq!(house.post(&thief, "/auth/second-factor/remove", json!({"password": PASSWORD})).status, 401);
    let _ = house.refreshed(&own);
}

#[test]
fn a_key_of_a_person_or_of_a_program_is_no_challenge() {
    for role in [&[][..], &["admin"]] {
        let house = House::new(role);
        let _ = house.sign_up(EMAIL);
        let store = house.fixture.app.store();
        let maker = Maker::from(&house.user());
        let program = block_on(store.create_service_account("p", "p@programs.invalid", "admin", maker));
        for owner in [house.user().id, program.unwrap().unwrap().id] {
            let key = ApiKey::new().unwrap();
            let (text, hash) = (key.to_string(), key.hash());
            let new = NewApiKey { name: "k", prefix: "ea_", hash: &hash, scopes: "*", expires_at: None };
            block_on(store.create_api_key(owner, new, maker)).unwrap().unwrap();
            let challenge = json!({"challenge": *text, "code": "000000", "setup": "v1.x"});
            for path in ["", "/setup", "/confirm"] {
                let path = format!("/auth/login/second-factor{path}");
                let refused = house.post(&Browser::default(), &path, challenge.clone());
                assert_eq!(code(&refused), (401, "challenge_expired"), "{path}");
            }
        }
    }
}

#[test]
fn what_was_begun_is_void_when_the_account_has_changed_or_time_is_over() {
    let house = House::new(&[]);
    let browser = Browser::of(&house.sign_up(EMAIL));
    let begun = house.post(&browser, "/auth/second-factor/setup", json!({"password": PASSWORD})).json;
    let secret = TotpSecret::parse(begun["secret"].as_str().unwrap()).unwrap();
    let confirm = |browser: &Browser, setup: &Value| {
        let body = json!({"setup": setup, "code": now(&secret)});
        house.post(browser, "/auth/second-factor/confirm", body)
    };
    let auth = |fixture: &Fixture| block_on(web::issuing::issuer(COMPONENT, fixture.app.store(), "")).unwrap();
    let (issuer, time) = auth(&house.fixture);
    let store = house.fixture.app.store();
    let user = house.user();
    let key = block_on(store.secrets_key(user.id)).unwrap();
    for over in [(time.as_millis() - 1).to_string(), "soon".to_owned()] {
        let text = format!("{over}.{}.{}", user.access_version, *secret.base32());
        let refused = confirm(&browser, &json!(key.seal("", NEW, &text).unwrap()));
        assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("setup")), "{over}");
    }
    assert_eq!(confirm(&browser, &begun["setup"]).status, 201);
    let refused = confirm(&house.refreshed(&browser), &begun["setup"]);
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("setup")), "it was used");
    let long_ago = Timestamp::from_millis(time.as_millis() - 16 * 60 * 1000);
    let challenge = issuer.issue_challenge(&house.user(), long_ago).unwrap();
    assert_eq!(code(&house.answer(&challenge, &now(&secret))), (401, "challenge_expired"));
}

#[test]
fn many_known_browsers_guess_no_more_codes_than_the_account_allows() {
    let house = House::new(&[]);
    let (_, secret, codes) = house.protected();
    house.wait();
    let challenge = challenge(&house.log_in());
    let (issuer, _) = block_on(web::issuing::issuer(COMPONENT, house.fixture.app.store(), "")).unwrap();
    let (_, hash) = block_on(house.fixture.app.store().user_by_email(EMAIL, "")).unwrap().unwrap();
    let name = issuer.mark_name(EMAIL).unwrap();
    let collected: Vec<Browser> = (0..4)
        .map(|_| Browser(format!("ea_known_{name}={}", issuer.mark(EMAIL, hash.as_deref().unwrap()).unwrap())))
        .collect();
    let right = now(&secret);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let try_code = |browser: &Browser, typed: &str| {
        house.post(browser, "/auth/login/second-factor", json!({"challenge": challenge, "code": typed})).status.as_u16()
    };
    let checked = collected.iter().flat_map(|browser| (0..10).map(|_| try_code(browser, wrong)).collect::<Vec<_>>());
    assert_eq!(checked.filter(|status| *status == 401).count(), 30);
    assert_eq!(try_code(&collected[3], &right), 429);
    assert_eq!(try_code(&Browser::default(), &codes[0]), 200, "a recovery code helps");
}

#[test]
fn wrong_recovery_codes_are_recorded_and_have_an_end() {
    let house = House::new(&[]);
    let (_, _, codes) = house.protected();
    let challenge = challenge(&house.log_in());
    assert_eq!(code(&house.answer(&challenge, "aaaa-aaaa-aaaa-aaaa")), (401, "invalid_code"));
    assert!(house.recorded().contains(&("recovery_code.use".to_owned(), "refused".to_owned())));
    let refused = (0..100).map(|_| code(&house.answer(&challenge, "aaaa-aaaa-aaaa-aaaa")).0);
    assert_eq!(refused.filter(|status| *status == 429).count(), 1);
    assert_eq!(house.answer(&challenge, &codes[0]).status, 429);
}

#[test]
fn a_password_that_is_entered_again_is_not_checked_without_end_even_if_it_is_right() {
    let house = House::new(&[]);
    let browser = Browser::of(&house.sign_up(EMAIL));
    let setup = || house.post(&browser, "/auth/second-factor/setup", json!({"password": PASSWORD})).status.as_u16();
    assert_eq!((0..11).map(|_| setup()).filter(|status| *status == 200).count(), 10);
}

#[test]
fn a_password_alone_does_not_prolong_a_session_whose_role_needs_a_second_factor() {
    let mut house = House::new(&[]);
    let browser = Browser::of(&house.sign_up(EMAIL));
    house.roles = &["admin"];
    let body = json!({"password": PASSWORD, "new_password": "battery staple"});
    let refused = house.post(&browser, "/auth/password", body);
    assert_eq!(code(&refused), (401, "second_factor_setup_required"));
    assert_eq!(code(&house.log_in()), (401, "second_factor_setup_required"), "the password is the same");
}

#[test]
fn a_role_that_a_group_gives_needs_a_second_factor_too() {
    let house = House::new(&["auditor"]);
    assert_eq!(house.sign_up(EMAIL).status, 201);
    let store = house.fixture.app.store();
    let storage::groups::GroupSaved::Saved(group) =
        block_on(store.create_group("revision", &["auditor".to_owned()])).unwrap()
    else {
        panic!("the group was not made");
    };
    assert!(block_on(store.add_group_member(group.id, house.user().id)).unwrap());
    assert_eq!(code(&house.log_in()), (401, "second_factor_setup_required"));
}

#[test]
fn whoever_logs_in_elsewhere_is_not_asked_even_if_the_account_has_a_password() {
    let mut house = House::new(&[]);
    let _ = house.sign_up(EMAIL);
    house.roles = &["admin"];
    let store = house.fixture.app.store();
    let token = RefreshToken::new(domain::Id::new()).unwrap();
    let session =
        ProviderSession { issuer: "https://idp.example".into(), subject: "ada".into(), sid: None, hint: None };
    let lifetime_ms = refresh_token::LIFETIME_MS;
    let user = house.user();
    let hashes = hashes(&token);
    let begun = store.create_provider_session(token.session_id, &user, &hashes, &session, lifetime_ms);
    assert!(block_on(begun).unwrap());
    let _ = house.refreshed(&Browser(format!("ea_refresh={token}")));
}
