//! Erasing one's account over HTTP requests.

use std::cell::Cell;

use futures::executor::block_on;
use http::{HeaderValue, header};
use identity::{second_factor::RecoveryCode, statement::StatementVerifier};
use router_test::{Answer, Fixture, request};
use serde_json::{Value, json};
use storage::{
    second_factors::NewSecondFactor,
    tool_connections::{NewConnection, NewTokens},
};

use super::*;
use crate::{
    config::{Config, Signup},
    oidc::SignIn,
    routes::router,
};

const PASSWORD: &str = "correct horse";

struct House {
    fixture: Fixture,
    grace_ms: i64,
}

impl House {
    fn new(grace_ms: i64) -> Self {
        let house = Self { fixture: Fixture::default(), grace_ms };
        house.sign_up("admin@example.org");
        house
    }

    fn send(&self, cookie: &str, method: Method, path: &str, body: &Value) -> Answer {
        let config = Config { signup: Signup::Open, erasure_grace_ms: self.grace_ms, ..Config::default() };
        let mut request = request(method, path, None, Some(body));
        request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        router_test::send(router(self.fixture.new_instance(), config, SignIn::default()), request)
    }

    /// The cookies of a new account.
    fn sign_up(&self, email: &str) -> String {
        let answer = self.send("", Method::POST, "/auth/signup", &json!({"email": email, "password": PASSWORD}));
        assert_eq!(answer.status, 201, "{}", answer.text);
        let values = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        values.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }

    fn log_in(&self, email: &str, keep_account: bool) -> Answer {
        let body = json!({"email": email, "password": PASSWORD, "keep_account": keep_account});
        self.send("", Method::POST, "/auth/login", &body)
    }

    fn erase(&self, cookie: &str, password: &str) -> Answer {
        self.send(cookie, Method::DELETE, "/api/account", &json!({"password": password}))
    }

    fn receipt(&self, token: &str) -> Answer {
        self.send("", Method::POST, "/api/account/receipt", &json!({"receipt_token": token}))
    }
}

async fn nothing_to_revoke(_: Id) {
    panic!("nothing is connected");
}

#[test]
fn what_was_connected_is_revoked_while_it_can_still_be_read() {
    let house = House::new(0);
    let ada = house.sign_up("ada@example.org");
    let store = house.fixture.app.store();
    let user = block_on(store.user_by_email("ada@example.org", "")).unwrap().unwrap().0;
    let tokens = NewTokens { access: "a", refresh: None, valid_for_ms: None };
    let connection = NewConnection { server: "wiki", url: "u", authority: "x", tokens, scope: "" };
    assert!(block_on(store.set_tool_connection(user.id, &connection)).unwrap());
    block_on(store.secrets_key(user.id)).unwrap();
    house.erase(&ada, PASSWORD);
    let revoked = Cell::new(None);
    let revoke = async |id| {
        assert!(store.secrets_key_to_read(id).await.unwrap().is_some(), "its key is there");
        revoked.set(Some(id));
    };
    block_on(erase_due(store, "", revoke)).unwrap();
    assert_eq!(revoked.get(), Some(user.id));
    assert_eq!(block_on(store.user(user.id)).unwrap(), None);
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

#[test]
fn whoever_asks_with_the_password_is_logged_out_and_can_come_back_only_to_keep_the_account() {
    let house = House::new(60_000);
    let ada = house.sign_up("ada@example.org");
    assert_eq!(code(&house.erase("", PASSWORD)), (401, "unauthenticated"));
    assert_eq!(code(&house.erase(&ada, "wrong")), (422, "invalid_field"));
    let asked = house.erase(&ada, PASSWORD);
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(house.send(&ada, Method::POST, "/auth/refresh", &json!({})).status, 401);
    let told = house.log_in("ada@example.org", false);
    assert_eq!(code(&told), (403, "erasure_pending"));
    assert!(told.json["detail"].as_str().unwrap().contains("To keep it"), "{}", told.text);
    let waiting = house.receipt(asked.json["receipt_token"].as_str().unwrap());
    assert_eq!((&waiting.json["erase_at"], &waiting.json["receipt"]), (&asked.json["erase_at"], &Value::Null));
    block_on(erase_due(house.fixture.app.store(), "", nothing_to_revoke)).unwrap();
    assert_eq!(house.log_in("ada@example.org", true).status, 200);
    assert_eq!(house.log_in("ada@example.org", false).status, 200, "it was taken back");
    assert_eq!(house.receipt(asked.json["receipt_token"].as_str().unwrap()).status, 404);
}

#[test]
fn an_account_is_erased_and_its_person_gets_a_receipt_that_anybody_can_verify() {
    let house = House::new(0);
    let ada = house.sign_up("ada@example.org");
    let store = house.fixture.app.store();
    let user = block_on(store.user_by_email("ada@example.org", "")).unwrap().unwrap().0;
    block_on(store.create_conversation(user.id, "mine", None)).unwrap();
    let asked = house.erase(&ada, PASSWORD);
    for _ in 0..2 {
        block_on(erase_due(store, "", nothing_to_revoke)).unwrap();
    }
    assert_eq!(code(&house.log_in("ada@example.org", true)), (401, "invalid_credentials"));
    let token = asked.json["receipt_token"].as_str().unwrap();
    let receipt = house.receipt(token);
    let keys = block_on(store.all_public_keys()).unwrap();
    let verifier = StatementVerifier::new(keys.iter().map(|(id, jwk)| (id.as_str(), jwk.as_str())));
    let receipt = receipt.json["receipt"].as_str().unwrap();
    let claims: ReceiptClaims = verifier.verified(About::Erasure, receipt).unwrap();
    assert_eq!((claims.person, claims.requested_by), (user.id, user.id));
    assert_eq!((claims.erased["conversations"], claims.erased["sessions"]), (1, 1));
    assert_eq!(house.receipt(&LinkToken::new().unwrap().to_string()).status, 404);
    house.sign_up("ada@example.org");
}

#[test]
fn the_last_administrator_is_told_why_not() {
    let house = House::new(0);
    let cookie = {
        let answer = house.log_in("admin@example.org", false);
        let values = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        values.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    };
    let refused = house.erase(&cookie, PASSWORD);
    assert_eq!(code(&refused), (409, "last_administrator"));
    assert!(refused.json["detail"].as_str().unwrap().contains("Make somebody else an administrator first"));
}

#[test]
fn the_password_alone_takes_nothing_back_where_there_is_a_second_factor_and_nobody_what_an_administrator_ordered() {
    let house = House::new(60_000);
    house.sign_up("ada@example.org");
    let store = house.fixture.app.store();
    let ada = || block_on(store.user_by_email("ada@example.org", "")).unwrap().unwrap().0;
    let codes = RecoveryCode::set().unwrap();
    let stored: Vec<String> = codes.iter().map(RecoveryCode::hash).collect();
    let new = NewSecondFactor { sealed: "s", step: 1, recovery_hashes: &stored, only_first: true, kept_session: None };
    assert!(block_on(store.set_second_factor(&ada(), new)).unwrap());
    let user = ada();
    block_on(store.request_erasure(&user, user.id, 60_000, None)).unwrap();
    assert_eq!(code(&house.log_in("ada@example.org", true)), (401, "second_factor_required"));
    let with = |typed: &str| {
        let body = json!({"email": "ada@example.org", "password": PASSWORD, "keep_account": true, "code": typed});
        house.send("", Method::POST, "/auth/login", &body)
    };
    assert_eq!(code(&with("aaaa-aaaa-aaaa-aaaa")), (401, "invalid_code"));
    assert!(ada().is_suspended);
    assert_eq!(with(&codes[0].to_string()).status, 200);
    assert!(!ada().is_suspended);

    house.sign_up("b@example.org");
    let b = block_on(store.user_by_email("b@example.org", "")).unwrap().unwrap().0;
    block_on(store.request_erasure(&b, ada().id, 60_000, None)).unwrap();
    assert_eq!(code(&house.log_in("b@example.org", true)), (403, "erasure_pending"));
}
