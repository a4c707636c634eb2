//! Calls that go on at their servers, and what a run that waits for them does then.

use domain::{Id, Run, RunState, User};
use storage::{
    Database, Statement,
    approvals::Question,
    runs::{Batch, Ending, Lease},
    tool_tasks::{NewTask, Said, ToolTask, WaitingTask},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS, batch, lease_of, result_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    a_run_that_waits_for_tasks_can_go_on_when_one_has_ended,
    a_task_is_kept_by_the_lease_of_its_person_only_and_not_for_a_run_that_was_stopped,
    of_several_readers_one_asks_and_nobody_else_while_it_does,
    so_many_tasks_are_asked_about_at_once_and_those_that_waited_longest_first,
    somebody_elses_task_is_not_found,
    a_decision_is_acted_on_while_a_task_goes_on,
    a_task_of_a_stopped_run_is_kept_until_its_server_was_told,
    a_task_of_a_run_that_has_ended_or_is_deleted_is_to_be_stopped,
    a_server_is_silent_from_its_first_unanswered_question_on,
    a_run_whose_executor_died_is_not_abandoned_while_its_task_is_kept,
    a_task_whose_call_has_a_result_is_forgotten,
}

const HOUR_MS: i64 = 3_600_000;
const DUE: Said<'static> = Said { message: None, poll_ms: 0, lifetime_ms: HOUR_MS };

fn keep(fixture: &Fixture, user: &User, lease: Lease, call_id: &str, said: Said<'_>) -> bool {
    let task = NewTask {
        call_id,
        name: "lab_report",
        title: "Report",
        server: "lab",
        tool: "report",
        task_id: "t1",
        session: Some("s1"),
        said,
    };
    block_on(fixture.store.keep_tool_task(lease, user.id, task)).unwrap().is_some()
}

fn wait(fixture: &Fixture, lease: Lease) {
    let batch = Batch { last_id: 5, frames: "waits".into() };
    let ending = Ending { state: RunState::AwaitingTask, failure: None, usage: None, message: None, batch };
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
}

/// A run that waits for tasks of these calls.
fn waiting(fixture: &Fixture, user: &User, calls: &[&str]) -> Run {
    let (run, lease) = fixture.claimed(user, fixture.conversation(user));
    for call_id in calls {
        assert!(keep(fixture, user, lease, call_id, DUE));
    }
    wait(fixture, lease);
    run
}

fn claimable(fixture: &Fixture, user: &User, run: &Run) -> bool {
    block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().claimable
}

fn state(fixture: &Fixture, user: &User, run: &Run) -> RunState {
    block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap().state
}

fn end(fixture: &Fixture, user: &User, run: &Run, call_id: &str) -> bool {
    block_on(fixture.store.end_tool_task(user.id, run.id, call_id, "the report", false)).unwrap()
}

fn task(fixture: &Fixture, run: &Run, call_id: &str) -> Option<ToolTask> {
    let tasks = block_on(fixture.store.tool_tasks(run.id)).unwrap();
    tasks.into_iter().find(|task| task.call_id == call_id)
}

fn a_run_that_waits_for_tasks_can_go_on_when_one_has_ended(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1", "c2"]);
    assert_eq!(state(&fixture, &user, &run), RunState::AwaitingTask);
    let tail = block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap();
    assert!(tail.has_tasks && !tail.claimable);
    assert!(end(&fixture, &user, &run, "c1"));
    assert!(!end(&fixture, &user, &run, "c1"), "the first who says what it came to is believed");
    assert!(claimable(&fixture, &user, &run), "its result is to be told now");
    let lease = lease_of(&run);
    assert!(block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().is_some());
    assert_eq!(state(&fixture, &user, &run), RunState::Processing, "it does not wait any more");
    let ended = task(&fixture, &run, "c1").unwrap().ended.unwrap();
    assert_eq!((ended.result.as_str(), ended.is_error), ("the report", false));
    let result = result_of("c1", "the report", false);
    assert!(block_on(fixture.store.finish_tool_call(lease, &result, &batch(6, "a"))).unwrap());
    wait(&fixture, lease);
    assert!(!claimable(&fixture, &user, &run), "the other one goes on");
    assert!(end(&fixture, &user, &run, "c2") && claimable(&fixture, &user, &run));
}

fn a_task_is_kept_by_the_lease_of_its_person_only_and_not_for_a_run_that_was_stopped(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    assert!(!keep(&fixture, &user, lease_of(&run), "c1", DUE));
    assert!(!keep(&fixture, &other, lease, "c1", DUE));
    assert!(keep(&fixture, &user, lease, "c1", DUE));
    block_on(fixture.store.request_cancel(user.id, run.id, false)).unwrap().unwrap();
    assert!(!keep(&fixture, &user, lease, "c2", DUE));
}

fn of_several_readers_one_asks_and_nobody_else_while_it_does(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1"]);
    let claim = || block_on(fixture.store.claim_due_tool_tasks(user.id, run.id, HOUR_MS, 4)).unwrap();
    let claimed = claim();
    let [task] = claimed.as_slice() else { panic!("{claimed:?}") };
    assert_eq!((task.name.as_str(), task.server.as_str(), task.tool.as_str()), ("lab_report", "lab", "report"));
    assert_eq!((task.task_id.as_str(), task.session.as_deref(), task.has_lapsed), ("t1", Some("s1"), false));
    assert!(claim().is_empty());
    let said = Said { message: Some("half of it"), poll_ms: 0, lifetime_ms: -1 };
    block_on(fixture.store.note_tool_task(user.id, run.id, "c1", said)).unwrap();
    let waiting = block_on(fixture.store.waiting_tool_tasks(user.id, run.id)).unwrap();
    let expected = WaitingTask { call_id: "c1".into(), message: Some("half of it".into()), is_due: true };
    assert_eq!(waiting, [expected]);
    assert!(claim()[0].has_lapsed, "what its server says last about its life counts");
    block_on(fixture.store.note_tool_task(user.id, run.id, "c1", Said { poll_ms: HOUR_MS, ..said })).unwrap();
    assert!(claim().is_empty());
}

fn so_many_tasks_are_asked_about_at_once_and_those_that_waited_longest_first(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1", "c2", "c3", "c4", "c5"]);
    let sql = Statement::new("t", "UPDATE tool_tasks SET ask_at = ask_at - 1000 WHERE call_id IN ('c4', 'c5')", []);
    block_on(fixture.another_connection().query(sql)).unwrap();
    let claim = || {
        let claimed = block_on(fixture.store.claim_due_tool_tasks(user.id, run.id, HOUR_MS, 2)).unwrap();
        let mut calls: Vec<_> = claimed.into_iter().map(|task| task.call_id).collect();
        calls.sort();
        calls
    };
    assert_eq!([claim(), claim(), claim()], [vec!["c4", "c5"], vec!["c1", "c2"], vec!["c3"]]);
    assert!(claim().is_empty());
}

fn somebody_elses_task_is_not_found(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let run = waiting(&fixture, &user, &["c1"]);
    assert!(block_on(fixture.store.waiting_tool_tasks(other.id, run.id)).unwrap().is_empty());
    assert!(block_on(fixture.store.claim_due_tool_tasks(other.id, run.id, 0, 4)).unwrap().is_empty());
    assert!(!end(&fixture, &other, &run, "c1"));
    block_on(fixture.store.note_silent_tool_task(other.id, run.id, "c1", "x")).unwrap();
    assert!(!block_on(fixture.store.has_tool_tasks(other.id, run.conversation_id)).unwrap());
    assert_eq!(block_on(fixture.store.waiting_tool_tasks(user.id, run.id)).unwrap()[0].message, None);
}

fn a_decision_is_acted_on_while_a_task_goes_on(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    assert!(keep(&fixture, &user, lease, "c1", DUE));
    let question = Question { call_id: "c2", server: "mail", tool: "send", always_asks: false };
    block_on(fixture.store.ask_approval(lease, user.id, question, HOUR_MS)).unwrap().unwrap();
    wait(&fixture, lease);
    assert_eq!(state(&fixture, &user, &run), RunState::AwaitingApproval, "what the person can do something about");
    assert!(!claimable(&fixture, &user, &run));
    block_on(fixture.store.decide_approval(user.id, run.id, "c2", domain::Decision::AllowOnce)).unwrap();
    assert!(claimable(&fixture, &user, &run), "the call is made now, not when the task has ended");
    let lease = lease_of(&run);
    assert!(block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().is_some());
    let result = result_of("c2", "sent", false);
    assert!(block_on(fixture.store.finish_tool_call(lease, &result, &batch(6, "a"))).unwrap());
    wait(&fixture, lease);
    assert_eq!((state(&fixture, &user, &run), claimable(&fixture, &user, &run)), (RunState::AwaitingTask, false));
    assert!(end(&fixture, &user, &run, "c1"));
    assert!(claimable(&fixture, &user, &run));
}

fn stopped(fixture: &Fixture, run: Option<Id>) -> Vec<String> {
    let taken = block_on(fixture.store.take_stopped_tool_tasks(run, HOUR_MS)).unwrap();
    let mut taken: Vec<_> = taken.into_iter().map(|task| task.call_id).collect();
    taken.sort();
    taken
}

fn a_task_of_a_stopped_run_is_kept_until_its_server_was_told(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1", "c2"]);
    assert!(end(&fixture, &user, &run, "c2"));
    assert!(stopped(&fixture, Some(run.id)).is_empty() && stopped(&fixture, None).is_empty());
    let request = || block_on(fixture.store.request_cancel(user.id, run.id, false)).unwrap().unwrap();
    assert!(request().claimable && request().has_tasks);
    block_on(fixture.store.forget_ended_tool_tasks()).unwrap();
    assert!(task(&fixture, &run, "c2").is_some());
    assert_eq!(stopped(&fixture, None), ["c1"], "the other one has ended, and its result is not told yet");
    assert!(stopped(&fixture, None).is_empty(), "somebody else is at it");
    assert_eq!(stopped(&fixture, Some(run.id)), ["c1"], "a second wish is a second attempt");
    let lease = lease_of(&run);
    assert!(block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().is_some());
    let (state, batch) = (RunState::Cancelled, Batch { last_id: 9, frames: "end".into() });
    let ending = Ending { state, failure: None, usage: None, message: None, batch };
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
    let again = request();
    assert!(!again.claimable && again.has_tasks, "also when the run has ended");
    assert_eq!(stopped(&fixture, Some(run.id)), ["c1"], "nothing is to be said of the one that has ended");
    block_on(fixture.store.forget_tool_task(run.id, "c1")).unwrap();
    assert!(request().has_tasks);
    block_on(fixture.store.forget_ended_tool_tasks()).unwrap();
    assert!(!request().has_tasks && stopped(&fixture, Some(run.id)).is_empty());
}

fn a_task_of_a_run_that_has_ended_or_is_deleted_is_to_be_stopped(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (ended, deleted) = (waiting(&fixture, &user, &["c1"]), waiting(&fixture, &user, &["c2"]));
    let lease = lease_of(&ended);
    let sql = Statement::new("t", "UPDATE runs SET state = 'error' WHERE id = ?1", [lease.run_id.into()]);
    block_on(fixture.another_connection().query(sql)).unwrap();
    assert!(block_on(fixture.store.has_tool_tasks(user.id, deleted.conversation_id)).unwrap());
    assert!(block_on(fixture.store.delete_conversation(user.id, deleted.conversation_id)).unwrap());
    assert_eq!(stopped(&fixture, None), ["c1", "c2"]);
}

fn a_server_is_silent_from_its_first_unanswered_question_on(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1"]);
    let claim = || block_on(fixture.store.claim_due_tool_tasks(user.id, run.id, 0, 4)).unwrap().remove(0);
    assert_eq!(claim().silent_ms, None);
    let silent = || block_on(fixture.store.note_silent_tool_task(user.id, run.id, "c1", "silent")).unwrap();
    silent();
    let back = Statement::new(
        "t",
        "UPDATE tool_tasks SET silent_since = silent_since - 5000, started_at = started_at - 9000",
        [],
    );
    block_on(fixture.another_connection().query(back)).unwrap();
    silent();
    let claimed = claim();
    assert!(claimed.silent_ms.unwrap() >= 5_000 && claimed.age_ms >= 9_000, "{claimed:?}");
    block_on(fixture.store.note_tool_task(user.id, run.id, "c1", DUE)).unwrap();
    assert_eq!(claim().silent_ms, None);
}

fn a_run_whose_executor_died_is_not_abandoned_while_its_task_is_kept(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    assert!(keep(&fixture, &user, lease, "c1", DUE));
    let sql = |sql: &str| block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    sql(&format!("UPDATE runs SET lease_expires_at = now_ms() - 86400000 + {LAPSED_MS}"));
    assert_eq!(state(&fixture, &user, &run), RunState::Processing);
    sql("UPDATE tool_tasks SET lapses_at = 0");
    assert_eq!(state(&fixture, &user, &run), RunState::Error);
}

fn a_task_whose_call_has_a_result_is_forgotten(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    assert!(keep(&fixture, &user, lease, "c1", DUE) && keep(&fixture, &user, lease, "c2", DUE));
    let result = result_of("c1", "the report", false);
    assert!(block_on(fixture.store.finish_tool_call(lease, &result, &batch(1, "a"))).unwrap());
    let known = |call_id: &str| task(&fixture, &run, call_id).is_some();
    assert_eq!((known("c1"), known("c2")), (false, true));
}
