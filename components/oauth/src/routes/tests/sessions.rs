//! A session of a program and one of a browser are rows of one table, and neither token is good for the other.

use futures::executor::block_on;
use identity::refresh_token::RefreshToken;
use storage::sessions::{Lifetimes, Rotation, TokenHashes};

use super::*;

#[test]
fn a_session_of_a_browser_and_one_of_a_program_do_not_get_into_each_other() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let tokens = test.exchange(&asked, &test.code(&asked)).json;
    let app = test.fixture.new_instance();
    let opened = block_on(app.authenticate(tokens["access_token"].as_str().unwrap(), Purpose::Session));
    assert_eq!(opened.unwrap_err().status(), StatusCode::UNAUTHORIZED);
    let store = test.fixture.app.store();
    // A browser's refresh token, as it is and as a program's would be written.
    let browsers = RefreshToken::new(domain::Id::new()).unwrap();
    let hashes = TokenHashes { token: browsers.hash(), family: browsers.family_hash() };
    assert!(block_on(store.create_session(browsers.session_id, &test.user, &hashes, 60_000)).unwrap());
    for token in [browsers.to_string(), format!("ear_{browsers}"), test.token.clone(), "ear_x".into(), "x".into()] {
        assert_eq!(error(&test.refresh(&asked["client_id"], &token)), (400, "invalid_grant"), "{token}");
    }
    // A program's, as a browser would send it: it is not even one, and without its beginning it has other hashes.
    let programs = tokens["refresh_token"].as_str().unwrap();
    assert!(RefreshToken::parse(programs).is_none());
    let bare = RefreshToken::parse(programs.strip_prefix("ear_").unwrap()).unwrap();
    let hashes = TokenHashes { token: bare.hash(), family: bare.family_hash() };
    let lifetimes = Lifetimes { session_ms: 60_000, grace_ms: 30_000 };
    let rotated = block_on(store.rotate_session(bare.session_id, &hashes, &["next".to_owned()], lifetimes)).unwrap();
    assert!(matches!(rotated, Rotation::Unknown));
    assert!(test.opens(&tokens["access_token"]), "and nothing has ended");
}

#[test]
fn a_token_that_is_given_back_while_the_database_fails_is_not_said_to_be_revoked() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let tokens = test.exchange(&asked, &test.code(&asked)).json;
    let token = tokens["access_token"].as_str().unwrap();
    let rename = |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        block_on(test.fixture.another_connection().query(storage::Statement::new("t", sql, []))).unwrap();
    };
    rename("signing_keys", "away");
    assert!(test.form("/oauth/revoke", &[("token", token)]).status.is_server_error());
    rename("away", "signing_keys");
    assert!(test.opens(&tokens["access_token"]));
    assert_eq!(test.form("/oauth/revoke", &[("token", token)]).status, StatusCode::OK);
    assert!(!test.opens(&tokens["access_token"]));
}
