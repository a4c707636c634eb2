//! Nobody learns from an answer, or from what it costs, whose accounts, keys and sessions there are.

use http::{HeaderValue, header};
use identity::link_token::LinkToken;
use router_test::{
    Fixture,
    others::{Watched, compare_others, with_statements},
    request,
};
use serde_json::{Value, json};
use storage::invitations::Maker;

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

#[test]
fn a_link_that_was_used_or_has_expired_costs_what_one_costs_that_there_never_was() {
    router_test::paused(async |_| {
        let fixture = Fixture::default();
        let (admin, _) = fixture.person("admin@example.org");
        let (ada, _) = fixture.person("ada@example.org");
        let maker = || Maker { user_id: admin.id, access_version: admin.access_version };
        let [invitation, link, unknown] = [(); 3].map(|()| LinkToken::new().unwrap());
        let store = fixture.app.store();
        store.create_invitation(&invitation.hash(), "member", maker(), -1).await.unwrap().unwrap();
        store.create_password_reset(&link.hash(), &ada, maker(), -1).await.unwrap().unwrap();
        let ask = async |path: &str, body: Value| {
            let (answer, statements) =
                with_statements(&fixture, routes, request(Method::POST, path, None, Some(&body))).await;
            (answer.status.as_u16(), answer.json["code"].clone(), answer.json["detail"].clone(), statements)
        };
        let sign_up = async |token: &LinkToken| {
            let body =
                json!({"email": "new@example.org", "password": "correct horse", "invitation": token.to_string()});
            ask("/auth/signup", body).await
        };
        let reset = async |token: &LinkToken| {
            ask("/auth/password-reset", json!({"token": token.to_string(), "password": "correct horse"})).await
        };
        let (expired, nothing) = (sign_up(&invitation).await, sign_up(&unknown).await);
        assert_eq!((expired.0, expired.3.is_empty()), (403, false));
        assert_eq!(expired, nothing);
        let (expired, nothing) = (reset(&link).await, reset(&unknown).await);
        assert_eq!((expired.0 / 100, expired.3.is_empty()), (4, false));
        assert_eq!(expired, nothing);
    });
}
