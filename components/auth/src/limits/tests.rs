//! Attempts to log in over HTTP requests, from several addresses and browsers.

use futures::executor::block_on;
use http::{HeaderName, HeaderValue, Method, header};
use identity::link_token::LinkToken;
use router_test::{Answer, Fixture, request};
use serde_json::json;
use storage::Statement;

use super::*;
use crate::{
    config::{Config, Signup},
    oidc::SignIn,
    routes::router,
};

const ADA: &str = "ada@example.org";
const STRANGER: &str = "203.0.113.7:4000";
const HOME: &str = "198.51.100.1:4000";
const PROXY: &str = "10.0.0.1:4000";

fn config() -> Config {
    Config { signup: Signup::Open, ..Config::default() }
}

fn send(fixture: &Fixture, path: &str, body: &serde_json::Value, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = request(Method::POST, path, None, Some(body));
    for (name, value) in headers {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let config = Config { client_address_header: Some(HeaderName::from_static("x-real-ip")), ..config() };
    router_test::send(router(fixture.app.clone(), config, SignIn::default()), request)
}

/// An installation with Ada's account, and the mark of the browser in which she made it.
fn installation() -> (Fixture, String) {
    let fixture = Fixture::default();
    let made = send(&fixture, "/auth/signup", &json!({"email": ADA, "password": "correct horse"}), &[]);
    let mark = mark_of(&made).unwrap();
    (fixture, mark)
}

/// The mark that an answer sets.
fn mark_of(answer: &Answer) -> Option<String> {
    let mut cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let mark = cookies.find(|cookie| cookie.starts_with("ea_known_") && !cookie.contains("Max-Age=0"))?;
    assert!(mark.contains("; HttpOnly") && mark.contains("; Path=/auth") && !mark.contains('@'), "{mark}");
    Some(mark.split(';').next()?.to_owned())
}

fn log_in(fixture: &Fixture, email: &str, password: &str, headers: &[(&'static str, &str)]) -> Answer {
    send(fixture, "/auth/login", &json!({"email": email, "password": password}), headers)
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

/// Tries wrong passwords until there are too many, and says how many were checked.
fn exhaust(fixture: &Fixture, email: &str, headers: &[(&'static str, &str)]) -> u32 {
    for tried in 0..200 {
        let answer = log_in(fixture, email, "wrong", headers);
        match code(&answer) {
            (401, "invalid_credentials") => {}
            (429, "rate_limited") => {
                let wait: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
                assert!(
                    wait > 0 && answer.json["detail"].as_str().unwrap().contains("Try again in "),
                    "{}",
                    answer.json
                );
                return tried;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("there is no limit");
}

#[test]
fn a_stranger_is_stopped_and_the_person_gets_in_from_elsewhere_and_in_a_known_browser() {
    let (fixture, mark) = installation();
    let from_stranger = [("spin-client-addr", STRANGER)];
    assert_eq!(exhaust(&fixture, ADA, &from_stranger), ADDRESS_AND_ACCOUNT.1);
    assert_eq!(
        code(&log_in(&fixture, ADA, "correct horse", &from_stranger)),
        (429, "rate_limited"),
        "not even this one"
    );
    assert_eq!(log_in(&fixture, ADA, "correct horse", &[("spin-client-addr", HOME)]).status, 200);
    let known = [("spin-client-addr", STRANGER), ("cookie", &mark)];
    assert_eq!(log_in(&fixture, ADA, "correct horse", &known).status, 200, "behind the same address");
    assert_eq!(code(&log_in(&fixture, "eve@example.org", "x", &from_stranger)), (401, "invalid_credentials"));
}

#[test]
fn an_account_that_does_not_exist_is_limited_like_one_that_does() {
    let (fixture, _) = installation();
    let from = [("spin-client-addr", STRANGER)];
    let [ada, nobody] = [ADA, "nobody@example.org"].map(|email| {
        let tried = exhaust(&fixture, email, &from);
        (tried, log_in(&fixture, email, "wrong", &from).json["detail"].clone())
    });
    assert_eq!(ada, nobody);
}

#[test]
fn attempts_that_succeed_do_not_count() {
    let (fixture, mark) = installation();
    let browsers: [&[(&'static str, &str)]; 2] = [&[("spin-client-addr", HOME)], &[("cookie", &mark)]];
    for headers in browsers {
        for _ in 0..KNOWN_BROWSER.1 + 2 {
            assert_eq!(log_in(&fixture, ADA, "correct horse", headers).status, 200);
        }
    }
}

#[test]
fn a_known_browser_is_known_for_its_account_alone_and_has_an_end_of_patience_too() {
    let (fixture, mark) = installation();
    let known = [("spin-client-addr", STRANGER), ("cookie", mark.as_str())];
    assert_eq!(exhaust(&fixture, "eve@example.org", &known), ADDRESS_AND_ACCOUNT.1);
    assert_eq!(exhaust(&fixture, ADA, &known), KNOWN_BROWSER.1);
    let (name, value) = mark.split_once('=').unwrap();
    let other = if value.starts_with('0') { '1' } else { '0' };
    let forged = format!("{name}={other}{}", value.get(1..).unwrap());
    let forged = [("spin-client-addr", STRANGER), ("cookie", forged.as_str())];
    assert_eq!(exhaust(&fixture, ADA, &forged), ADDRESS_AND_ACCOUNT.1);
}

#[test]
fn an_account_under_an_older_spelling_has_known_browsers_too() {
    let (fixture, _) = installation();
    let older = format!("{ADA}.");
    let sql = "UPDATE users SET email = ?1 WHERE email = ?2";
    let statement = Statement::new("make_older", sql, [older.as_str().into(), ADA.into()]);
    block_on(fixture.another_connection().query(statement)).unwrap();
    let mark = mark_of(&log_in(&fixture, &older, "correct horse", &[("spin-client-addr", HOME)])).unwrap();
    let known = [("spin-client-addr", STRANGER), ("cookie", mark.as_str())];
    assert_eq!(exhaust(&fixture, &older, &[("spin-client-addr", STRANGER)]), ADDRESS_AND_ACCOUNT.1);
    assert_eq!(log_in(&fixture, &older, "correct horse", &known).status, 200);
    assert_eq!(exhaust(&fixture, &older, &known), KNOWN_BROWSER.1);
}

#[test]
fn behind_a_proxy_the_address_that_it_names_counts() {
    let (fixture, _) = installation();
    let from = |address: &'static str| [("spin-client-addr", PROXY), ("x-real-ip", address)];
    assert_eq!(exhaust(&fixture, ADA, &from("203.0.113.7")), ADDRESS_AND_ACCOUNT.1);
    assert_eq!(log_in(&fixture, ADA, "correct horse", &from("203.0.113.8")).status, 200);
    // Nobody's own address is known: whoever comes from there shares an allowance, which leaves others some of the account's.
    assert_eq!(exhaust(&fixture, ADA, &[("spin-client-addr", PROXY)]), SHARED_ADDRESS_AND_ACCOUNT.1);
    assert_eq!(log_in(&fixture, ADA, "correct horse", &[("spin-client-addr", PROXY)]).status, 429);
    assert_eq!(log_in(&fixture, ADA, "correct horse", &[("spin-client-addr", HOME)]).status, 200);
}

#[test]
fn one_address_does_not_try_one_password_on_everybody() {
    let (fixture, _) = installation();
    let from = [("spin-client-addr", STRANGER)];
    let refused = (0..=ADDRESS.1).map(|n| log_in(&fixture, &format!("{n}@example.org"), "correct horse", &from).status);
    assert_eq!(refused.filter(|status| status.as_u16() == 429).count(), 1);
}

#[test]
fn an_address_does_not_have_passwords_hashed_without_end_even_right_and_new_ones() {
    let (fixture, mark) = installation();
    let from = [("spin-client-addr", STRANGER)];
    let known = [("spin-client-addr", STRANGER), ("cookie", mark.as_str())];
    assert_eq!(log_in(&fixture, ADA, "correct horse", &known).status, 200);
    // It is used up for an hour, as many attempts would do.
    let sql =
        "UPDATE rate_limits SET full_at = full_at + 3600000000 WHERE key = 'log-in:hashes:203.0.113.7' RETURNING 1";
    let used_up = block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert_eq!(used_up.len(), 1, "a right password counts");
    let new = json!({"email": "eve@example.org", "password": "correct horse"});
    for refused in [
        send(&fixture, "/auth/signup", &new, &from),
        log_in(&fixture, ADA, "correct horse", &from),
        log_in(&fixture, ADA, "correct horse", &known),
    ] {
        assert_eq!(code(&refused), (429, "rate_limited"));
    }
    assert_eq!(send(&fixture, "/auth/signup", &new, &[("spin-client-addr", HOME)]).status, 201);
}

#[test]
fn a_new_password_makes_strangers_of_browsers_that_knew_the_one_before() {
    let (fixture, mark) = installation();
    let (store, link) = (fixture.app.store(), LinkToken::new().unwrap());
    let (user, _) = block_on(store.user_by_email(ADA, "")).unwrap().unwrap();
    block_on(store.create_password_reset(&link.hash(), &user, (&user).into(), 60_000)).unwrap().unwrap();
    let reset = json!({"token": link.to_string(), "password": "battery staple"});
    let reset = send(&fixture, "/auth/password-reset", &reset, &[("cookie", &mark)]);
    let new = mark_of(&reset).unwrap();
    assert_ne!(new, mark);
    assert_eq!(exhaust(&fixture, ADA, &[("spin-client-addr", STRANGER), ("cookie", &mark)]), ADDRESS_AND_ACCOUNT.1);
    assert_eq!(exhaust(&fixture, ADA, &[("spin-client-addr", STRANGER), ("cookie", &new)]), KNOWN_BROWSER.1);
}

#[test]
fn a_browser_keeps_its_mark_and_those_of_a_few_other_accounts() {
    let (fixture, mark) = installation();
    let others: Vec<String> = (0..12).map(|n| format!("ea_known_{n}=x")).collect();
    let cookies = format!("{}; {mark}", others.join("; "));
    let again = log_in(&fixture, ADA, "correct horse", &[("cookie", &cookies)]);
    assert_eq!(mark_of(&again), Some(mark));
    let set = again.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    assert_eq!(set.filter(|cookie| cookie.starts_with("ea_known_") && cookie.contains("Max-Age=0")).count(), 3);
}

#[test]
fn how_long_to_wait_is_said_in_words_and_to_programs() {
    for (wait_ms, words, seconds) in [
        (0, "1 second.", "1"),
        (1_500, "2 seconds.", "2"),
        (90_000, "90 seconds.", "90"),
        (91_000, "2 minutes.", "91"),
        (900_000, "15 minutes.", "900"),
        (3_600_000, "60 minutes.", "3600"),
        (7_200_000, "2 hours.", "7200"),
    ] {
        let problem = too_many(wait_ms);
        assert!(problem.to_string().ends_with(words), "{problem}");
        assert_eq!(problem.to_response("r").headers()["retry-after"], seconds);
    }
}
