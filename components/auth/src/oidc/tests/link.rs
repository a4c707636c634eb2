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
