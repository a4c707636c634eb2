//! Second factors over HTTP requests.

use futures::executor::block_on;
use http::{HeaderValue, Method, header};
use identity::link_token::LinkToken;
use router_test::{Answer, Fixture, request};
use serde_json::{Value, json};
use storage::{Statement, accounts::AccountChange};

use super::*;
use crate::{
    config::{Config, Signup},
    oidc::SignIn,
    routes::router,
};

const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "correct horse";

/// An installation, and what its settings say about second factors.
struct House {
    fixture: Fixture,
    roles: &'static [&'static str],
}

/// A person's browser.
#[derive(Clone, Default)]
struct Browser(String);

impl House {
    fn new(roles: &'static [&'static str]) -> Self {
        Self { fixture: Fixture::default(), roles }
    }

    fn send(&self, browser: &Browser, method: Method, path: &str, body: Option<Value>) -> Answer {
        let config = Config {
            signup: Signup::Open,
            second_factor_roles: self.roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Config::default()
        };
        let mut request = request(method, path, None, body.as_ref());
        if !browser.0.is_empty() {
            request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&browser.0).unwrap());
        }
        // A new instance knows of every change at once.
        router_test::send(router(self.fixture.new_instance(), config, SignIn::default()), request)
    }

    fn post(&self, browser: &Browser, path: &str, body: Value) -> Answer {
        self.send(browser, Method::POST, path, Some(body))
    }

    fn sign_up(&self, email: &str) -> Answer {
        self.post(&Browser::default(), "/auth/signup", json!({"email": email, "password": PASSWORD}))
    }

    fn log_in(&self) -> Answer {
        self.post(&Browser::default(), "/auth/login", json!({"email": EMAIL, "password": PASSWORD}))
    }

    fn user(&self) -> User {
        block_on(self.fixture.app.store().user_by_email(EMAIL, "")).unwrap().unwrap().0
    }

    /// Ada, logged in, with a second factor.
    fn protected(&self) -> (Browser, TotpSecret, Vec<String>) {
        let browser = Browser::of(&self.sign_up(EMAIL));
        let begun = self.post(&browser, "/auth/second-factor/setup", json!({"password": PASSWORD}));
        assert_eq!(begun.status, 200, "{}", begun.text);
        let secret = TotpSecret::parse(begun.json["secret"].as_str().unwrap()).unwrap();
        let confirmation = json!({"setup": begun.json["setup"], "code": now(&secret)});
        let done = self.post(&browser, "/auth/second-factor/confirm", confirmation);
        assert_eq!(done.status, 201, "{}", done.text);
        (self.refreshed(&browser), secret, recovery_codes(&done))
    }

    /// The browser after it has renewed its session, which it does when its token is void.
    fn refreshed(&self, browser: &Browser) -> Browser {
        let refreshed = self.send(browser, Method::POST, "/auth/refresh", None);
        assert_eq!(refreshed.status, 200, "{}", refreshed.text);
        Browser::of(&refreshed)
    }

    /// Lets time pass for codes.
    fn wait(&self) {
        let sql = "UPDATE second_factors SET last_step = last_step - 10";
        block_on(storage::Database::query(&self.fixture.another_connection(), Statement::new("t", sql, []))).unwrap();
    }

    fn answer(&self, challenge: &str, code: &str) -> Answer {
        let body = json!({"challenge": challenge, "code": code});
        self.post(&Browser::default(), "/auth/login/second-factor", body)
    }

    fn recorded(&self) -> Vec<(String, String)> {
        let records = block_on(self.fixture.app.store().audit_records(None, None, 50)).unwrap();
        records.into_iter().rev().map(|record| (record.action, record.outcome)).collect()
    }
}

impl Browser {
    fn of(answer: &Answer) -> Self {
        let cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
        Self(cookies.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; "))
    }
}

fn now(secret: &TotpSecret) -> String {
    secret.code(Timestamp::now()).unwrap()
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

fn challenge(answer: &Answer) -> String {
    answer.json["challenge"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

fn recovery_codes(answer: &Answer) -> Vec<String> {
    serde_json::from_value(answer.json["recovery_codes"].clone()).unwrap()
}

#[test]
fn whoever_has_a_second_factor_logs_in_with_a_code_that_counts_once() {
    let house = House::new(&[]);
    let (_, secret, _) = house.protected();
    house.wait();
    let asked = house.log_in();
    assert_eq!(code(&asked), (401, "second_factor_required"));
    assert_eq!(Browser::of(&asked).0, "", "no session yet");
    let challenge = challenge(&asked);
    let right = now(&secret);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for typed in [wrong, "", "00000", "recovery"] {
        assert_eq!(code(&house.answer(&challenge, typed)), (401, "invalid_code"), "{typed}");
    }
    let entered = house.answer(&challenge, &right);
    assert_eq!((entered.status.as_u16(), &entered.json["user"]["email"]), (200, &json!(EMAIL)));
    assert_eq!(house.send(&Browser::of(&entered), Method::GET, "/auth/me", None).status, 200);
    assert_eq!(code(&house.answer(&challenge, &right)), (401, "invalid_code"), "it was used");
    let recorded = house.recorded();
    let of =
        |action: &str, outcome: &str| recorded.iter().filter(|done| **done == (action.into(), outcome.into())).count();
    assert_eq!((of("second_factor.set", "ok"), of("second_factor.code", "refused")), (1, 2), "{recorded:?}");
}

#[test]
fn a_challenge_opens_nothing_and_a_session_is_no_challenge() {
    let house = House::new(&[]);
    let (browser, secret, _) = house.protected();
    house.wait();
    let challenge = challenge(&house.log_in());
    for stolen in [format!("ea_access={challenge}"), format!("ea_refresh={challenge}")] {
        let stolen = Browser(stolen);
        assert_eq!(house.send(&stolen, Method::GET, "/auth/me", None).status, 401);
        assert_eq!(house.send(&stolen, Method::POST, "/auth/refresh", None).status, 401);
    }
    let access = browser.0.split("; ").find_map(|cookie| cookie.strip_prefix("ea_access=")).unwrap();
    for token in [access, "", "x"] {
        assert_eq!(code(&house.answer(token, &now(&secret))), (401, "challenge_expired"), "{token}");
    }
}

#[test]
fn a_recovery_code_counts_once_and_new_ones_void_the_others() {
    let house = House::new(&[]);
    let (browser, secret, codes) = house.protected();
    assert_eq!(codes.len(), 10);
    let challenge = challenge(&house.log_in());
    assert_eq!(house.answer(&challenge, &codes[0].to_uppercase().replace('-', " ")).status, 200);
    assert_eq!(code(&house.answer(&challenge, &codes[0])), (401, "invalid_code"));
    let left = |browser: &Browser| {
        house.send(browser, Method::GET, "/auth/second-factor", None).json["recovery_codes_left"].clone()
    };
    assert_eq!(left(&browser), 9);
    house.wait();
    let renewed = house.post(&browser, "/auth/second-factor/recovery-codes", json!({"code": now(&secret)}));
    assert_eq!((renewed.status.as_u16(), left(&browser)), (201, json!(10)));
    assert_eq!(code(&house.answer(&challenge, &codes[1])), (401, "invalid_code"));
    assert_eq!(house.answer(&challenge, &recovery_codes(&renewed)[0]).status, 200);
    assert!(house.recorded().contains(&("recovery_code.use".to_owned(), "ok".to_owned())));
}

#[test]
fn codes_cannot_be_guessed_and_whoever_tries_locks_nobody_out() {
    let house = House::new(&[]);
    let (browser, secret, codes) = house.protected();
    house.wait();
    let challenge = challenge(&house.log_in());
    let right = now(&secret);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let refused: Vec<_> = (0..11).map(|_| code(&house.answer(&challenge, wrong)).0).collect();
    assert_eq!(refused, [[401; 10].as_slice(), &[429]].concat());
    assert_eq!(code(&house.answer(&challenge, &right)), (429, "rate_limited"));
    let known = house.post(&browser, "/auth/login/second-factor", json!({"challenge": challenge, "code": right}));
    assert_eq!(known.status, 429, "a session's cookies are no mark of a known browser");
    assert_eq!(house.answer(&challenge, &codes[0]).status, 200);
    let entered = Browser::of(&house.answer(&challenge, &codes[1]));
    let known = house.post(&entered, "/auth/login/second-factor", json!({"challenge": challenge, "code": right}));
    assert_eq!(known.status, 200, "{}", known.text);
}

#[test]
fn whoever_has_a_role_that_needs_one_sets_it_up_before_there_is_a_session() {
    let house = House::new(&["admin"]);
    let asked = house.sign_up(EMAIL);
    assert_eq!((code(&asked), Browser::of(&asked).0.as_str()), ((401, "second_factor_setup_required"), ""));
    let asked = house.log_in();
    assert_eq!(code(&asked), (401, "second_factor_setup_required"));
    let challenge = challenge(&asked);
    assert_eq!(code(&house.answer(&challenge, "000000")), (401, "invalid_code"));
    let nobody = Browser::default();
    let begun = house.post(&nobody, "/auth/login/second-factor/setup", json!({"challenge": challenge}));
    let secret = TotpSecret::parse(begun.json["secret"].as_str().unwrap()).unwrap();
    assert!(begun.json["address"].as_str().unwrap().starts_with("otpauth://totp/"), "{}", begun.text);
    assert!(!begun.json["setup"].as_str().unwrap().contains(secret.base32().as_str()));
    let confirm = |code: &str, setup: &Value| {
        let body = json!({"challenge": challenge, "setup": setup, "code": code});
        house.post(&nobody, "/auth/login/second-factor/confirm", body)
    };
    let wrong = confirm("abc", &begun.json["setup"]);
    assert_eq!((code(&wrong), &wrong.json["field"]), ((422, "invalid_field"), &json!("code")));
    let wrong = confirm(&now(&secret), &json!("v1.x"));
    assert_eq!((code(&wrong), &wrong.json["field"]), ((422, "invalid_field"), &json!("setup")));
    let done = confirm(&now(&secret), &begun.json["setup"]);
    assert_eq!((done.status.as_u16(), recovery_codes(&done).len()), (201, 10));
    let browser = Browser::of(&done);
    assert_eq!(house.send(&browser, Method::GET, "/auth/me", None).status, 200);
    let state = house.send(&browser, Method::GET, "/auth/second-factor", None).json;
    assert_eq!((&state["enabled"], &state["required"]), (&json!(true), &json!(true)));
    let kept = house.post(&browser, "/auth/second-factor/remove", json!({"password": PASSWORD}));
    assert_eq!(code(&kept), (409, "second_factor_needed"));
    assert_eq!(code(&confirm(&now(&secret), &begun.json["setup"])), (401, "challenge_expired"));
    assert_eq!(house.sign_up("b@example.org").status, 201, "a member's role needs none");
}

#[test]
fn a_session_without_one_ends_when_the_role_comes_to_need_one() {
    let mut house = House::new(&[]);
    let browser = Browser::of(&house.sign_up(EMAIL));
    let browser = house.refreshed(&browser);
    house.roles = &["auditor", "admin"];
    let refused = house.send(&browser, Method::POST, "/auth/refresh", None);
    assert_eq!(code(&refused), (401, "second_factor_setup_required"));
    assert_eq!(house.send(&browser, Method::GET, "/auth/me", None).status, 401, "the session has ended");
}

#[test]
fn the_password_alone_replaces_no_second_factor() {
    let mut house = House::new(&[]);
    let browser = Browser::of(&house.sign_up(EMAIL));
    house.roles = &["admin"];
    // A thief of the password begins before the person is done.
    let challenge = challenge(&house.log_in());
    let thief = Browser::default();
    let begun = house.post(&thief, "/auth/login/second-factor/setup", json!({"challenge": challenge})).json;
    let theirs = TotpSecret::parse(begun["secret"].as_str().unwrap()).unwrap();
    let own = house.post(&browser, "/auth/second-factor/setup", json!({"password": PASSWORD})).json;
    let secret = TotpSecret::parse(own["secret"].as_str().unwrap()).unwrap();
    let done =
        house.post(&browser, "/auth/second-factor/confirm", json!({"setup": own["setup"], "code": now(&secret)}));
    assert_eq!(done.status, 201);
    for challenge in [challenge, self::challenge(&house.log_in())] {
        let body = json!({"challenge": challenge, "setup": begun["setup"], "code": now(&theirs)});
        let refused = house.post(&thief, "/auth/login/second-factor/confirm", body);
        assert!(matches!(refused.status.as_u16(), 401 | 409), "{}", refused.text);
    }
    let again = self::challenge(&house.log_in());
    let refused = house.post(&thief, "/auth/login/second-factor/setup", json!({"challenge": again}));
    assert_eq!(code(&refused), (409, "second_factor_exists"));
}

#[test]
fn a_challenge_is_void_when_the_account_changes() {
    let house = House::new(&[]);
    let (_, secret, _) = house.protected();
    house.wait();
    let store = house.fixture.app.store();
    let before = challenge(&house.log_in());
    let user = house.user();
    let link = LinkToken::new().unwrap();
    block_on(store.create_password_reset(&link.hash(), &user, (&user).into(), 60_000)).unwrap().unwrap();
    let reset = json!({"token": link.to_string(), "password": "battery staple"});
    assert_eq!(house.post(&Browser::default(), "/auth/password-reset", reset).status, 204);
    assert_eq!(code(&house.answer(&before, &now(&secret))), (401, "challenge_expired"));
    let log_in =
        |password: &str| house.post(&Browser::default(), "/auth/login", json!({"email": EMAIL, "password": password}));
    assert_eq!(code(&log_in(PASSWORD)), (401, "invalid_credentials"));
    let after = log_in("battery staple");
    assert_eq!(
        code(&after),
        (401, "second_factor_required"),
        "a link for the password does not replace the second factor"
    );
    let _ = house.sign_up("b@example.org");
    let (other, _) = block_on(store.user_by_email("b@example.org", "")).unwrap().unwrap();
    let _ = house.fixture.change(&other, AccountChange { role: Some("admin"), is_suspended: None });
    let _ = house.fixture.change(&house.user(), AccountChange { role: None, is_suspended: Some(true) });
    assert_eq!(code(&house.answer(&challenge(&after), &now(&secret))), (401, "challenge_expired"));
}

#[test]
fn whoever_finds_an_open_browser_changes_nothing_about_the_second_factor() {
    let house = House::new(&[]);
    let (browser, secret, codes) = house.protected();
    for path in ["setup", "remove", "recovery-codes"] {
        let path = format!("/auth/second-factor/{path}");
        for (proof, field) in [
            (json!({}), "password"),
            (json!({"password": "wrong"}), "password"),
            (json!({"code": "000"}), "code"),
            (json!({"code": "wrong-wrong"}), "code"),
        ] {
            let refused = house.post(&browser, &path, proof);
            assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!(field)), "{path}");
        }
    }
    assert_eq!(house.send(&Browser::default(), Method::GET, "/auth/second-factor", None).status, 401);
    house.wait();
    let begun = house.post(&browser, "/auth/second-factor/setup", json!({"code": now(&secret)})).json;
    let new = TotpSecret::parse(begun["secret"].as_str().unwrap()).unwrap();
    let replaced =
        house.post(&browser, "/auth/second-factor/confirm", json!({"setup": begun["setup"], "code": now(&new)}));
    assert_eq!(replaced.status, 201);
    house.wait();
    let challenge = challenge(&house.log_in());
    assert_eq!(code(&house.answer(&challenge, &codes[0])), (401, "invalid_code"), "codes of the one before");
    assert_eq!(house.answer(&challenge, &now(&new)).status, 200);
    let browser = house.refreshed(&browser);
    assert_eq!(house.post(&browser, "/auth/second-factor/remove", json!({"password": PASSWORD})).status, 204);
    let entered = house.log_in();
    assert_eq!(entered.status, 200, "the password is enough again");
    let nothing =
        house.post(&Browser::of(&entered), "/auth/second-factor/recovery-codes", json!({"password": PASSWORD}));
    assert_eq!(code(&nothing), (409, "no_second_factor"));
}

#[test]
fn somebody_elses_setup_is_refused() {
    let house = House::new(&[]);
    let [ada, eve] = [EMAIL, "eve@example.org"].map(|email| Browser::of(&house.sign_up(email)));
    let begun = house.post(&eve, "/auth/second-factor/setup", json!({"password": PASSWORD})).json;
    let secret = TotpSecret::parse(begun["secret"].as_str().unwrap()).unwrap();
    let body = json!({"setup": begun["setup"], "code": now(&secret)});
    let refused = house.post(&ada, "/auth/second-factor/confirm", body);
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("setup")));
}

#[test]
fn a_second_factor_whose_key_is_missing_is_said_to_be_unreadable_and_a_recovery_code_helps() {
    let house = House::new(&[]);
    let (_, secret, codes) = house.protected();
    house.wait();
    let sql = "UPDATE generated_keys SET key = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='";
    block_on(storage::Database::query(&house.fixture.another_connection(), Statement::new("t", sql, []))).unwrap();
    let challenge = challenge(&house.log_in());
    assert_eq!(code(&house.answer(&challenge, &now(&secret))), (409, "second_factor_unreadable"));
    assert_eq!(house.answer(&challenge, &codes[0]).status, 200);
}

#[test]
fn a_person_changes_name_and_password_and_other_browsers_are_out() {
    let house = House::new(&[]);
    let browser = Browser::of(&house.sign_up(EMAIL));
    let other = Browser::of(&house.log_in());
    let renamed = house.send(&browser, Method::PATCH, "/auth/me", Some(json!({"name": "Ada"})));
    assert_eq!((renamed.status.as_u16(), &renamed.json["name"]), (200, &json!("Ada")));
    let change = |password: &str, new: &str| {
        house.post(&browser, "/auth/password", json!({"password": password, "new_password": new}))
    };
    for (password, new, field) in [("wrong", "battery staple", "password"), (PASSWORD, "short", "new_password")] {
        let refused = change(password, new);
        assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!(field)));
    }
    let changed = change(PASSWORD, "battery staple");
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(house.send(&Browser::of(&changed), Method::GET, "/auth/me", None).status, 200);
    for old in [&browser, &other] {
        assert_eq!(code(&house.send(old, Method::POST, "/auth/refresh", None)), (401, "session_ended"));
    }
    assert_eq!(code(&house.log_in()), (401, "invalid_credentials"));
    let expected = [
        ("account.create", "ok"),
        ("session.log_in", "ok"),
        ("session.log_in", "ok"),
        ("password.change", "ok"),
        ("session.log_in", "refused"),
    ];
    assert_eq!(house.recorded(), expected.map(|(action, outcome)| (action.to_owned(), outcome.to_owned())));
}

mod stolen;
