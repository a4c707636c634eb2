//! Who gets in, with which permission, and how soon a change takes effect.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, routing::get};
use domain::Id;
use futures::executor::block_on;
use http::{Method, StatusCode};
use identity::Purpose;
use native_sqlite::SqliteFile;
use permissions::table::{AuditRead, ConversationsRead};
use router_test::{Answer, Fixture, request, send};
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, access::MAX_VOID, accounts::AccountChange,
    sessions::TokenHashes,
};
use web::{Allowed, App, Site};

fn router<D: Database + 'static>(app: App<D>) -> Router {
    Router::new()
        .route("/conversations", get(async |_: State<App<D>>, _: Allowed<ConversationsRead>| ()))
        .route("/audit", get(async |_: State<App<D>>, _: Allowed<AuditRead>| ()))
        .with_state(app)
}

fn ask<D: Database + 'static>(app: &App<D>, path: &str, token: &str) -> Answer {
    send(router(app.clone()), request(Method::GET, path, Some(token), None))
}

/// Waits until the status is another, and returns it with the time that it took.
fn until_changed<D: Database + 'static>(app: &App<D>, path: &str, token: &str) -> (StatusCode, Duration) {
    let (before, since) = (ask(app, path, token).status, Instant::now());
    loop {
        let status = ask(app, path, token).status;
        if status != before || since.elapsed() > Duration::from_secs(5) {
            return (status, since.elapsed());
        }
    }
}

#[test]
fn who_lacks_the_permission_is_told_which() {
    let fixture = Fixture::default();
    let (_, admin) = fixture.person("a@example.org");
    let (_, member) = fixture.person("b@example.org");
    let app = fixture.new_instance();
    assert_eq!(ask(&app, "/audit", &admin).status, StatusCode::OK);
    assert_eq!(ask(&app, "/conversations", &member).status, StatusCode::OK);
    let refused = ask(&app, "/audit", &member);
    assert_eq!((refused.status, &refused.json["permission"]), (StatusCode::FORBIDDEN, &"audit:read".into()));
    assert_eq!(ask(&app, "/audit", "x").status, StatusCode::UNAUTHORIZED);
}

#[test]
fn whoever_is_suspended_is_out_within_a_second_where_they_were_just_served() {
    let fixture = Fixture::default();
    let (_, other) = fixture.person("a@example.org");
    let (user, token) = fixture.person("b@example.org");
    let app = fixture.new_instance();
    assert_eq!(ask(&app, "/conversations", &token).status, StatusCode::OK);
    let _ = fixture.change(&user, AccountChange { role: None, is_suspended: Some(true) });
    let (status, took) = until_changed(&app, "/conversations", &token);
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(ask(&app, "/conversations", &other).status, StatusCode::OK);
    assert_eq!(ask(&fixture.new_instance(), "/conversations", &token).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_role_that_changes_changes_for_whoever_has_it() {
    let fixture = Fixture::default();
    let _ = fixture.person("a@example.org");
    block_on(fixture.app.store().set_role("auditor", "conversations:read", 9)).unwrap();
    let (_, token) = fixture.person_with("b@example.org", "auditor");
    let app = fixture.new_instance();
    assert_eq!(ask(&app, "/audit", &token).status, StatusCode::FORBIDDEN);
    block_on(fixture.app.store().set_role("auditor", "audit:read", 9)).unwrap();
    let (status, took) = until_changed(&app, "/audit", &token);
    assert_eq!(status, StatusCode::OK);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_token_made_before_the_persons_role_changed_is_void_and_one_made_after_is_not() {
    let fixture = Fixture::default();
    let _ = fixture.person("a@example.org");
    let (user, before) = fixture.person("b@example.org");
    let changed = fixture.change(&user, AccountChange { role: Some("admin"), is_suspended: None });
    let after = fixture.token(&changed, Purpose::Session);
    let app = fixture.new_instance();
    assert_eq!(ask(&app, "/conversations", &before).status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&app, "/audit", &after).status, StatusCode::OK);
}

#[test]
fn a_session_that_ends_takes_its_tokens_with_it_and_no_other_ones() {
    let fixture = Fixture::default();
    let (user, _) = fixture.person("a@example.org");
    let sessions = [Id::new(), Id::new()];
    let tokens = sessions.map(|session| {
        let hashes = TokenHashes { token: session.to_string(), family: session.to_string() };
        block_on(fixture.app.store().create_session(session, &user, &hashes, 60_000)).unwrap();
        fixture.token_of(&user, session)
    });
    block_on(fixture.app.store().end_session_of_anybody(sessions[0])).unwrap();
    // A token lives a quarter of an hour, so that long its session's end is known.
    let sql = "UPDATE sessions SET revoked_at = revoked_at - 14 * 60000 WHERE revoked_at IS NOT NULL";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    let app = fixture.new_instance();
    let statuses = tokens.map(|token| ask(&app, "/conversations", &token).status.as_u16());
    assert_eq!(statuses, [401, 200]);
}

#[test]
fn many_who_log_out_at_once_log_nobody_else_out() {
    let fixture = Fixture::default();
    let (user, token) = fixture.person("a@example.org");
    let (other, others_token) = fixture.person("b@example.org");
    let hashes = TokenHashes { token: "t".into(), family: "f".into() };
    let sessions: Vec<Id> = (0..MAX_VOID + 2).map(|_| Id::new()).collect();
    for session in &sessions {
        assert!(block_on(fixture.app.store().create_session(*session, &user, &hashes, 60_000)).unwrap());
    }
    let [first, last] = [sessions[0], sessions[MAX_VOID + 1]].map(|session| fixture.token_of(&user, session));
    let _ = fixture.change(&other, AccountChange { role: Some("service"), is_suspended: None });
    for session in &sessions[..=MAX_VOID] {
        block_on(fixture.app.store().end_session_of_anybody(*session)).unwrap();
    }
    // All of it was after the tokens were made, and the first one before the others.
    let sql = "UPDATE sessions SET revoked_at = revoked_at + CASE WHEN id = ?1 THEN 2000 ELSE 3000 END WHERE revoked_at IS NOT NULL";
    block_on(fixture.another_connection().query(Statement::new("t", sql, [sessions[0].into()]))).unwrap();
    let app = fixture.new_instance();
    let status = |token: &str| ask(&app, "/conversations", token).status.as_u16();
    assert_eq!([status(&token), status(&last), status(&first), status(&others_token)], [200, 200, 401, 401]);
}

#[test]
fn a_token_of_an_earlier_release_gives_what_the_account_may_do_now() {
    let fixture = Fixture::default();
    let (_, _) = fixture.person("a@example.org");
    let (user, _) = fixture.person("b@example.org");
    let token = fixture.token_of_earlier_release(&user, "admin");
    let ask = |path: &str| ask(&fixture.new_instance(), path, &token).status.as_u16();
    assert_eq!((ask("/conversations"), ask("/audit")), (200, 403), "whatever the token says");
    let user = fixture.change(&user, AccountChange { role: Some("nothing"), is_suspended: None });
    assert_eq!(ask("/conversations"), 403);
    let _ = fixture.change(&user, AccountChange { role: None, is_suspended: Some(true) });
    // So long ago that instances no longer read it.
    let sql = "UPDATE users SET access_changed_at = 1";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert_eq!(ask("/conversations"), 401);
}

/// Counts what it is asked.
struct Counting(SqliteFile, Arc<AtomicUsize>);

impl Database for Counting {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.query(statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        self.0.transaction(statements).await
    }
}

#[test]
fn many_requests_of_many_people_cost_no_query_each() {
    let fixture = Fixture::default();
    let tokens: Vec<String> = (0..20).map(|index| fixture.person(&format!("{index}@example.org")).1).collect();
    let count = Arc::new(AtomicUsize::new(0));
    let app = App::new(Counting(fixture.another_connection(), Arc::clone(&count)), Site::default());
    let began = Instant::now();
    for _ in 0..10 {
        for token in &tokens {
            assert_eq!(ask(&app, "/conversations", token).status, StatusCode::OK);
        }
    }
    let most = 1 + began.elapsed().as_millis() / 500;
    assert!(count.load(Ordering::Relaxed) as u128 <= most, "{count:?} in {:?}", began.elapsed());
}
