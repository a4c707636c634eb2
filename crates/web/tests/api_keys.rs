//! Who gets in with an API key, how far, and for how long.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use domain::User;
use futures::executor::block_on;
use http::{HeaderValue, Method, header};
use identity::api_key::ApiKey;
use native_sqlite::SqliteFile;
use permissions::table::{AuditRead, ConversationsRead};
use router_test::{Answer, Fixture, request, send};
use storage::{accounts::AccountChange, api_keys::NewApiKey};
use web::{Allowed, App, Authenticator, Session};

type TheApp = App<SqliteFile>;

/// A component that takes no keys.
#[derive(Clone)]
struct Accounts(TheApp);

impl Authenticator for Accounts {
    type Database = SqliteFile;

    fn takes_keys(method: &Method) -> bool {
        method.is_safe()
    }

    fn app(&self) -> &TheApp {
        &self.0
    }
}

fn router(app: TheApp) -> Router {
    let others = Router::new()
        .route("/me", post(async |_: State<Accounts>, _: Session| ()).get(async |_: State<Accounts>, _: Session| ()))
        .with_state(Accounts(app.clone()));
    Router::new()
        .route("/conversations", get(async |_: State<TheApp>, _: Allowed<ConversationsRead>| ()))
        .route("/audit", get(async |_: State<TheApp>, _: Allowed<AuditRead>| ()))
        .route("/run", get(async |_: State<TheApp>, session: Session| session.check_may_run()))
        .with_state(app)
        .merge(others)
}

fn ask(app: &TheApp, path: &str, key: &str) -> Answer {
    send(router(app.clone()), request(Method::GET, path, Some(key), None))
}

fn status(app: &TheApp, path: &str, key: &str) -> u16 {
    ask(app, path, key).status.as_u16()
}

fn key_of(fixture: &Fixture, user: &User, scopes: &str) -> String {
    let key = ApiKey::new().unwrap();
    let new = NewApiKey { name: "k", prefix: key.prefix(), hash: &key.hash(), scopes, expires_at: None };
    block_on(fixture.app.store().create_api_key(user.id, new, user.into())).unwrap().unwrap();
    key.to_string()
}

#[test]
fn a_key_may_do_what_both_its_scopes_and_its_owner_may() {
    let fixture = Fixture::default();
    let (admin, _) = fixture.person("a@example.org");
    let (member, _) = fixture.person("b@example.org");
    let app = fixture.new_instance();
    let key = key_of(&fixture, &admin, "conversations:read tools:call:clock:*");
    assert_eq!(status(&app, "/conversations", &key), 200);
    let refused = ask(&app, "/audit", &key);
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (403, &"insufficient_scope".into()));
    assert_eq!(refused.json["permission"], "audit:read");
    assert_eq!(refused.headers[header::WWW_AUTHENTICATE], r#"Bearer error="insufficient_scope", scope="audit:read""#);
    let key = key_of(&fixture, &member, "*");
    assert_eq!(status(&app, "/conversations", &key), 200);
    assert_eq!(ask(&app, "/audit", &key).json["code"], "forbidden", "a scope gives nothing");
}

#[test]
fn a_run_which_calls_all_tools_of_its_person_is_for_keys_that_may_call_all() {
    let fixture = Fixture::default();
    let (user, token) = fixture.person("a@example.org");
    let app = fixture.new_instance();
    assert_eq!(status(&app, "/run", &key_of(&fixture, &user, "conversations:write tools:call:*")), 200);
    let refused = ask(&app, "/run", &key_of(&fixture, &user, "conversations:write tools:call:clock:*"));
    assert_eq!((refused.status.as_u16(), &refused.json["permission"]), (403, &"tools:call:*".into()));
    assert_eq!(status(&app, "/run", &token), 200);
}

#[test]
fn a_key_is_no_cookie_and_changes_nothing_where_accounts_are_changed() {
    let fixture = Fixture::default();
    let (user, token) = fixture.person("a@example.org");
    let (app, key) = (fixture.new_instance(), key_of(&fixture, &user, "*"));
    assert_eq!(status(&app, "/me", &key), 200, "reading is allowed there");
    let change = |token: &str| send(router(app.clone()), request(Method::POST, "/me", Some(token), None));
    let refused = change(&key);
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (403, &"key_not_allowed".into()));
    assert_eq!(change(&token).status.as_u16(), 200);
    let mut with_cookie = request(Method::GET, "/conversations", None, None);
    with_cookie.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&format!("ea_access={key}")).unwrap());
    assert_eq!(send(router(app.clone()), with_cookie).status.as_u16(), 401);
}

/// Waits until a key is refused, and returns the time that it took.
fn until_refused(app: &TheApp, key: &str) -> Duration {
    let since = Instant::now();
    while status(app, "/conversations", key) == 200 && since.elapsed() < Duration::from_secs(5) {}
    since.elapsed()
}

#[test]
fn a_key_that_is_revoked_or_whose_owner_is_suspended_is_out_within_a_second_where_it_was_just_used() {
    let fixture = Fixture::default();
    let (admin, _) = fixture.person("a@example.org");
    let (user, _) = fixture.person("b@example.org");
    let app = fixture.new_instance();
    let [revoked, suspended] = [&admin, &user].map(|owner| key_of(&fixture, owner, "*"));
    assert_eq!([&revoked, &suspended].map(|key| status(&app, "/conversations", key)), [200, 200]);
    let id = block_on(fixture.app.store().api_keys(admin.id)).unwrap()[0].id;
    assert!(block_on(fixture.app.store().revoke_api_key(admin.id, id)).unwrap());
    let _ = fixture.change(&user, AccountChange { role: None, is_suspended: Some(true) });
    for key in [&revoked, &suspended] {
        let took = until_refused(&app, key);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(status(&fixture.new_instance(), "/conversations", key), 401);
    }
    for wrong in ["ea_", "ea_x", &format!("ea_{}", "0".repeat(64))] {
        assert_eq!(status(&app, "/conversations", wrong), 401, "{wrong}");
    }
}

#[test]
fn the_use_of_a_key_is_stored_after_the_response() {
    let fixture = Fixture::default();
    let (user, _) = fixture.person("a@example.org");
    let (app, key) = (fixture.new_instance(), key_of(&fixture, &user, "*"));
    let used_at = || block_on(fixture.app.store().api_keys(user.id)).unwrap()[0].used_at;
    assert!(!app.has_used_keys());
    assert_eq!(status(&app, "/conversations", &key), 200);
    let other = key_of(&fixture, &user, "*");
    assert_eq!(status(&app, "/conversations", &other), 200);
    assert!(app.has_used_keys() && used_at().is_none());
    block_on(app.note_used_keys()).unwrap();
    assert!(!app.has_used_keys() && used_at().is_some());
    assert_eq!(status(&fixture.new_instance(), "/conversations", &key), 200);
    assert!(!app.has_used_keys(), "it was stored a moment ago");
}
