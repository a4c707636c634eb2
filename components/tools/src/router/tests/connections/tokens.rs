//! The tokens of connections: renewed once for all who need them, and what is said where that fails.

use storage::tool_connections::ConnectionProblem;

use super::*;

#[test]
fn tokens_are_refreshed_before_they_expire_once_for_all_who_call() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let lease = test.lease().await;
        let _ = authority.asked();
        // About to end: the next call uses it, and it is replaced beside.
        test.set_connection("connected_at = connected_at - 3570000, token_expires_at = token_expires_at - 3570000")
            .await;
        assert!(test.called(lease, "c1", "wiki_read").await.0);
        cache::Clock::sleep(&test.outside, Duration::from_secs(1)).await;
        assert_eq!(authority.asked().len(), 1);
        // It has ended: all who call wait for one refresh.
        test.set_connection("token_expires_at = 0").await;
        authority.forget(false);
        let calls = ["c2", "c3", "c4", "c5"].map(|call_id| test.called(lease, call_id, "wiki_read"));
        let called = futures::future::join_all(calls).await;
        assert!(called.iter().all(|(is_done, _)| *is_done), "{called:?}");
        let refreshed = authority.asked();
        assert_eq!(refreshed.len(), 1, "{refreshed:?}");
        assert_eq!(refreshed[0].1["grant_type"], "refresh_token");
        // A server may take a token no more before its time.
        authority.forget(false);
        test.set_connection("refreshed_at = refreshed_at - 60000").await;
        assert!(test.called(lease, "c6", "wiki_read").await.0);
        assert_eq!((authority.asked().len(), &test.connection().await["state"]), (1, &json!("connected")));
    });
}

#[test]
fn a_lost_connection_says_so_everywhere_and_keeps_its_tools_until_it_is_made_again() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let lease = test.lease().await;
        // Not now is not never.
        test.set_connection("token_expires_at = 0").await;
        authority.refuse(Some((503, json!({}))));
        let (is_done, said) = test.called(lease, "c1", "wiki_read").await;
        assert!(!is_done && said.contains("could not be renewed"), "{said}");
        assert_eq!(test.connection().await["state"], "connected");
        authority.refuse(Some((429, json!({ "error": "too_many_requests" }))));
        assert!(test.called(lease, "c1b", "wiki_read").await.1.contains("could not be renewed"));
        assert_eq!(test.connection().await["state"], "connected");
        // As GitHub says it.
        authority.refuse(Some((200, json!({ "error": "bad_refresh_token", "error_description": "no" }))));
        for call_id in ["c2", "c3"] {
            let (is_done, said) = test.called(lease, call_id, "wiki_read").await;
            assert!(!is_done && said.contains("connect it again under Tools"), "{said}");
        }
        let asked = authority.asked();
        assert_eq!(asked.iter().filter(|(path, _)| path == "/token").count(), 4, "what is lost is not tried again");
        assert_eq!(test.connection().await["state"], "lost");
        assert_eq!(test.wiki_tools().await, ["read", "write"]);
        assert!(test.offered_to_model().await.contains("wiki_read"));
        assert!(test.connection().await["message"].as_str().unwrap().contains("is lost"));
        authority.refuse(None);
        test.connect(&authority).await;
        assert!(test.called(lease, "c4", "wiki_read").await.0);
        assert_eq!(test.connection().await["state"], "connected");
    });
}

#[test]
fn problems_of_a_connection_are_kept_for_its_tokens_only() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let store = test.fixture.app.store();
        let version = store.tool_connection(test.user.id, "wiki").await.unwrap().unwrap().version;
        test.connect(&authority).await;
        store.set_connection_problem(test.user.id, "wiki", version, ConnectionProblem::Lost, "").await.unwrap();
        assert_eq!(test.connection().await["state"], "connected");
    });
}

#[test]
fn who_waits_takes_over_from_a_host_that_died_while_it_refreshed() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let lease = test.lease().await;
        test.set_connection("token_expires_at = 0, refreshing_until = now_ms() + 60000").await;
        let runs_out = async {
            cache::Clock::sleep(&test.outside, Duration::from_secs(5)).await;
            test.set_connection("refreshing_until = now_ms() - 1").await;
        };
        let ((is_done, said), ()) = futures::future::join(test.called(lease, "c1", "wiki_read"), runs_out).await;
        assert!(is_done, "{said}");
    });
}

#[test]
fn new_tokens_are_written_as_soon_as_the_database_takes_them() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let lease = test.lease().await;
        test.set_connection("token_expires_at = 0").await;
        authority.forget(false);
        let _ = authority.asked();
        let database = test.fixture.another_connection();
        let refuses = "CREATE TRIGGER refuses BEFORE UPDATE OF access_token ON tool_connections BEGIN SELECT RAISE(ABORT, 'away'); END";
        database.query(Statement::new("t", refuses, [])).await.unwrap();
        let is_back = async {
            cache::Clock::sleep(&test.outside, Duration::from_secs(17)).await;
            database.query(Statement::new("t", "DROP TRIGGER refuses", [])).await.unwrap();
        };
        let ((is_done, said), ()) = futures::future::join(test.called(lease, "c1", "wiki_read"), is_back).await;
        assert!(is_done, "{said}");
        assert_eq!(authority.asked().len(), 1, "a refresh token is used once");
    });
}

#[test]
fn a_tool_that_takes_no_token_does_not_end_the_connection() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let lease = test.lease().await;
        authority.close_tool("write");
        let _ = authority.asked();
        for call_id in ["c1", "c2"] {
            let (is_done, said) = test.called(lease, call_id, "wiki_write").await;
            assert!(!is_done && said.contains("try again in a minute"), "{said}");
        }
        assert_eq!(authority.asked().len(), 1, "one refresh, and not one for each call");
        assert_eq!(test.connection().await["state"], "connected");
        assert!(test.called(lease, "c3", "wiki_read").await.0);
    });
}

#[test]
fn a_connection_that_this_installation_cannot_read_is_shown_as_lost_until_it_can() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let lease = test.lease().await;
        test.set_connection("access_token = 'x' || access_token").await;
        let (is_done, said) = test.called(lease, "c1", "wiki_read").await;
        assert!(!is_done && said.contains("connect it again"), "{said}");
        assert_eq!(test.connection().await["state"], "lost");
        test.set_connection("access_token = substr(access_token, 2)").await;
        assert_eq!(test.connection().await["state"], "connected");
        assert!(test.called(lease, "c2", "wiki_read").await.0);
    });
}

#[test]
fn with_its_account_everything_that_a_person_connected_is_revoked_there() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        assert!(!authority.valid().is_empty());
        let path = toolbox::wire::REVOKE_CONNECTIONS_PATH;
        let (other, _) = test.fixture.person("eve@example.org");
        for (user_id, left) in [(Some(other.id), true), (None, true), (Some(test.user.id), false)] {
            let proof = test.fixture.proof("auth", COMPONENT, user_id, Id::new());
            test.send_as(Some(&proof), Method::POST, path, None).await;
            assert_eq!(!authority.valid().is_empty(), left, "{user_id:?}");
        }
        // A second host does no harm, and neither does a server that is away.
        authority.refuse(Some((503, json!({}))));
        let proof = test.fixture.proof("auth", COMPONENT, Some(test.user.id), Id::new());
        assert_eq!(test.send_as(Some(&proof), Method::POST, path, None).await.status, StatusCode::NO_CONTENT);
    });
}
