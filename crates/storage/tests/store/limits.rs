//! Limits and budgets: what is allowed is exact, however many ask at once, and nothing stays reserved for a run that is over.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Id, RunState, Usage, User, prices::Price};
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, Store, TransactionOutcome, Value,
    access::Offers,
    api_keys::NewApiKey,
    budgets::{Budget, Reservation, RoundEstimate},
    invitations::Maker,
    limits::{LimitKind, LimitsSet, Subject},
    messages::{Appended, IncomingMessage},
    rate_limits::Bucket,
    retries::Retried,
    runs::{Batch, Ending, Lease},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS, answer, batch},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    a_message_takes_from_all_limits_or_is_not_stored,
    a_message_that_is_sent_again_takes_nothing,
    two_requests_with_one_message_take_once,
    messages_from_many_connections_are_stored_exactly_as_often_as_the_limit_allows,
    a_budget_that_is_used_up_refuses_messages_and_retries,
    what_is_refused_by_a_reservation_that_is_then_settled_is_tried_again,
    a_round_is_charged_what_the_server_reports,
    a_round_without_a_report_is_charged_what_is_estimated,
    a_run_that_ends_without_settling_keeps_its_reservation_taken,
    a_reservation_that_waits_for_the_end_of_its_run_reserves_nothing,
    a_reservation_can_grow_and_be_repeated,
    every_budget_of_a_person_is_charged,
    parallel_reservations_never_exceed_the_budget,
    limits_of_roles_are_read_with_the_access,
}

const PRICE: Price = Price { input: 1_000_000, output: 2_000_000 };

pub(crate) fn round(prompt_tokens: u64, answer_tokens: u64) -> RoundEstimate {
    RoundEstimate { prompt_tokens, answer_tokens, price: PRICE }
}

pub(crate) fn set(fixture: &Fixture, subject: &str, limits: &[(LimitKind, u64)]) {
    let set = block_on(fixture.store.set_limits(&Subject::parse(subject).unwrap(), subject == "role:member", limits));
    assert!(matches!(set.unwrap(), LimitsSet::Set { .. }));
}

pub(crate) fn reserve(store: &Store<Real>, lease: Lease, estimate: RoundEstimate) -> Reservation {
    block_on(store.reserve_budget(lease, estimate)).unwrap()
}

pub(crate) fn is_short(reservation: &Reservation) -> bool {
    matches!(reservation, Reservation::Short(_))
}

/// What is left of the first budget of a person.
fn left(fixture: &Fixture, user: &User) -> u64 {
    block_on(fixture.store.budgets_of(user.id, None)).unwrap()[0].left
}

pub(crate) fn finish(fixture: &Fixture, lease: Lease, usage: Option<(u64, u64)>) {
    let usage = usage.map(|(prompt_tokens, completion_tokens)| Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
    });
    let (message, batch) = (Some(answer("answer", "stop")), Batch::default());
    let ending = Ending { state: RunState::Complete, failure: None, usage, message, batch };
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
}

pub(crate) fn run_of(fixture: &Fixture, user: &User) -> Lease {
    fixture.claimed(user, fixture.conversation(user)).1
}

fn per_minute(key: &str, per_minute: u32) -> Bucket {
    Bucket::per_minute(key.to_owned(), per_minute)
}

fn a_message_takes_from_all_limits_or_is_not_stored(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let limits = [per_minute("wide", 10), per_minute("narrow", 2)];
    let send = || {
        let incoming = IncomingMessage { content: "hello", default_model: "m", limits: &limits, ..Default::default() };
        block_on(fixture.store.append_message(user.id, fixture.conversation(&user), &incoming)).unwrap()
    };
    for used in 1..=2 {
        let Appended::Stored(message, _, left) = send() else { panic!("not stored") };
        assert_eq!(message.position, 1);
        let left: Vec<_> = left.iter().map(|quota| (quota.wait_us, quota.remaining)).collect();
        assert_eq!(left, [(0, 10 - used), (0, 2 - used)]);
    }
    let Appended::Limited(left) = send() else { panic!("not limited") };
    assert_eq!((left[0].wait_us, left[0].remaining), (0, 8), "nothing was taken of the other limit");
    assert!((1_000_000..=30_000_000).contains(&left[1].wait_us), "{left:?}");
    let sql = "SELECT COUNT(*) FROM messages";
    let stored = block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert_eq!(stored[0].0, [Value::Integer(2)]);
}

fn a_message_that_is_sent_again_takes_nothing(place: Place) {
    let fixture = Fixture::new(place);
    let (user, limits) = (fixture.user("a@example.org"), [per_minute("one", 1)]);
    let conversation = fixture.conversation(&user);
    let incoming = IncomingMessage {
        content: "hello",
        default_model: "m",
        idempotency_key: Some("k"),
        limits: &limits,
        ..Default::default()
    };
    let send = || block_on(fixture.store.append_message(user.id, conversation, &incoming)).unwrap();
    assert!(matches!(send(), Appended::Stored(..)));
    assert!(matches!(send(), Appended::Existing(..)));
}

fn two_requests_with_one_message_take_once(place: Place) {
    const CONVERSATIONS: u64 = 20;
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversations: Vec<Id> = (0..CONVERSATIONS).map(|_| fixture.conversation(&user)).collect();
    let limits = [Bucket { key: "slow".to_owned(), interval_us: 3_600_000_000, burst: 100 }];
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let store = Store::new(fixture.another_connection());
            let (conversations, limits, user, barrier) = (&conversations, &limits, &user, &barrier);
            scope.spawn(move || {
                let (content, default_model, idempotency_key) = ("x", "m", Some("k"));
                let incoming =
                    IncomingMessage { content, default_model, idempotency_key, limits, ..Default::default() };
                for id in conversations {
                    barrier.wait();
                    let sent = block_on(store.append_message(user.id, *id, &incoming)).unwrap();
                    assert!(matches!(sent, Appended::Stored(..) | Appended::Existing(..)), "{sent:?}");
                }
            });
        }
    });
    let left = block_on(fixture.store.take_quotas(&limits)).unwrap();
    assert_eq!(left[0].remaining, 100 - CONVERSATIONS - 1);
}

fn messages_from_many_connections_are_stored_exactly_as_often_as_the_limit_allows(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversations: Vec<Id> = (0..24).map(|_| fixture.conversation(&user)).collect();
    let stored: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = conversations
            .chunks(4)
            .map(|conversations| {
                let (store, user) = (Store::new(fixture.another_connection()), &user);
                scope.spawn(move || {
                    let limits = [per_minute("everybody", 10)];
                    let incoming =
                        IncomingMessage { content: "x", default_model: "m", limits: &limits, ..Default::default() };
                    let send = |id: &Id| block_on(store.append_message(user.id, *id, &incoming)).unwrap();
                    conversations.iter().filter(|id| matches!(send(id), Appended::Stored(..))).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(stored, 10);
}

fn a_budget_that_is_used_up_refuses_messages_and_retries(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let failed = fixture.claimed(&user, fixture.conversation(&user));
    assert!(fixture.end(failed.1, RunState::Error, "error"));
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::TokensPerMonth, 100)]);
    let lease = run_of(&fixture, &user);
    assert_eq!(reserve(&fixture.store, lease, round(60, 40)), Reservation::Reserved);

    let conversation = fixture.conversation(&user);
    let Appended::OverBudget(budget) = fixture.append(&user, conversation, "hello", None) else { panic!("stored") };
    assert_eq!((budget.kind, budget.amount, budget.left), (LimitKind::TokensPerMonth, 100, 0));
    assert_eq!(budget.left_unreserved, 100, "it is only reserved");
    let retried = block_on(fixture.store.retry_run(user.id, failed.0.id, None)).unwrap();
    assert!(matches!(retried, Retried::OverBudget(_)), "{retried:?}");

    finish(&fixture, lease, Some((50, 10)));
    assert_eq!(left(&fixture, &user), 40);
    assert!(matches!(fixture.append(&user, conversation, "hello", None), Appended::Stored(..)));
    assert!(matches!(block_on(fixture.store.retry_run(user.id, failed.0.id, None)).unwrap(), Retried::Queued(_)));
}

/// A database in which all reservations are settled just before somebody looks for a budget that is used up.
struct Settling(Real);

impl Database for Settling {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        if statement.name == "budgets_of" {
            self.0.query(Statement::new("t", "UPDATE run_charges SET tokens = settled_tokens", [])).await?;
        }
        self.0.query(statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        self.0.transaction(statements).await
    }
}

fn what_is_refused_by_a_reservation_that_is_then_settled_is_tried_again(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let failed = fixture.claimed(&user, fixture.conversation(&user));
    assert!(fixture.end(failed.1, RunState::Error, "error"));
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 100)]);
    let (lease, store) = (run_of(&fixture, &other), Store::new(Settling(fixture.another_connection())));
    let incoming = IncomingMessage { content: "hello", default_model: "m", ..Default::default() };

    assert_eq!(reserve(&fixture.store, lease, round(60, 40)), Reservation::Reserved);
    let sent = block_on(store.append_message(user.id, fixture.conversation(&user), &incoming)).unwrap();
    assert!(matches!(sent, Appended::Stored(..)), "{sent:?}");
    assert_eq!(reserve(&fixture.store, lease, round(60, 40)), Reservation::Reserved);
    let retried = block_on(store.retry_run(user.id, failed.0.id, None)).unwrap();
    assert!(matches!(retried, Retried::Queued(_)), "{retried:?}");
}

fn a_round_is_charged_what_the_server_reports(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, "installation", &[(LimitKind::CostPerDay, 1_000), (LimitKind::TokensPerDay, 1_000)]);
    let lease = run_of(&fixture, &user);
    assert_eq!(reserve(&fixture.store, lease, round(100, 300)), Reservation::Reserved);
    let lefts = || {
        let budgets = block_on(fixture.store.budgets_of(user.id, None)).unwrap();
        budgets.iter().map(|budget| budget.left).collect::<Vec<_>>()
    };
    assert_eq!(lefts(), [300, 600]);
    let usage = Usage { prompt_tokens: 90, completion_tokens: 10, total_tokens: 100 };
    let called = answer("", "tool_calls");
    let state = RunState::ToolExecution;
    assert!(block_on(fixture.store.finish_step(lease, state, &called, Some(usage), &batch(1, "a"))).unwrap());
    assert_eq!(lefts(), [890, 900], "the first round is settled when it is stored");
    assert_eq!(reserve(&fixture.store, lease, round(150, 300)), Reservation::Reserved);
    assert_eq!(lefts(), [140, 450]);
    finish(&fixture, lease, Some((240, 30)));
    assert_eq!(lefts(), [700, 730], "the numbers of the run are those of all rounds");
}

fn a_round_without_a_report_is_charged_what_is_estimated(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    let lease = run_of(&fixture, &user);
    let settle = |accepted, tokens| block_on(fixture.store.settle_budget(lease, accepted, tokens)).unwrap();
    settle(true, 500);
    assert_eq!(left(&fixture, &user), 1_000, "nothing was reserved");
    reserve(&fixture.store, lease, round(100, 300));
    settle(false, 0);
    assert_eq!(left(&fixture, &user), 1_000, "the server refused the request");
    reserve(&fixture.store, lease, round(100, 300));
    settle(true, 50);
    settle(true, 50);
    assert_eq!(left(&fixture, &user), 850, "a round is settled once");

    // The host dies; another one takes the run over.
    reserve(&fixture.store, lease, round(100, 300));
    block_on(fixture.store.renew_leases(&[lease], LAPSED_MS)).unwrap();
    let next = Lease { run_id: lease.run_id, owner: Id::new() };
    assert!(block_on(fixture.store.claim(next, LEASE_MS, "")).unwrap().is_some());
    settle(true, 7);
    assert_eq!(left(&fixture, &user), 450, "who has lost the lease settles nothing");
    assert_eq!(reserve(&fixture.store, lease, round(1, 1)), Reservation::LeaseLost);
    block_on(fixture.store.settle_budget(next, true, 20)).unwrap();
    assert_eq!(left(&fixture, &user), 730);
    finish(&fixture, next, None);
    assert_eq!(left(&fixture, &user), 730);
}

fn a_run_that_ends_without_settling_keeps_its_reservation_taken(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    let (ended, deleted) = (run_of(&fixture, &user), fixture.conversation(&user));
    reserve(&fixture.store, ended, round(100, 300));
    finish(&fixture, ended, None);
    assert_eq!(left(&fixture, &user), 600);
    let (_, lease) = fixture.claimed(&user, deleted);
    reserve(&fixture.store, lease, round(100, 300));
    assert!(block_on(fixture.store.delete_conversation(user.id, deleted)).unwrap());
    assert_eq!(left(&fixture, &user), 200, "deleting the conversation gives nothing back");
    let count = "SELECT (SELECT COUNT(*) FROM run_charges) + (SELECT COUNT(*) FROM run_budgets)";
    let rows = block_on(fixture.another_connection().query(Statement::new("t", count, []))).unwrap();
    assert_eq!(rows[0].0, [Value::Integer(0)]);
}

fn a_reservation_that_waits_for_the_end_of_its_run_reserves_nothing(place: Place) {
    // Until somebody waits for this transaction.
    const WAITED_FOR: &str = "DO $$ BEGIN
        WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))) LOOP
            PERFORM pg_sleep(0.01);
        END LOOP;
    END $$";
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let database = fixture.another_connection();
    if database.dialect() == Dialect::Sqlite {
        // It has one writer at a time.
        return;
    }
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    let lease = run_of(&fixture, &user);
    // The budget's row is there, and its lock is free.
    assert_eq!(reserve(&fixture.store, lease, round(100, 100)), Reservation::Reserved);
    block_on(fixture.store.settle_budget(lease, false, 0)).unwrap();
    let end = "UPDATE runs SET state = 'cancelled', lease_owner = NULL WHERE id = ?1";
    let statements = vec![Statement::new("t", end, [lease.run_id.into()]), Statement::new("t", WAITED_FOR, [])];
    std::thread::scope(|scope| {
        scope.spawn(|| block_on(database.transaction(statements)).unwrap());
        // Reserves until the run's end is in its way.
        while reserve(&fixture.store, lease, round(100, 300)) != Reservation::LeaseLost {}
    });
    assert_eq!(reserve(&fixture.store, lease, round(100, 300)), Reservation::LeaseLost);
    let count = "SELECT (SELECT COUNT(*) FROM run_charges) + (SELECT COUNT(*) FROM run_budgets)";
    let rows = block_on(fixture.another_connection().query(Statement::new("t", count, []))).unwrap();
    assert_eq!(rows[0].0, [Value::Integer(0)]);
}

fn a_reservation_can_grow_and_be_repeated(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    let lease = run_of(&fixture, &user);
    for _ in 0..3 {
        assert_eq!(reserve(&fixture.store, lease, round(100, 300)), Reservation::Reserved);
    }
    assert_eq!(reserve(&fixture.store, lease, round(100, 900)), Reservation::Reserved);
    let Reservation::Short(budgets) = reserve(&fixture.store, lease, round(100, 901)) else { panic!() };
    let (subject, kind, at) = (Subject::Installation, LimitKind::TokensPerDay, budgets[0].at);
    let expected = Budget { subject, kind, amount: 1_000, left: 1_000, left_unreserved: 1_000, at };
    assert_eq!(budgets, [expected], "what is left counts what the run itself reserves");
    assert_eq!(left(&fixture, &user), 0, "what was reserved before stays");
    let Reservation::Short(budgets) = reserve(&fixture.store, run_of_other(&fixture), round(0, 1)) else { panic!() };
    assert_eq!((budgets[0].left, budgets[0].left_unreserved), (0, 1_000), "another run has reserved it");
}

/// A run that was sent before there was a budget.
fn run_of_other(fixture: &Fixture) -> Lease {
    set(fixture, "installation", &[]);
    let lease = run_of(fixture, &fixture.user("b@example.org"));
    set(fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    lease
}

fn every_budget_of_a_person_is_charged(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let group = |name: &str| {
        let storage::groups::GroupSaved::Saved(group) = block_on(fixture.store.create_group(name, &[])).unwrap() else {
            panic!("not made")
        };
        assert!(block_on(fixture.store.add_group_member(group.id, user.id)).unwrap());
        format!("group:{}", group.id)
    };
    let new = NewApiKey { name: "key", prefix: "ea_", hash: "x", scopes: "*", expires_at: None };
    let maker = Maker { user_id: user.id, access_version: user.access_version };
    let key = block_on(fixture.store.create_api_key(user.id, new, maker)).unwrap().unwrap();
    let key = format!("key:{}", key.id);
    let subjects = ["installation".to_owned(), format!("user:{}", user.id), group("one"), group("two"), key.clone()];
    for subject in &subjects {
        set(&fixture, subject, &[(LimitKind::TokensPerDay, 1_000), (LimitKind::TokensPerMonth, 2_000)]);
    }
    set(&fixture, &format!("user:{}", other.id), &[(LimitKind::TokensPerDay, 0)]);
    let lease = run_of(&fixture, &user);
    assert_eq!(reserve(&fixture.store, lease, round(100, 100)), Reservation::Reserved);
    finish(&fixture, lease, Some((10, 20)));
    let taken = |subject: &str| {
        let limits = block_on(fixture.store.limits()).unwrap();
        let of = limits.iter().filter(|limit| limit.subject.to_string() == subject);
        of.filter_map(|limit| limit.taken).collect::<Vec<_>>()
    };
    for subject in &subjects[..4] {
        assert_eq!(taken(subject), [30, 30], "{subject}");
    }
    assert_eq!(taken(&key), [0, 0], "it was not used");
    assert_eq!(taken(&format!("user:{}", other.id)), [0]);
    // The narrowest decides.
    set(&fixture, &subjects[3], &[(LimitKind::TokensPerDay, 50)]);
    let lease = run_of(&fixture, &user);
    assert!(is_short(&reserve(&fixture.store, lease, round(10, 20))));
    assert_eq!(taken("installation"), [30, 30], "nothing was reserved elsewhere");
}

/// A small generator, so that a failure can be repeated (Marsaglia, xorshift).
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn parallel_reservations_never_exceed_the_budget(place: Place) {
    const BUDGET: u64 = 3_000;
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let installation = [(LimitKind::TokensPerDay, BUDGET), (LimitKind::CostPerMonth, 1_000_000)];
    set(&fixture, "installation", &installation);
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::TokensPerDay, BUDGET * 2)]);
    let leases: Vec<Lease> = (0..18).map(|_| run_of(&fixture, &user)).collect();
    let is_over = AtomicBool::new(false);
    let used: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = leases
            .chunks(3)
            .enumerate()
            .map(|(thread, leases)| {
                let (store, is_over) = (Store::new(fixture.another_connection()), &is_over);
                scope.spawn(move || {
                    let (mut seed, mut used) = (thread as u64 + 1, 0);
                    for at in 0..24 {
                        let lease = leases[at % leases.len()];
                        let estimate = round(next(&mut seed) % 100, next(&mut seed) % 400 + 1);
                        if reserve(&store, lease, estimate) != Reservation::Reserved {
                            continue;
                        }
                        let limits = block_on(store.limits()).unwrap();
                        let is_exceeded = limits.iter().any(|limit| limit.taken > Some(limit.amount));
                        is_over.fetch_or(is_exceeded, Ordering::Relaxed);
                        let answer = next(&mut seed) % (estimate.answer_tokens + 1);
                        block_on(store.settle_budget(lease, true, answer)).unwrap();
                        used += estimate.prompt_tokens + answer;
                    }
                    used
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(!is_over.into_inner());
    let limits = block_on(fixture.store.limits()).unwrap();
    let tokens = limits.iter().filter(|limit| limit.kind == LimitKind::TokensPerDay);
    for limit in tokens {
        assert_eq!(limit.taken, Some(used), "{limit:?}");
    }
    assert!(used <= BUDGET, "{used}");
    assert!(used > BUDGET / 2, "the test uses the budget: {used}");
}

fn limits_of_roles_are_read_with_the_access(place: Place) {
    let fixture = Fixture::new(place);
    let read = || block_on(fixture.store.access_state("tests", 60_000, Offers::Unread)).unwrap();
    assert!(!read().has_budgets && read().role_limits.is_empty());
    set(&fixture, "role:member", &[(LimitKind::PersonRequests, 7)]);
    assert!(!read().has_budgets);
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 7)]);
    let state = read();
    assert!(state.has_budgets);
    let limits: Vec<_> = state.role_limits.iter().map(|limit| (limit.role.as_str(), limit.per_minute)).collect();
    assert_eq!(limits, [("member", 7)]);
}
