//! Private routes that every component has, and the proof of one component to another.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use axum::{Router, extract::State, routing::get};
use domain::Id;
use futures::executor::block_on;
use http::{Method, StatusCode};
use native_sqlite::SqliteFile;
use router_test::{Fixture, request, send};
use storage::{
    Database as _, Statement,
    keys::{KeyPurpose, KeyRotation},
};
use web::{App, Inside, inside::Stream, settings};

#[test]
fn settings_are_told_to_ops_alone() {
    router_test::paused(|_| async {
        for component in ["auth", "chat", "stream", "tools"] {
            router_test::inside::walk(component, &[(settings::PATH, "ops")], |app| {
                settings::router(app, vec![settings::required("secret", "")])
            })
            .await;
        }
    });
}

fn router(app: App<SqliteFile>) -> Router {
    let who = async |_: State<App<SqliteFile>>, inside: Inside<Stream>| {
        format!("{} {}", inside.user_id.map_or_else(|| "nobody".to_owned(), |id| id.to_string()), inside.request_id)
    };
    Router::new().route("/internal/who", get(who)).with_state(app)
}

#[test]
fn a_call_says_for_whom_it_is_also_right_after_the_callers_key_was_replaced() {
    let fixture = Fixture::default();
    let (user, _) = fixture.person("a@example.org");
    // Instances that have been running for a while.
    let stream = fixture.new_instance().of_component("stream");
    let tools = fixture.new_instance().of_component("tools");
    let ask = |user_id, run_id: &str| {
        let proof = block_on(stream.prove("tools", user_id, run_id)).unwrap();
        let token = proof.to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        send(router(tools.clone()), request(Method::GET, "/internal/who", Some(&token), None))
    };
    let run = Id::new().to_string();
    assert_eq!(ask(Some(user.id), &run).text, format!("{} {run}", user.id));
    assert_eq!(ask(None, "x").text, "nobody x");
    let replace = |revokes| {
        let sql = "UPDATE inside_keys SET created_at = created_at - 60000";
        block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
        let rotation = KeyRotation { revokes, user_id: user.id, detail: None };
        assert!(block_on(web::keys::rotate(fixture.app.store(), KeyPurpose::Inside, &rotation)).unwrap());
    };
    replace(false);
    assert_eq!(ask(None, "x").status, StatusCode::OK, "what was signed with the key before still counts");
    replace(true);
    block_on(stream.read_access()).unwrap();
    assert_eq!(ask(None, "x").text, "nobody x", "a new key is known at once");
}
