//! Linking an account that has a password.

use identity::second_factor::RecoveryCode;
use storage::second_factors::NewSecondFactor;

use super::*;

impl Installation {
    pub(super) fn has_account(&self, email: &str) -> domain::User {
        let body = json!({"email": email, "password": "correct horse"});
        assert_eq!(self.post("/auth/signup", &body, "").status, StatusCode::CREATED);
        block_on(self.fixture.app.store().user_by_email(email, "")).unwrap().unwrap().0
    }
}

#[test]
fn an_account_with_a_password_is_linked_only_after_the_password() {
    let installation = installation(&json!({}));
    let user = installation.has_account("ada@example.org");
    let answer = installation.sign_in(&json!({}));
    assert_eq!(outcome(&answer), ("/c/x", "link_account".to_owned()));
    let waiting = kept(&answer);
    let link =
        |password: &str, cookies: &str| installation.post("/auth/oidc/link", &json!({"password": password}), cookies);
    assert_eq!(code(&link("wrong horse", &waiting)), (401, "invalid_credentials"));
    assert_eq!(code(&link("correct horse", "")), (403, "link_invalid"));
    let linked = link("correct horse", &waiting);
    assert_eq!((linked.status.as_u16(), &linked.json["id"]), (200, &json!(user.id)));
    assert_eq!(installation.get("/auth/me", &kept(&linked)).json["id"], json!(user.id));
    assert_eq!(code(&link("correct horse", &waiting)), (403, "link_invalid"), "once");
    // From now on without it, whatever the address.
    let me = installation.get("/auth/me", &kept(&installation.sign_in(&json!({"email": "ada@new.example"}))));
    assert_eq!((&me.json["id"], &me.json["email"]), (&json!(user.id), &json!("ada@example.org")));
}

#[test]
fn an_account_with_a_second_factor_is_linked_only_with_a_code_too() {
    let installation = installation(&json!({}));
    let user = installation.has_account("ada@example.org");
    let recovery = RecoveryCode::set().unwrap();
    let hashes: Vec<String> = recovery.iter().map(RecoveryCode::hash).collect();
    let new =
        NewSecondFactor { sealed: "sealed", step: 1, recovery_hashes: &hashes, only_first: true, kept_session: None };
    assert!(block_on(installation.fixture.app.store().set_second_factor(&user, new)).unwrap());
    let waiting = kept(&installation.sign_in(&json!({})));
    let link = |code: Value| {
        let body = json!({"password": "correct horse", "code": code});
        installation.post("/auth/oidc/link", &body, &waiting)
    };
    let without = link(json!(null));
    assert_eq!((code(&without), kept(&without)), ((401, "second_factor_required"), String::new()));
    let wrong = link(json!(RecoveryCode::set().unwrap()[0].to_string()));
    assert_eq!((code(&wrong), kept(&wrong)), ((401, "invalid_code"), String::new()));
    assert_eq!(outcome(&installation.sign_in(&json!({}))).1, "link_account", "nothing is linked yet");
    let linked = link(json!(recovery[0].to_string()));
    assert_eq!((linked.status.as_u16(), &linked.json["id"]), (200, &json!(user.id)), "{}", linked.text);
    assert_eq!(installation.get("/auth/me", &kept(&linked)).json["id"], json!(user.id));
    installation.sign_in(&json!({}));
    let expected = [
        ("account.create", "ok"),
        ("session.log_in", "ok"),
        ("second_factor.set", "ok"),
        ("recovery_code.use", "refused"),
        ("recovery_code.use", "ok"),
        ("provider.link", "ok"),
        ("provider.log_in", "ok"),
    ];
    assert_eq!(audited(&installation), expected.map(|(action, outcome)| (action.to_owned(), outcome.to_owned())));
}

/// What was recorded and how it ended, the oldest first.
fn audited(installation: &Installation) -> Vec<(String, String)> {
    let records = block_on(installation.fixture.app.store().audit_records(None, None, 10)).unwrap();
    records.into_iter().rev().map(|record| (record.action, record.outcome)).collect()
}

#[test]
fn passwords_are_not_guessed_through_a_link() {
    let installation = installation(&json!({}));
    installation.has_account("ada@example.org");
    let waiting = kept(&installation.sign_in(&json!({})));
    let tried = |password: &str| {
        let answer = installation.post("/auth/oidc/link", &json!({"password": password}), &waiting);
        code(&answer).0
    };
    // As many as at the log-in, and together with those there.
    let checked = (0..200).take_while(|_| tried("wrong horse") == 401).count();
    assert!((10..200).contains(&checked), "{checked}");
    assert_eq!(tried("correct horse"), 429);
    let body = json!({"email": "ada@example.org", "password": "correct horse"});
    assert_eq!(code(&installation.post("/auth/login", &body, "")).0, 429);
}

#[test]
fn an_identity_is_listed_and_taken_off_with_the_password_and_its_sessions_end() {
    let installation = installation(&json!({"label": "Corp"}));
    installation.has_account("ada@example.org");
    let log_in = json!({"email": "ada@example.org", "password": "correct horse"});
    let by_password = kept(&installation.post("/auth/login", &log_in, ""));
    let list = |cookies: &str| installation.get("/auth/oidc/identities", cookies).json["items"].clone();
    assert_eq!(list(&by_password), json!([]));
    let waiting = kept(&installation.sign_in(&json!({})));
    let linked = kept(&installation.post("/auth/oidc/link", &json!({"password": "correct horse"}), &waiting));
    let items = list(&linked);
    assert_eq!((&items[0]["issuer"], &items[0]["label"]), (&json!(ISSUER), &json!("Corp")));
    assert_eq!((&items[0]["email"], items.as_array().unwrap().len()), (&json!("ada@example.org"), 1));

    let remove = |issuer: &str, password: &str| {
        let by_password = kept(&installation.post("/auth/login", &log_in, ""));
        let body = json!({"issuer": issuer, "password": password});
        installation.post("/auth/oidc/identities/remove", &body, &by_password)
    };
    assert_eq!(code(&remove(ISSUER, "wrong horse")), (422, "invalid_field"));
    assert_eq!(code(&remove("https://other.example", "correct horse")), (404, "not_found"));
    assert_eq!(remove(ISSUER, "correct horse").status, StatusCode::NO_CONTENT);
    assert_eq!(installation.post("/auth/refresh", &json!(null), &linked).status, StatusCode::UNAUTHORIZED);
    assert_eq!(installation.post("/auth/refresh", &json!(null), &by_password).status, StatusCode::OK);
    let again = kept(&installation.post("/auth/login", &log_in, ""));
    assert_eq!(list(&again), json!([]));
    let waiting = installation.sign_in(&json!({}));
    assert_eq!(outcome(&waiting).1, "link_account", "it opens the account no more");

    // In the session that began with it, one stays.
    let linked = kept(&installation.post("/auth/oidc/link", &json!({"password": "correct horse"}), &kept(&waiting)));
    let body = json!({"issuer": ISSUER, "password": "correct horse"});
    assert_eq!(installation.post("/auth/oidc/identities/remove", &body, &linked).status, StatusCode::NO_CONTENT);
    assert_eq!(installation.post("/auth/refresh", &json!(null), &linked).status, StatusCode::OK);
}

#[test]
fn the_only_way_into_an_account_is_not_taken_off() {
    let installation = installation(&json!({}));
    let session = kept(&installation.sign_in(&json!({})));
    let body = json!({"issuer": ISSUER, "password": "anything"});
    assert_eq!(code(&installation.post("/auth/oidc/identities/remove", &body, &session)), (409, "only_way_in"));
    assert_eq!(location(&installation.sign_in(&json!({}))), "/c/x");
}
