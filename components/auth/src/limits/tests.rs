//! Attempts to log in over HTTP requests, from several addresses and browsers.

use http::{HeaderName, HeaderValue, Method, header};
use router_test::{Answer, Fixture, request};
use serde_json::json;

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
    let cookies = made.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let mark = cookies.filter(|cookie| cookie.starts_with("ea_known_")).map(str::to_owned).next().unwrap();
    assert!(mark.contains("; HttpOnly") && mark.contains("; Path=/auth") && !mark.contains('@'), "{mark}");
    (fixture, mark.split(';').next().unwrap().to_owned())
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
fn behind_a_proxy_the_address_that_it_names_counts() {
    let (fixture, _) = installation();
    let from = |address: &'static str| [("spin-client-addr", PROXY), ("x-real-ip", address)];
    assert_eq!(exhaust(&fixture, ADA, &from("203.0.113.7")), ADDRESS_AND_ACCOUNT.1);
    assert_eq!(log_in(&fixture, ADA, "correct horse", &from("203.0.113.8")).status, 200);
    // Nobody's own address is known: the account has its limit, and a stranger does not use up that of others.
    assert_eq!(exhaust(&fixture, "eve@example.org", &[("spin-client-addr", PROXY)]), ACCOUNT.1);
    assert_eq!(log_in(&fixture, ADA, "correct horse", &[("spin-client-addr", PROXY)]).status, 200);
}

#[test]
fn one_address_does_not_try_one_password_on_everybody() {
    let (fixture, _) = installation();
    let from = [("spin-client-addr", STRANGER)];
    let refused = (0..=ADDRESS.1).map(|n| log_in(&fixture, &format!("{n}@example.org"), "correct horse", &from).status);
    assert_eq!(refused.filter(|status| status.as_u16() == 429).count(), 1);
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
