//! Nobody learns from an answer, or from what it costs, whose accounts, keys and sessions there are.

use http::{HeaderValue, header};
use router_test::{
    Fixture,
    others::{Watched, compare_others, with_statements},
    request,
};
use serde_json::json;

use super::*;
use crate::config::Signup;

fn routes(app: App<Watched>) -> Router {
    super::router(app, Config { signup: Signup::Open, ..Config::default() }, SignIn::default())
}

#[test]
fn somebody_elses_is_as_if_it_were_not_there() {
    router_test::paused(async |_| compare_others(routes).await);
}

#[test]
fn an_unknown_address_costs_what_a_wrong_password_costs() {
    router_test::paused(async |_| {
        let fixture = Fixture::default();
        let hash = password::hash("correct horse").unwrap();
        for email in ["first@example.org", "ada@example.org"] {
            let user = storage::users::NewUser { email, name: "", password_hash: &hash };
            fixture.app.store().create_user(user, storage::users::Opening::Open).await.unwrap().unwrap();
        }
        // A name that a mark can have, so that the browser's marks are looked at.
        for cookie in [None, Some("ea_known_")] {
            let log_in = async |email: &str| {
                let body = json!({"email": email, "password": "wrong horse"});
                let mut request = request(Method::POST, "/auth/login", None, Some(&body));
                if let Some(name) = cookie {
                    let cookie = HeaderValue::from_str(&format!("{name}0123456789abcdef=x.y")).unwrap();
                    request.headers_mut().insert(header::COOKIE, cookie);
                }
                let (answer, statements) = with_statements(&fixture, routes, request).await;
                (answer.status.as_u16(), answer.json["code"].clone(), answer.json["detail"].clone(), statements)
            };
            let (wrong, unknown) = (log_in("ada@example.org").await, log_in("eve@example.org").await);
            assert_eq!((wrong.0, wrong.3.is_empty()), (401, false));
            assert_eq!(wrong, unknown);
        }
    });
}
