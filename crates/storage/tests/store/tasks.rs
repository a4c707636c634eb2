//! Calls that go on at their servers, and what a run that waits for them does then.

use domain::{Id, Run, RunState, User};
use storage::{
    Database, Statement,
    approvals::Question,
    runs::{Batch, Ending, Lease},
    tool_tasks::{NewTask, Said, WaitingTask},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS, batch, lease_of, result_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    a_run_that_waits_for_tasks_can_go_on_when_all_have_ended,
    a_task_is_kept_by_the_lease_of_its_person_only_and_not_for_a_run_that_was_stopped,
    of_several_readers_one_asks_and_nobody_else_while_it_does,
    somebody_elses_task_is_not_found,
    a_run_that_waits_for_the_person_and_for_a_task_waits_for_both,
    a_stopped_run_gives_up_its_tasks_once,
    a_run_whose_executor_died_is_not_abandoned_while_its_task_is_kept,
    a_task_whose_call_has_a_result_is_forgotten,
}

const HOUR_MS: i64 = 3_600_000;
const DUE: Said<'static> = Said { message: None, poll_ms: 0, lifetime_ms: HOUR_MS };

fn keep(fixture: &Fixture, user: &User, lease: Lease, call_id: &str, said: Said<'_>) -> bool {
    let task = NewTask {
        call_id,
        name: "lab_report",
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

fn a_run_that_waits_for_tasks_can_go_on_when_all_have_ended(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1", "c2"]);
    assert_eq!(state(&fixture, &user, &run), RunState::AwaitingTask);
    let tail = block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap();
    assert!(tail.has_tasks && !tail.claimable);
    for call_id in ["c1", "c2"] {
        assert!(!claimable(&fixture, &user, &run));
        assert!(end(&fixture, &user, &run, call_id));
        assert!(!end(&fixture, &user, &run, call_id), "the first who says what it came to is believed");
    }
    assert!(claimable(&fixture, &user, &run));
    let lease = lease_of(&run);
    assert!(block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().is_some());
    let task = block_on(fixture.store.tool_task(user.id, run.id, "c1")).unwrap().unwrap();
    let ended = task.ended.unwrap();
    assert_eq!((task.server.as_str(), ended.result.as_str(), ended.is_error), ("lab", "the report", false));
    assert_eq!(state(&fixture, &user, &run), RunState::Processing, "it does not wait any more");
}

fn a_task_is_kept_by_the_lease_of_its_person_only_and_not_for_a_run_that_was_stopped(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    assert!(!keep(&fixture, &user, lease_of(&run), "c1", DUE));
    assert!(!keep(&fixture, &other, lease, "c1", DUE));
    assert!(keep(&fixture, &user, lease, "c1", DUE));
    block_on(fixture.store.request_cancel(user.id, run.id)).unwrap().unwrap();
    assert!(!keep(&fixture, &user, lease, "c2", DUE));
}

fn of_several_readers_one_asks_and_nobody_else_while_it_does(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1"]);
    let claim = || block_on(fixture.store.claim_due_tool_tasks(user.id, run.id, HOUR_MS)).unwrap();
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

fn somebody_elses_task_is_not_found(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let run = waiting(&fixture, &user, &["c1"]);
    assert_eq!(block_on(fixture.store.tool_task(other.id, run.id, "c1")).unwrap(), None);
    assert!(block_on(fixture.store.waiting_tool_tasks(other.id, run.id)).unwrap().is_empty());
    assert!(block_on(fixture.store.claim_due_tool_tasks(other.id, run.id, 0)).unwrap().is_empty());
    assert!(!end(&fixture, &other, &run, "c1"));
    block_on(fixture.store.note_silent_tool_task(other.id, run.id, "c1", "x")).unwrap();
    block_on(fixture.store.request_cancel(user.id, run.id)).unwrap();
    assert!(block_on(fixture.store.forget_stopped_tool_tasks(other.id, run.id)).unwrap().is_empty());
    assert_eq!(block_on(fixture.store.waiting_tool_tasks(user.id, run.id)).unwrap()[0].message, None);
}

fn a_run_that_waits_for_the_person_and_for_a_task_waits_for_both(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    assert!(keep(&fixture, &user, lease, "c1", DUE));
    let question = Question { call_id: "c2", server: "mail", tool: "send", always_asks: false };
    block_on(fixture.store.ask_approval(lease, user.id, question, HOUR_MS)).unwrap().unwrap();
    wait(&fixture, lease);
    assert_eq!(state(&fixture, &user, &run), RunState::AwaitingApproval, "what the person can do something about");
    block_on(fixture.store.decide_approval(user.id, run.id, "c2", domain::Decision::Deny)).unwrap();
    assert_eq!((state(&fixture, &user, &run), claimable(&fixture, &user, &run)), (RunState::AwaitingTask, false));
    assert!(end(&fixture, &user, &run, "c1"));
    assert!(claimable(&fixture, &user, &run));
}

fn a_stopped_run_gives_up_its_tasks_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1", "c2"]);
    assert!(end(&fixture, &user, &run, "c2"));
    let forget = || block_on(fixture.store.forget_stopped_tool_tasks(user.id, run.id)).unwrap();
    assert!(forget().is_empty());
    let request = block_on(fixture.store.request_cancel(user.id, run.id)).unwrap().unwrap();
    assert!(request.claimable && request.has_tasks);
    let stopped: Vec<_> = forget().into_iter().map(|task| task.call_id).collect();
    assert_eq!(stopped, ["c1"], "the other one has ended");
    assert!(forget().is_empty());
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
    let known = |call_id: &str| block_on(fixture.store.tool_task(user.id, run.id, call_id)).unwrap().is_some();
    assert_eq!((known("c1"), known("c2")), (false, true));
    assert!(block_on(fixture.store.tool_task(user.id, Id::new(), "c2")).unwrap().is_none());
}
