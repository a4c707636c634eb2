//! Accounts and sessions over HTTP requests.

use futures::executor::block_on;
use http::{HeaderValue, header};
use identity::link_token::LinkToken;
use router_test::{Answer, Fixture, request};
use serde_json::{Value, json};
use storage::accounts::AccountChange;

use super::*;
use crate::config::Signup;

/// The router without providers; `oidc/tests.rs` has some.
fn router(app: App<native_sqlite::SqliteFile>, config: Config) -> Router {
    super::router(app, config, SignIn::default())
}

fn send(fixture: &Fixture, signup: Signup, path: &str, body: Option<&Value>, cookie: Option<&str>) -> Answer {
    let config = Config { signup, ..Config::default() };
    let method =
        if path == "/auth/me" || (path == "/auth/signup" && body.is_none()) { Method::GET } else { Method::POST };
    let mut request = request(method, path, None, body);
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
    }
    router_test::send(router(fixture.app.clone(), config), request)
}

fn sign_up(fixture: &Fixture) -> Answer {
    let body = json!({"email": "Ada@Example.org", "password": "correct horse", "name": "Ada"});
    send(fixture, Signup::Open, "/auth/signup", Some(&body), None)
}

/// The cookies of a response, as a browser would send them back.
fn cookies(answer: &Answer) -> String {
    let values = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    values.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}

#[test]
fn who_signs_up_is_signed_in() {
    let fixture = Fixture::default();
    let answer = sign_up(&fixture);
    assert_eq!((answer.status, &answer.json["user"]["email"]), (StatusCode::CREATED, &json!("ada@example.org")));
    assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
    for cookie in answer.headers.get_all(header::SET_COOKIE) {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    }
    let me = send(&fixture, Signup::Open, "/auth/me", None, Some(&cookies(&answer)));
    assert_eq!(me.json, answer.json["user"]);
    assert_eq!(sign_up(&fixture).json["code"], "email_taken");
}

#[test]
fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let fixture = Fixture::default();
    sign_up(&fixture);
    let log_in = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        send(&fixture, Signup::Open, "/auth/login", Some(&body), None)
    };
    assert_eq!(log_in("ada@example.org", "correct horse").status, StatusCode::OK);
    let (wrong, unknown) = (log_in("ada@example.org", "x"), log_in("eve@example.org", "x"));
    assert_eq!((wrong.status.as_u16(), &wrong.json["code"]), (401, &json!("invalid_credentials")));
    assert_eq!((wrong.status, &wrong.json["detail"]), (unknown.status, &unknown.json["detail"]));
}

fn refresh(fixture: &Fixture, cookies: &str) -> Answer {
    send(fixture, Signup::Open, "/auth/refresh", None, Some(cookies))
}

fn log_out(fixture: &Fixture, cookies: &str) -> Answer {
    send(fixture, Signup::Open, "/auth/logout", None, Some(cookies))
}

#[test]
fn a_refresh_whose_answer_was_lost_can_be_asked_for_again() {
    let fixture = Fixture::default();
    let first = cookies(&sign_up(&fixture));
    let (second, again) = (refresh(&fixture, &first), refresh(&fixture, &first));
    assert_eq!((second.status, again.status), (StatusCode::OK, StatusCode::OK));
    let token = |answer: &Answer| cookies(answer).split("; ").nth(1).map(str::to_owned);
    assert!(token(&second).is_some() && token(&second) == token(&again));
    assert_ne!(token(&second), first.split("; ").nth(1).map(str::to_owned));
    // A token that was used before that may have been stolen.
    let third = refresh(&fixture, &cookies(&again));
    assert_eq!(third.status, StatusCode::OK);
    assert_eq!(refresh(&fixture, &first).json["code"], "session_revoked");
    assert_eq!(refresh(&fixture, &cookies(&third)).json["code"], "session_ended");
}

#[test]
fn who_logs_out_with_whichever_cookie_cannot_come_back_with_any() {
    let fixture = Fixture::default();
    let body = json!({"email": "ada@example.org", "password": "correct horse"});
    sign_up(&fixture);
    for presented in 0..3 {
        let mut family = vec![cookies(&send(&fixture, Signup::Open, "/auth/login", Some(&body), None))];
        for used in 0..2 {
            family.push(cookies(&refresh(&fixture, &family[used])));
        }
        let out = log_out(&fixture, &family[presented]);
        assert_eq!((out.status, cookies(&out).as_str()), (StatusCode::NO_CONTENT, "ea_access=; ea_refresh="));
        for cookies in &family {
            let refused = refresh(&fixture, cookies);
            assert_eq!((refused.status.as_u16(), &refused.json["code"]), (401, &json!("session_ended")));
        }
    }
    assert_eq!(refresh(&fixture, "ea_refresh=rubbish").json["code"], "unauthenticated");
}

#[test]
fn a_program_gets_a_token_that_opens_nothing_here() {
    let fixture = Fixture::default();
    let session = cookies(&sign_up(&fixture));
    let made = send(&fixture, Signup::Open, "/auth/mcp-token", None, Some(&session));
    assert_eq!((made.status, &made.json["token_type"]), (StatusCode::CREATED, &json!("Bearer")));
    assert_eq!(made.json["expires_in"], 900);
    let token = made.json["access_token"].as_str().unwrap();
    for (method, path) in [(Method::GET, "/auth/me"), (Method::POST, "/auth/mcp-token")] {
        let config = Config { signup: Signup::Open, ..Config::default() };
        let refused = router_test::send(router(fixture.app.clone(), config), request(method, path, Some(token), None));
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (401, &json!("unauthenticated")), "{path}");
        assert!(refused.json["detail"].as_str().unwrap().contains("/mcp"), "{}", refused.json);
    }
    let refused = send(&fixture, Signup::Open, "/auth/me", None, Some(&format!("ea_access={token}")));
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn whether_an_account_can_be_made_is_known_before_anybody_fills_in_a_form() {
    let fixture = Fixture::default();
    let state = |signup| send(&fixture, signup, "/auth/signup", None, None).json;
    let says = |open: bool, first: bool, invite: bool| json!({"open": open, "first": first, "invite": invite, "providers": []});
    assert_eq!(state(Signup::Closed), says(true, true, false));
    assert_eq!(state(Signup::Invite), says(true, true, true));
    assert_eq!(state(Signup::Open), says(true, true, true));
    sign_up(&fixture);
    assert_eq!(state(Signup::Closed), says(false, false, false));
    assert_eq!(state(Signup::Invite), says(false, false, true));
    assert_eq!(state(Signup::Open), says(true, false, true));
}

#[test]
fn cookies_are_secure_when_a_proxy_says_that_the_person_came_over_https() {
    let fixture = Fixture::default();
    let body = json!({"email": "ada@example.org", "password": "correct horse"});
    let mut request = request(Method::POST, "/auth/signup", None, Some(&body));
    request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let config = Config { signup: Signup::Open, ..Config::default() };
    let answer = router_test::send(router(fixture.app.clone(), config), request);
    let secure = answer.headers.get_all(header::SET_COOKIE).iter();
    assert_eq!(secure.filter(|cookie| cookie.to_str().unwrap().contains("; Secure")).count(), 3);
}

#[test]
fn a_closed_installation_takes_its_first_account_and_no_other() {
    let fixture = Fixture::default();
    let sign_up = |email: &str| {
        let body = json!({"email": email, "password": "correct horse"});
        send(&fixture, Signup::Closed, "/auth/signup", Some(&body), None)
    };
    assert_eq!(sign_up("a@example.org").json["user"]["role"], "admin");
    assert_eq!(
        (sign_up("b@example.org").status.as_u16(), &sign_up("b@example.org").json["code"]),
        (403, &json!("signup_closed"))
    );
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

/// The secret of a new invitation.
fn invite(fixture: &Fixture, role: &str) -> String {
    let secret = LinkToken::new().unwrap();
    let store = fixture.app.store();
    let (admin, _) = block_on(store.user_by_email("ada@example.org", "")).unwrap().unwrap();
    block_on(store.create_invitation(&secret.hash(), role, (&admin).into(), 60_000)).unwrap().unwrap();
    secret.to_string()
}

#[test]
fn who_is_invited_gets_an_account_with_the_role_of_the_invitation_once() {
    let fixture = Fixture::default();
    sign_up(&fixture);
    let come = |signup, email: &str, invitation: Option<&str>| {
        let body = json!({"email": email, "password": "correct horse", "invitation": invitation});
        send(&fixture, signup, "/auth/signup", Some(&body), None)
    };
    let (one, other) = (invite(&fixture, "service"), invite(&fixture, "admin"));
    let uninvited = come(Signup::Invite, "b@example.org", None);
    assert_eq!(code(&uninvited), (403, "signup_closed"));
    assert!(uninvited.json["detail"].as_str().unwrap().contains("invitation"), "{}", uninvited.json);
    for wrong in ["", "x", &"a".repeat(64)] {
        assert_eq!(code(&come(Signup::Invite, "b@example.org", Some(wrong))), (403, "invitation_invalid"));
    }
    assert_eq!(code(&come(Signup::Closed, "b@example.org", Some(&one))), (403, "signup_closed"));
    assert_eq!(code(&come(Signup::Invite, "ada@example.org", Some(&one))), (409, "email_taken"), "it is not used up");
    let invited = come(Signup::Invite, "b@example.org", Some(&one));
    assert_eq!((invited.status.as_u16(), &invited.json["user"]["roles"]), (201, &json!(["service"])));
    assert_eq!(invited.json["user"]["role"], "user", "as releases before roles say it");
    assert_eq!(code(&come(Signup::Invite, "c@example.org", Some(&one))), (403, "invitation_invalid"));
    let invited = come(Signup::Open, "c@example.org", Some(&other));
    assert_eq!(invited.json["user"]["permissions"], json!(["*"]));
}

#[test]
fn a_link_sets_another_password_once_and_whoever_was_signed_in_is_out() {
    let fixture = Fixture::default();
    let first = cookies(&sign_up(&fixture));
    let (user, _) = block_on(fixture.app.store().user_by_email("ada@example.org", "")).unwrap().unwrap();
    let secret = LinkToken::new().unwrap();
    let store = fixture.app.store();
    block_on(store.create_password_reset(&secret.hash(), &user, (&user).into(), 60_000)).unwrap().unwrap();
    let reset = |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        send(&fixture, Signup::Closed, "/auth/password-reset", Some(&body), None)
    };
    assert_eq!(code(&reset("x", "battery staple")), (403, "link_invalid"));
    let same_as_address = reset(&secret.to_string(), "ada@example.org");
    assert_eq!((code(&same_as_address), &same_as_address.json["field"]), ((422, "invalid_field"), &json!("password")));
    let done = reset(&secret.to_string(), "battery staple");
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    assert!(cookies(&done).starts_with("ea_access=; ea_refresh=; ea_known_"), "the browser is known by the link");
    assert_eq!(code(&reset(&secret.to_string(), "another word")), (403, "link_invalid"));
    assert_eq!(code(&refresh(&fixture, &first)), (401, "session_ended"));
    let log_in = |password: &str| {
        let body = json!({"email": "ada@example.org", "password": password});
        send(&fixture, Signup::Closed, "/auth/login", Some(&body), None).status.as_u16()
    };
    assert_eq!((log_in("correct horse"), log_in("battery staple")), (401, 200));
}

#[test]
fn who_is_suspended_is_told_so_and_only_if_they_know_the_password() {
    let fixture = Fixture::default();
    sign_up(&fixture);
    let body = json!({"email": "b@example.org", "password": "correct horse"});
    let session = cookies(&send(&fixture, Signup::Open, "/auth/signup", Some(&body), None));
    let (user, _) = block_on(fixture.app.store().user_by_email("b@example.org", "")).unwrap().unwrap();
    let _ = fixture.change(&user, AccountChange { role: None, is_suspended: Some(true) });
    let log_in = |password: &str| {
        let body = json!({"email": "b@example.org", "password": password});
        send(&fixture, Signup::Open, "/auth/login", Some(&body), None)
    };
    assert_eq!(code(&log_in("correct horse")), (403, "account_suspended"));
    assert_eq!(code(&log_in("wrong horse")), (401, "invalid_credentials"));
    assert_eq!(code(&refresh(&fixture, &session)), (401, "session_ended"));
    let mut me = request(Method::GET, "/auth/me", None, None);
    me.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&session).unwrap());
    let config = Config { signup: Signup::Open, ..Config::default() };
    let answer = router_test::send(router(fixture.new_instance(), config), me);
    assert_eq!(code(&answer), (401, "unauthenticated"), "on another host, at once");
}

#[test]
fn each_field_that_cannot_be_taken_is_named() {
    let fixture = Fixture::default();
    for (field, body) in [
        ("email", json!({"email": "ada", "password": "correct horse"})),
        ("email", json!({"email": "\u{430}da@example.org", "password": "correct horse"})),
        ("password", json!({"email": "a@b.c", "password": "short"})),
        ("password", json!({"email": "a@b.c", "password": "Password1"})),
        ("name", json!({"email": "a@b.c", "password": "correct horse", "name": "x".repeat(101)})),
    ] {
        let answer = send(&fixture, Signup::Open, "/auth/signup", Some(&body), None);
        assert_eq!((answer.status.as_u16(), &answer.json["field"]), (422, &json!(field)));
    }
}

#[test]
fn a_person_makes_keys_for_their_programs_and_sees_each_once() {
    let fixture = Fixture::default();
    let session = cookies(&sign_up(&fixture));
    let ask = |method: Method, path: &str, body: Option<&Value>, key: Option<&str>| {
        let mut request = request(method, path, key, body);
        if key.is_none() {
            request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&session).unwrap());
        }
        let config = Config { signup: Signup::Open, ..Config::default() };
        router_test::send(router(fixture.app.clone(), config), request)
    };
    let make = |body: &Value| ask(Method::POST, "/auth/api-keys", Some(body), None);
    let made = make(&json!({"name": "script"}));
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let key = made.json["key"].as_str().unwrap();
    assert!(key.starts_with(made.json["prefix"].as_str().unwrap()));
    let scopes = made.json["scopes"].to_string();
    assert!(scopes.contains("gateway:use") && !scopes.contains("manage"), "what a program needs: {scopes}");
    let chosen = json!({"name": "n", "scopes": ["conversations:read"], "expires_at": "2999-01-01T00:00:00Z"});
    let chosen = make(&chosen).json;
    assert_eq!(
        (&chosen["scopes"], &chosen["expires_at"]),
        (&json!(["conversations:read"]), &json!("2999-01-01T00:00:00.000Z"))
    );
    for (field, body) in [
        ("name", json!({"name": " "})),
        ("scopes", json!({"name": "n", "scopes": ["everything"]})),
        ("scopes", json!({"name": "n", "scopes": []})),
        ("expires_at", json!({"name": "n", "expires_at": "2020-01-01T00:00:00Z"})),
        ("expires_at", json!({"name": "n", "expires_at": "tomorrow"})),
    ] {
        let refused = make(&body);
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (422, &json!(field)), "{body}");
    }
    let listed = ask(Method::GET, "/auth/api-keys", None, None);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2);
    assert!(!listed.text.contains(key) && listed.json["items"][1]["last_used_at"].is_null());
    for (method, path) in
        [(Method::GET, "/auth/me"), (Method::POST, "/auth/mcp-token"), (Method::GET, "/auth/api-keys")]
    {
        assert_eq!(code(&ask(method, path, None, Some(key))), (403, "key_not_allowed"), "{path}");
    }
    let path = format!("/auth/api-keys/{}", made.json["id"].as_str().unwrap());
    let (_, other) = fixture.person("b@example.org");
    assert_eq!(code(&ask(Method::DELETE, &path, None, Some(&other))), (404, "not_found"));
    assert_eq!(ask(Method::DELETE, &path, None, None).status, StatusCode::NO_CONTENT);
    assert_eq!(ask(Method::GET, "/auth/api-keys", None, None).json["items"].as_array().unwrap().len(), 1);
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| {
        router_test::permissions::compare_routes("auth", |app| {
            router(app, Config { signup: Signup::Open, ..Config::default() })
        })
        .await;
    });
}
