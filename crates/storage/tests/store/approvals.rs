//! Approvals: questions, decisions, and the runs that wait for them.

use domain::{Decision, Effect, Id, Run, RunState, Usage, User};
use storage::{
    Database, Statement, Value,
    approvals::{Decided, Question},
    runs::{Batch, Ending, Lease},
    tool_calls::Started,
};

use crate::{
    fixture::{Fixture, LEASE_MS, batch, lease_of, result_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    a_question_keeps_its_expiry_and_is_its_owners_alone,
    a_run_that_waits_can_go_on_when_no_question_is_open,
    a_run_that_waits_keeps_what_it_used_and_its_state_is_told,
    the_first_decision_counts,
    a_question_whose_call_has_a_result_keeps_nobody_waiting,
    to_allow_always_is_a_policy_unless_one_denies,
    what_always_asks_cannot_be_allowed_always,
    a_tool_that_has_begun_to_ask_always_cannot_be_allowed_always_by_an_old_question,
    a_question_of_a_run_that_ended_cannot_be_answered,
    cancelling_a_run_that_waits_lets_it_be_ended_at_once,
    a_tool_call_is_begun_by_the_lease_of_its_person_only,
}

const HOUR_MS: i64 = 3_600_000;

fn question<'a>(call_id: &'a str, tool: &'a str) -> Question<'a> {
    Question { call_id, server: "mail", tool, always_asks: tool == "pay" }
}

fn ask(fixture: &Fixture, user: &User, lease: Lease, call_id: &str, lifetime_ms: i64) -> i64 {
    let asked = fixture.store.ask_approval(lease, user.id, question(call_id, "send"), lifetime_ms);
    block_on(asked).unwrap().unwrap().as_millis()
}

fn decide(fixture: &Fixture, user: &User, run: &Run, call_id: &str, decision: Decision) -> Decided {
    block_on(fixture.store.decide_approval(user.id, run.id, call_id, decision)).unwrap()
}

fn wait(fixture: &Fixture, lease: Lease) {
    let usage = Some(Usage { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 });
    let batch = Batch { last_id: 5, frames: "asked".into() };
    let ending = Ending { state: RunState::AwaitingApproval, failure: None, usage, message: None, batch };
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
}

fn claimable(fixture: &Fixture, user: &User, run: &Run) -> bool {
    block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().claimable
}

/// A run that waits for decisions about these calls.
fn waiting(fixture: &Fixture, user: &User, calls: &[&str]) -> Run {
    let (run, lease) = fixture.claimed(user, fixture.conversation(user));
    for call in calls {
        ask(fixture, user, lease, call, HOUR_MS);
    }
    wait(fixture, lease);
    run
}

fn a_question_keeps_its_expiry_and_is_its_owners_alone(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let permission = |user: &User| block_on(fixture.store.tool_permission(user.id, Some((run.id, "c1")))).unwrap();
    assert_eq!(permission(&user).approval, None);
    let expires_at = ask(&fixture, &user, lease, "c1", HOUR_MS);
    assert_eq!(ask(&fixture, &user, lease, "c1", 5 * HOUR_MS), expires_at);
    let approval = permission(&user).approval.unwrap();
    assert_eq!((approval.server.as_str(), approval.tool.as_str()), ("mail", "send"));
    assert_eq!((approval.decision, approval.expired, approval.expires_at.as_millis()), (None, false, expires_at));
    assert_eq!(permission(&other).approval, None);
    for (lease, user) in [(lease_of(&run), &user), (lease, &other)] {
        let asked = fixture.store.ask_approval(lease, user.id, question("c2", "send"), HOUR_MS);
        assert_eq!(block_on(asked).unwrap(), None);
    }
    assert_eq!(decide(&fixture, &other, &run, "c1", Decision::AllowOnce), Decided::NotFound);
    assert_eq!(decide(&fixture, &user, &run, "c2", Decision::AllowOnce), Decided::NotFound);
    ask(&fixture, &user, lease, "late", -1);
    let late = block_on(fixture.store.tool_permission(user.id, Some((run.id, "late")))).unwrap().approval.unwrap();
    assert!(late.expired);
    assert_eq!(decide(&fixture, &user, &run, "late", Decision::AllowOnce), Decided::Expired);
}

fn a_run_that_waits_can_go_on_when_no_question_is_open(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    ask(&fixture, &user, lease, "c1", HOUR_MS);
    ask(&fixture, &user, lease, "c2", HOUR_MS);
    ask(&fixture, &user, lease, "late", -1);
    wait(&fixture, lease);
    let next = lease_of(&run);
    let claim = || block_on(fixture.store.claim(next, LEASE_MS, "")).unwrap();
    for (call, decision) in [("c1", Decision::Deny), ("c2", Decision::AllowOnce)] {
        assert!(!claimable(&fixture, &user, &run) && claim().is_none());
        assert_eq!(decide(&fixture, &user, &run, call, decision), Decided::Decided);
    }
    assert!(claimable(&fixture, &user, &run));
    assert_eq!(claim().unwrap().attempt, 2);
    assert!(!claimable(&fixture, &user, &run));
    assert!(block_on(fixture.store.claim(lease_of(&run), LEASE_MS, "")).unwrap().is_none());
}

fn a_run_that_waits_keeps_what_it_used_and_its_state_is_told(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1"]);
    let read = || block_on(fixture.store.run(user.id, run.id)).unwrap().unwrap();
    assert_eq!((read().state, read().usage.unwrap().total_tokens), (RunState::AwaitingApproval, 3));
    assert_eq!(block_on(fixture.store.tail(user.id, run.id, 0)).unwrap().unwrap().state, RunState::AwaitingApproval);
    decide(&fixture, &user, &run, "c1", Decision::AllowOnce);
    let lease = lease_of(&run);
    let claim = block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().unwrap();
    assert_eq!(claim.run.usage.unwrap().total_tokens, 3);
    assert_eq!(read().state, RunState::Processing, "though the last it logged was that it waits");
    let result = result_of("c1", "noon", false);
    assert!(block_on(fixture.store.finish_tool_call(lease, &result, &batch(9, "r"))).unwrap());
    assert_eq!((read().state, read().usage.unwrap().total_tokens), (RunState::ToolExecution, 3));
}

fn a_question_whose_call_has_a_result_keeps_nobody_waiting(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    ask(&fixture, &user, lease, "lost", HOUR_MS);
    ask(&fixture, &user, lease, "open", HOUR_MS);
    let result = result_of("lost", "The tools do not answer.", true);
    assert!(block_on(fixture.store.finish_tool_call(lease, &result, &batch(4, "s"))).unwrap());
    wait(&fixture, lease);
    assert!(!claimable(&fixture, &user, &run));
    assert_eq!(decide(&fixture, &user, &run, "open", Decision::AllowOnce), Decided::Decided);
    assert!(claimable(&fixture, &user, &run));
}

fn the_first_decision_counts(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1"]);
    let decisions: Vec<Decided> = std::thread::scope(|scope| {
        let decide = |decision| {
            let store = storage::Store::new(fixture.another_connection());
            let (user_id, run_id) = (user.id, run.id);
            scope.spawn(move || block_on(store.decide_approval(user_id, run_id, "c1", decision)).unwrap())
        };
        let threads: Vec<_> = (0..8).map(|n| decide(Decision::ALL[n % 3])).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(decisions.iter().filter(|decided| **decided == Decided::Decided).count(), 1, "{decisions:?}");
    let permission = block_on(fixture.store.tool_permission(user.id, Some((run.id, "c1")))).unwrap();
    let decision = permission.approval.unwrap().decision.unwrap();
    let later = decisions.iter().filter(|decided| **decided != Decided::Decided);
    assert!(later.into_iter().all(|decided| *decided == Decided::AlreadyDecided(decision)), "{decisions:?}");
    assert_eq!(permission.policies.len(), usize::from(decision == Decision::AllowAlways));
    let sql = "SELECT user_id, action, subject, run_id, call_id, outcome FROM audit_events";
    let audit = block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    let expected: [Value; 6] = [
        user.id.into(),
        "approval.decide".into(),
        "mail:send".into(),
        run.id.into(),
        "c1".into(),
        decision.as_str().into(),
    ];
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].0, expected);
}

fn to_allow_always_is_a_policy_unless_one_denies(place: Place) {
    let fixture = Fixture::new(place);
    for (before, after) in [
        (None, Some(Effect::Allow)),
        (Some(Effect::Ask), Some(Effect::Allow)),
        (Some(Effect::Deny), Some(Effect::Deny)),
    ] {
        let user = fixture.user(&format!("{before:?}@example.org"));
        if let Some(effect) = before {
            assert!(block_on(fixture.store.set_tool_policy(Some(user.id), "mail:send", effect)).unwrap());
        }
        let run = waiting(&fixture, &user, &["c1"]);
        assert_eq!(decide(&fixture, &user, &run, "c1", Decision::AllowAlways), Decided::Decided);
        let policies = block_on(fixture.store.tool_policies(user.id)).unwrap();
        let effects: Vec<_> = policies.iter().map(|policy| (policy.pattern.as_str(), policy.effect)).collect();
        assert_eq!(effects, Vec::from_iter(after.map(|effect| ("mail:send", effect))));
    }
    // A tool's name that looks like a pattern must not allow more than was asked.
    let user = fixture.user("pattern@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    block_on(fixture.store.ask_approval(lease, user.id, question("c1", "*"), HOUR_MS)).unwrap().unwrap();
    assert_eq!(decide(&fixture, &user, &run, "c1", Decision::AllowAlways), Decided::Decided);
    assert_eq!(block_on(fixture.store.tool_policies(user.id)).unwrap(), []);
}

fn what_always_asks_cannot_be_allowed_always(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    block_on(fixture.store.ask_approval(lease, user.id, question("c1", "pay"), HOUR_MS)).unwrap().unwrap();
    wait(&fixture, lease);
    assert_eq!(decide(&fixture, &user, &run, "c1", Decision::AllowAlways), Decided::AlwaysAsks);
    assert_eq!(block_on(fixture.store.tool_policies(user.id)).unwrap(), []);
    assert!(!claimable(&fixture, &user, &run), "the question is still open");
    assert_eq!(decide(&fixture, &user, &run, "c1", Decision::AllowOnce), Decided::Decided);
    assert_eq!(
        decide(&fixture, &user, &run, "c1", Decision::AllowAlways),
        Decided::AlreadyDecided(Decision::AllowOnce)
    );
}

fn a_tool_that_has_begun_to_ask_always_cannot_be_allowed_always_by_an_old_question(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    for always_asks in [false, true] {
        let question = Question { always_asks, ..question("c1", "send") };
        block_on(fixture.store.ask_approval(lease, user.id, question, HOUR_MS)).unwrap().unwrap();
    }
    assert_eq!(decide(&fixture, &user, &run, "c1", Decision::AllowAlways), Decided::AlwaysAsks);
}

fn a_question_of_a_run_that_ended_cannot_be_answered(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    ask(&fixture, &user, lease, "c1", HOUR_MS);
    assert!(fixture.end(lease, RunState::Cancelled, "cancelled"));
    assert_eq!(decide(&fixture, &user, &run, "c1", Decision::AllowAlways), Decided::Expired);
    assert_eq!(block_on(fixture.store.tool_policies(user.id)).unwrap(), []);
}

fn cancelling_a_run_that_waits_lets_it_be_ended_at_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let run = waiting(&fixture, &user, &["c1"]);
    let request = block_on(fixture.store.request_cancel(user.id, run.id, false)).unwrap().unwrap();
    assert_eq!((request.run.state, request.claimable), (RunState::AwaitingApproval, true));
    let lease = lease_of(&run);
    assert!(block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().unwrap().cancel_requested);
    assert!(fixture.end(lease, RunState::Cancelled, "cancelled"));
}

fn a_tool_call_is_begun_by_the_lease_of_its_person_only(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let start = |lease, user_id| block_on(fixture.store.start_tool_call(lease, user_id, "c1", "clock")).unwrap();
    for begun in [Started::First, Started::Again] {
        assert_eq!(start(lease_of(&run), user.id), Started::LeaseLost);
        assert_eq!(start(lease, Id::new()), Started::LeaseLost);
        assert_eq!(start(lease, user.id), begun);
    }
}
