//! Limits that are replaced, and what was used: how long it counts, and when it goes.

use storage::{
    Database, Row, Statement,
    budgets::Reservation,
    limits::{LimitKind, LimitsSet, Subject},
};

use crate::{
    fixture::Fixture,
    limits::{finish, is_short, reserve, round, run_of, set},
    places::{Place, block_on},
};

crate::on_each_database! {
    the_limits_of_a_subject_are_replaced_and_go_with_it,
    a_change_of_limits_says_what_was_there_before,
    what_was_used_goes_with_its_subject_and_when_it_is_old,
    a_run_that_waited_past_midnight_goes_on_in_the_new_day,
}

fn the_limits_of_a_subject_are_replaced_and_go_with_it(place: Place) {
    let fixture = Fixture::new(place);
    assert!(block_on(fixture.store.set_role("batch", "conversations:write", 9)).unwrap());
    set(&fixture, "role:batch", &[(LimitKind::PersonRequests, 5), (LimitKind::ToolCalls, 0)]);
    set(&fixture, "role:batch", &[(LimitKind::PersonRequests, 7)]);
    let limits = block_on(fixture.store.limits()).unwrap();
    assert_eq!((limits.len(), limits[0].kind, limits[0].amount), (1, LimitKind::PersonRequests, 7));
    assert_eq!(block_on(fixture.store.delete_role("batch")).unwrap(), 0);
    assert_eq!(block_on(fixture.store.limits()).unwrap(), []);
    let again = block_on(fixture.store.set_limits(&Subject::Role("batch".into()), false, &[]));
    assert_eq!(again.unwrap(), LimitsSet::NoSubject, "nobody sets limits for what is gone");
}

fn a_change_of_limits_says_what_was_there_before(place: Place) {
    let fixture = Fixture::new(place);
    let set = |limits: &[(LimitKind, u64)]| {
        block_on(fixture.store.set_limits(&Subject::Installation, false, limits)).unwrap()
    };
    let before = |text: &str| LimitsSet::Set { before: text.into() };
    assert_eq!(set(&[(LimitKind::TokensPerMonth, 9_000), (LimitKind::TokensPerDay, 1_000)]), before(""));
    assert_eq!(set(&[]), before("tokens_per_day=1000 tokens_per_month=9000"));
    assert_eq!(set(&[]), before(""));
}

/// The rows that say what was used, with their periods.
fn used(fixture: &Fixture) -> Vec<Row> {
    let sql = "SELECT subject, period FROM budget_use ORDER BY subject, period";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap()
}

fn what_was_used_goes_with_its_subject_and_when_it_is_old(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    for (subject, period) in [("installation", "2020-02-03"), ("installation", "2020-02"), ("user:x", "2020-02")] {
        let sql = "INSERT INTO budget_use (subject, period, tokens, cost) VALUES (?1, ?2, 1, 1)";
        let row = Statement::new("t", sql, [subject.into(), period.into()]);
        block_on(fixture.another_connection().query(row)).unwrap();
    }
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::TokensPerDay, 1_000)]);
    let lease = run_of(&fixture, &user);
    assert_eq!(reserve(&fixture.store, lease, round(1, 1)), Reservation::Reserved);
    assert_eq!(used(&fixture).len(), 1, "what was used of long ago is gone: {:?}", used(&fixture));
    let sql = "DELETE FROM users WHERE id = ?1";
    block_on(fixture.another_connection().query(Statement::new("t", sql, [user.id.into()]))).unwrap();
    assert_eq!(used(&fixture), []);
}

fn a_run_that_waited_past_midnight_goes_on_in_the_new_day(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000), (LimitKind::TokensPerMonth, 5_000)]);
    let lease = run_of(&fixture, &user);
    assert_eq!(reserve(&fixture.store, lease, round(100, 800)), Reservation::Reserved);
    // As if it had begun yesterday.
    for table in ["budget_use", "run_budgets"] {
        let sql = format!("UPDATE {table} SET period = '2020-02-03' WHERE length(period) = 10");
        block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    }
    assert!(
        is_short(&reserve(&fixture.store, lease, round(100, 901))),
        "as long as its round goes on, yesterday's counts"
    );
    block_on(fixture.store.settle_budget(lease, true, 800)).unwrap();
    assert_eq!(reserve(&fixture.store, lease, round(100, 900)), Reservation::Reserved, "today has 1,000");
    finish(&fixture, lease, Some((10, 20)));
    let limits = block_on(fixture.store.limits()).unwrap();
    let taken: Vec<_> = limits.iter().map(|limit| limit.taken).collect();
    assert_eq!(taken, [Some(30), Some(930)], "of the day what was used in it, of the month all");
}
