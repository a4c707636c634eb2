//! Runs: executors, takeovers and ends.

use domain::{Id, Message, Run, RunState, ToolCall};
use storage::{
    Database, Statement,
    leases::{Holder, Leave},
    messages::{Appended, NewMessage},
    retries::Retried,
    tool_calls::Started,
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS, answer, batch, lease_of, result_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    a_run_is_claimed_by_one_executor_until_its_lease_lapses,
    who_claims_a_run_reads_what_was_learned_of_its_models_server,
    reasoning_is_stored_with_its_message_and_context_has_it_with_calls_alone,
    a_run_is_taken_early_from_an_executor_whose_lease_has_little_left,
    an_executor_that_lost_its_lease_can_write_nothing,
    the_log_tells_the_state_until_the_run_ends,
    cancelling_reaches_the_executor_and_says_when_there_is_none,
    a_broken_off_run_can_be_tried_again_and_the_new_one_does_not_see_the_old_answer,
    a_run_cannot_be_tried_again_when_the_conversation_has_moved_on,
    what_a_conversation_has_called_and_its_person_written_is_known_to_who_executes_its_run,
    what_nobody_comes_for_within_a_day_has_failed_and_is_in_nobodys_way,
    whoever_comes_too_late_ends_what_they_find,
    a_tool_call_is_started_once_and_its_result_says_how_it_went,
    a_run_that_is_tried_again_knows_what_its_tools_have_done,
}

fn a_run_is_claimed_by_one_executor_until_its_lease_lapses(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let (first, second) = (lease_of(&run), lease_of(&run));
    let claim = |lease, lease_ms| block_on(fixture.store.claim(lease, lease_ms, "")).unwrap();
    assert_eq!(claim(first, LAPSED_MS).unwrap().attempt, 1);
    assert!(block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().claimable);
    assert_eq!(claim(second, LEASE_MS).unwrap().attempt, 2);
    assert!(claim(first, LEASE_MS).is_none());
    assert!(!block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().claimable);
}

fn a_run_is_taken_early_from_an_executor_whose_lease_has_little_left(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let left_ms = || block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().lease_left_ms;
    assert_eq!(left_ms(), None);
    block_on(fixture.store.claim(lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
    assert!(left_ms().is_some_and(|left_ms| left_ms > LEASE_MS / 2 && left_ms <= LEASE_MS));
    let early = |left_ms| block_on(fixture.store.claim_early(lease_of(&run), LEASE_MS, left_ms, "")).unwrap();
    assert!(early(LEASE_MS / 2).is_none());
    assert_eq!(early(LEASE_MS + 1_000).unwrap().attempt, 2);
}

fn an_executor_that_lost_its_lease_can_write_nothing(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, run) = fixture.send(&user, conversation, "hello");
    let (dead, alive) = (lease_of(&run), lease_of(&run));
    block_on(fixture.store.claim(dead, LAPSED_MS, "")).unwrap().unwrap();
    block_on(fixture.store.claim(alive, LEASE_MS, "")).unwrap().unwrap();
    let store = &fixture.store;
    let state = RunState::Streaming;
    assert_eq!(fixture.log(dead, state, batch(1, "x")), Leave::LeaseLost);
    assert_eq!(block_on(store.renew_leases(&[dead], LEASE_MS)).unwrap()[0], Leave::LeaseLost);
    assert_eq!(block_on(store.check_leases(&[dead])).unwrap()[0], Leave::LeaseLost);
    assert_eq!(block_on(store.start_tool_call(dead, user.id, "c", "t")).unwrap(), Started::LeaseLost);
    assert!(!block_on(store.finish_step(dead, state, &answer("x", "stop"), None, &batch(1, "x"))).unwrap());
    assert!(!fixture.end(dead, RunState::Complete, "stop"));
    assert!(block_on(store.log(run.id, 0)).unwrap().is_empty());
    assert_eq!(fixture.texts(&user, conversation), ["hello"]);
    assert_eq!(fixture.log(alive, state, batch(1, "x")), Leave::Granted);
}

fn the_log_tells_the_state_until_the_run_ends(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let state = || block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap().state;
    assert_eq!(state(), RunState::Processing);
    fixture.log(lease, RunState::Streaming, batch(5, "a"));
    fixture.log(lease, RunState::ToolExecution, batch(9, "b"));
    assert_eq!(state(), RunState::ToolExecution);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    let run = block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap();
    assert_eq!((run.state, run.usage.unwrap().total_tokens), (RunState::Complete, 7));
    let tail = block_on(fixture.store.tail(user.id, run.id, 5)).unwrap().unwrap();
    assert_eq!(tail.batches, [(9, "b".to_owned()), (900, "end".to_owned())]);
    assert!(!tail.claimable);
}

fn cancelling_reaches_the_executor_and_says_when_there_is_none(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, lease) = fixture.claimed(&user, conversation);
    let request = block_on(fixture.store.request_cancel(user.id, run.id, false)).unwrap().unwrap();
    assert!(!request.claimable);
    assert_eq!(fixture.log(lease, RunState::Streaming, batch(1, "a")), Leave::CancelRequested);
    assert!(fixture.end(lease, RunState::Cancelled, "cancelled"));
    let request = block_on(fixture.store.request_cancel(user.id, run.id, false)).unwrap().unwrap();
    assert_eq!((request.run.state, request.claimable), (RunState::Cancelled, false));

    let (_, queued) = fixture.send(&user, conversation, "again");
    assert!(block_on(fixture.store.request_cancel(user.id, queued.id, false)).unwrap().unwrap().claimable);
}

fn a_broken_off_run_can_be_tried_again_and_the_new_one_does_not_see_the_old_answer(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, lease) = fixture.claimed(&user, conversation);
    let retry = || block_on(fixture.store.retry_run(user.id, run.id, None)).unwrap();
    assert!(matches!(retry(), Retried::NotRetryable), "it is still at work");
    assert!(fixture.end(lease, RunState::Error, "error"));
    let Retried::Queued(second) = retry() else { panic!() };
    assert_eq!(second.message_id, run.message_id);
    assert!(matches!(retry(), Retried::RunActive));
    let context = block_on(fixture.store.context(&second, 100, 1_000_000)).unwrap();
    assert_eq!(context.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(), ["hello"]);

    let lease = lease_of(&second);
    block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().unwrap();
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    assert!(matches!(retry(), Retried::NotRetryable), "it has been answered since");
}

fn a_run_cannot_be_tried_again_when_the_conversation_has_moved_on(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (failed, lease) = fixture.claimed(&user, conversation);
    assert!(fixture.end(lease, RunState::Error, "error"));
    let (_, lease) = fixture.claimed(&user, conversation);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    assert!(matches!(block_on(fixture.store.retry_run(user.id, failed.id, None)).unwrap(), Retried::NotRetryable));
}

fn a_run_that_is_tried_again_knows_what_its_tools_have_done(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let call = ToolCall { id: "call_1".into(), name: "mail_send".into(), arguments: "{}".into() };
    let asked = NewMessage { tool_calls: vec![call], ..answer("", "tool_calls") };
    let result = result_of("call_1", "sent", false);
    let store = &fixture.store;
    assert!(block_on(store.finish_step(lease, RunState::ToolExecution, &asked, None, &batch(3, "r"))).unwrap());
    assert!(block_on(store.finish_tool_call(lease, &result, &batch(4, "s"))).unwrap());
    assert!(fixture.end(lease, RunState::Error, "error"));
    let Retried::Queued(second) = block_on(store.retry_run(user.id, run.id, None)).unwrap() else { panic!() };
    let context = block_on(store.context(&second, 100, 1_000_000)).unwrap();
    assert_eq!(context.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(), ["hello", "", "sent"]);
}

fn what_a_conversation_has_called_and_its_person_written_is_known_to_who_executes_its_run(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let store = &fixture.store;
    let (_, first) = fixture.claimed(&user, conversation);
    assert_eq!(block_on(store.holder_of(first, "c")).unwrap().unwrap().called, Vec::<String>::new());
    for (call, name) in [("c1", "mail_read"), ("c2", "mail_read"), ("c3", "clock_now")] {
        block_on(store.start_tool_call(first, user.id, call, name)).unwrap();
    }
    assert!(fixture.end(first, RunState::Complete, "complete"));
    let (run, second) = fixture.claimed(&user, conversation);
    let mut holder = block_on(store.holder_of(second, "c1")).unwrap().unwrap();
    holder.called.sort();
    let called = vec!["clock_now".to_owned(), "mail_read".to_owned()];
    assert_eq!(holder, Holder { user_id: user.id, begun: false, called, has_files: false, time_zone: None });
    for (lease, time_zone) in [(lease_of(&run), "Asia/Tokyo"), (second, "Europe/Berlin"), (second, "Asia/Tokyo")] {
        block_on(store.keep_time_zone(lease, time_zone)).unwrap();
    }
    let kept = block_on(store.holder_of(second, "c1")).unwrap().unwrap().time_zone;
    assert_eq!(kept.as_deref(), Some("Europe/Berlin"), "the first that the executor says stays");
    let (_, elsewhere) = fixture.claimed(&user, fixture.conversation(&user));
    assert_eq!(block_on(store.holder_of(elsewhere, "c1")).unwrap().unwrap().called, Vec::<String>::new());
    assert_eq!(block_on(store.holder_of(lease_of(&run), "c1")).unwrap(), None);
    let written = block_on(store.written_by_person(run.id, user.id)).unwrap();
    assert_eq!(written, ["hello", "hello"]);
    assert!(block_on(store.written_by_person(run.id, Id::new())).unwrap().is_empty());
}

/// Lets a day less `ms` pass for all rows.
fn pass_a_day_but(fixture: &Fixture, ms: i64) {
    let sql =
        "UPDATE runs SET updated_at = updated_at - 86400000 + ?1, lease_expires_at = lease_expires_at - 86400000 + ?1";
    block_on(fixture.another_connection().query(Statement::new("t", sql, [ms.into()]))).unwrap();
}

fn what_nobody_comes_for_within_a_day_has_failed_and_is_in_nobodys_way(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    for executed in [false, true] {
        let conversation = fixture.conversation(&user);
        let (_, run) = fixture.send(&user, conversation, "hello");
        if executed {
            block_on(fixture.store.claim(lease_of(&run), 0, "")).unwrap().unwrap();
        }
        let read = || block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap();
        let active = || block_on(fixture.store.conversation(user.id, conversation)).unwrap().unwrap().active_run_id;
        pass_a_day_but(&fixture, 60_000);
        assert!(!read().state.is_terminal());
        assert_eq!(active(), Some(run.id));
        assert!(matches!(fixture.append(&user, conversation, "again", None), Appended::RunActive));
        pass_a_day_but(&fixture, 86_400_000 - 60_000);
        let failed = read();
        assert_eq!(failed.state, RunState::Error);
        assert_eq!(failed.failure.unwrap().code, "run_abandoned");
        assert_eq!(active(), None);
        if executed {
            fixture.send(&user, conversation, "again");
        } else {
            let retried = block_on(fixture.store.retry_run(user.id, run.id, None)).unwrap();
            assert!(matches!(retried, Retried::Queued(_)), "{retried:?}");
        }
        assert_eq!(read().state, RunState::Error);
    }
}

fn whoever_comes_too_late_ends_what_they_find(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let claimed = |run: &Run| block_on(fixture.store.claim(lease_of(run), LAPSED_MS, "")).unwrap().unwrap().run.failure;
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let (_, executed) = fixture.send(&user, fixture.conversation(&user), "hello");
    assert!(claimed(&executed).is_none());
    pass_a_day_but(&fixture, 60_000);
    assert!(claimed(&executed).is_none());
    pass_a_day_but(&fixture, 0);
    let lease = lease_of(&run);
    let first = block_on(fixture.store.claim_new(user.id, lease, LEASE_MS, "")).unwrap().unwrap().run;
    let again = block_on(fixture.store.claim_new(user.id, lease, LEASE_MS, "")).unwrap().unwrap().run;
    for run in [first, again] {
        assert_eq!(run.failure.unwrap().code, "run_abandoned");
    }
    assert_eq!(claimed(&executed).unwrap().code, "run_abandoned");
    assert!(claimed(&executed).is_some(), "whoever ended nothing did not make it new");
}

fn a_tool_call_is_started_once_and_its_result_says_how_it_went(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, lease) = fixture.claimed(&user, conversation);
    let call = ToolCall { id: "call_1".into(), name: "clock".into(), arguments: "{}".into() };
    let asked = NewMessage { tool_calls: vec![call.clone()], ..answer("", "tool_calls") };
    let store = &fixture.store;
    assert!(block_on(store.finish_step(lease, RunState::ToolExecution, &asked, None, &batch(3, "r"))).unwrap());
    for started in [Started::First, Started::Again] {
        assert_eq!(block_on(store.start_tool_call(lease, user.id, "call_1", "clock")).unwrap(), started);
    }
    let (result, refused) = (result_of("call_1", "noon", false), result_of("call_2", "No such city.", true));
    assert!(block_on(store.finish_tool_call(lease, &result, &batch(4, "s"))).unwrap());
    assert!(block_on(store.finish_tool_call(lease, &refused, &batch(5, "t"))).unwrap());
    let page = block_on(store.messages(user.id, conversation, 1, 10, 1_000)).unwrap();
    assert_eq!(page.messages[0].tool_calls, [call]);
    for (stored, result) in page.messages[1..].iter().zip([result, refused]) {
        assert_eq!((&stored.tool_result, &stored.finish_reason), (&result.tool_result, &None));
    }
}

fn who_claims_a_run_reads_what_was_learned_of_its_models_server(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let store = &fixture.store;
    for dialect in ["old", "new"] {
        block_on(store.save_model_dialect("here", &run.model, dialect)).unwrap();
    }
    block_on(store.save_model_dialect("here", "another model", "not this")).unwrap();
    let lease = lease_of(&run);
    let learned = [("here".to_owned(), "new".to_owned())];
    let claim = block_on(store.claim_new(user.id, lease, LEASE_MS, "here")).unwrap().unwrap();
    assert_eq!(claim.dialects, learned);
    let claim = |server| block_on(store.claim(lease, LEASE_MS, server)).unwrap().unwrap();
    assert_eq!(claim("here").dialects, learned);
    assert_eq!(claim("elsewhere here").dialects, learned, "of all servers that may be asked");
    assert_eq!(claim("elsewhere").dialects, []);
    let aged = Statement::new("t", "UPDATE model_dialects SET learned_at = learned_at - 100000000", []);
    block_on(fixture.another_connection().query(aged)).unwrap();
    assert_eq!(claim("here").dialects, [], "it is believed for a day");
}

fn reasoning_is_stored_with_its_message_and_context_has_it_with_calls_alone(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, lease) = fixture.claimed(&user, conversation);
    let call = ToolCall { id: "call_1".into(), name: "clock".into(), arguments: "{}".into() };
    let thought = |text: &str| NewMessage { reasoning: Some("hm".repeat(500)), ..answer(text, "stop") };
    let asked = NewMessage { tool_calls: vec![call], echo: Some("{}".into()), ..thought("") };
    let store = &fixture.store;
    assert!(block_on(store.finish_step(lease, RunState::ToolExecution, &asked, None, &batch(3, "r"))).unwrap());
    assert!(block_on(store.finish_step(lease, RunState::Streaming, &thought("done"), None, &batch(4, "s"))).unwrap());
    let kept = |messages: Vec<Message>| -> Vec<_> {
        messages.into_iter().map(|message| (message.reasoning.map_or(0, |text| text.len()), message.echo)).collect()
    };
    let page = |max_bytes| block_on(store.messages(user.id, conversation, 0, 10, max_bytes)).unwrap().messages;
    assert_eq!(kept(page(10_000)), [(0, None), (1_000, Some("{}".to_owned())), (1_000, None)]);
    assert_eq!(page(500).len(), 2, "what was thought fills a page, too");
    let context = block_on(store.context(&run, 10, 500)).unwrap();
    assert_eq!(kept(context), [(0, None), (1_000, Some("{}".to_owned())), (0, None)]);
}
