//! Private routes: who calls, for whom, and what is proven to tool servers.

use super::*;

#[test]
fn a_private_route_is_for_the_component_that_it_serves_and_refuses_everything_else() {
    paused(|outside| async move {
        let callers = [
            (OFFERS_PATH, "stream"),
            (CALLS_PATH, "stream"),
            (toolbox::wire::ASK_TASKS_PATH, "stream"),
            (toolbox::wire::STOP_TASKS_PATH, "chat"),
            (toolbox::wire::REVOKE_CONNECTIONS_PATH, "auth"),
        ];
        router_test::inside::walk(COMPONENT, &callers, |app| {
            router(Tools::new(app, Config::default(), outside.clone(), Rc::default()))
        })
        .await;
    });
}

#[test]
fn a_call_is_made_for_the_person_and_the_run_of_the_token_alone() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let (other, _) = test.fixture.person("eve@example.org");
        let (lease, another) = (test.lease().await, test.lease().await);
        let executor = json!({ "run_id": lease.run_id, "lease_owner": lease.owner });
        let body = json!({ "executor": executor, "call_id": "c1", "name": "clock_now", "arguments": "{}" });
        for (user_id, run_id) in [
            (Some(other.id), lease.run_id),
            (Some(test.user.id), another.run_id),
            (Some(test.user.id), Id::new()),
            (None, lease.run_id),
        ] {
            let proof = test.fixture.proof("stream", COMPONENT, user_id, run_id);
            let answered = test.send_as(Some(&proof), Method::POST, CALLS_PATH, Some(body.clone())).await;
            assert_eq!((answered.status.as_u16(), &answered.json["code"]), (401, &json!("inside_token")));
        }
        let proof = test.fixture.proof("chat", COMPONENT, Some(test.user.id), Id::new());
        let of = json!({ "run_id": lease.run_id });
        let stopped = test.send_as(Some(&proof), Method::POST, toolbox::wire::STOP_TASKS_PATH, Some(of)).await;
        assert_eq!(stopped.status, StatusCode::UNAUTHORIZED, "another run than the one that was stopped");
    });
}

#[test]
fn a_tool_server_is_shown_who_calls_for_whom_and_in_which_run_and_one_elsewhere_is_not() {
    paused(|outside| async move {
        let test = Test::new(outside.clone());
        let lease = test.lease().await;
        test.offers().await;
        let listed = outside.proofs();
        let to: Vec<_> = listed.iter().map(|proof| proof.split(' ').take(2).collect::<Vec<_>>()).collect();
        assert_eq!(to, [["mcp-clock", "nobody"], ["mcp-mail", "nobody"]]);
        assert_eq!(test.call(lease, "c1", "clock_now").await["is_error"], false);
        assert_eq!(outside.proofs(), [format!("mcp-clock {} {}", test.user.id, lease.run_id)]);
    });
}

#[test]
fn in_a_conversation_that_began_elsewhere_something_private_may_have_been_read() {
    paused(|outside| async move {
        let mut test = Test::new(outside);
        test.config.policies = vec![toolbox::Policy::parse("wiki:*", toolbox::Effect::Allow).unwrap()];
        test.offers().await;
        let lease = test.lease().await;
        let executor = json!({ "run_id": lease.run_id, "lease_owner": lease.owner });
        let call = async |call_id: &str, began_elsewhere: bool| {
            let body = json!({ "executor": executor, "call_id": call_id, "name": "wiki_read", "unattended": true,
                "arguments": r#"{"page": "codes 483920 and 774411"}"#, "began_elsewhere": began_elsewhere });
            let proof = test.fixture.proof("stream", COMPONENT, Some(test.user.id), lease.run_id);
            let answered = test.send_as(Some(&proof), Method::POST, CALLS_PATH, Some(body)).await;
            let last: Value = serde_json::from_str(answered.text.lines().next_back().unwrap()).unwrap();
            (last["answer"]["is_error"].clone(), last["answer"]["content"].as_str().unwrap_or_default().to_owned())
        };
        let (is_error, words) = call("c1", true).await;
        assert!(is_error == true && words.contains("wiki:read"), "{words}");
        assert_eq!(test.asked("tools/call"), 0);
        assert_eq!(call("c2", false).await.0, false);
    });
}
