//! Requests of programs: limits and budgets are exact, however many begin at once, and what they used is in the place of what they reserved.

use domain::{Cost, Id, Timestamp, User};
use storage::{
    Database as _, Statement, Store,
    budgets::{Reservation, RoundEstimate},
    limits::LimitKind,
    model_requests::{Begun, ModelRequestUsage, NewModelRequest},
    rate_limits::Bucket,
};

use crate::{
    fixture::Fixture,
    limits::{finish, is_short, reserve, round, run_of, set},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    a_request_takes_from_its_limits_and_reserves_or_does_nothing,
    parallel_requests_never_exceed_a_budget_or_a_limit,
    requests_and_runs_share_a_budget,
    what_a_lost_request_reserved_stays_taken_and_is_no_longer_reserved,
    usage_tells_requests_of_programs_from_runs,
}

fn begin(store: &Store<Real>, user: &User, id: Id, estimate: RoundEstimate, limits: &[Bucket]) -> Begun {
    let (user_id, api, model) = (user.id, "chat_completions", "m");
    let new = NewModelRequest { id, user_id, api_key_id: None, api, model, limits, estimate };
    block_on(store.begin_model_request(&new)).unwrap()
}

fn settle(fixture: &Fixture, user: &User, id: Id, (prompt_tokens, completion_tokens): (u64, u64)) {
    let cost = Some(Cost { millionths: prompt_tokens + 2 * completion_tokens, currency: "EUR".to_owned() });
    let usage = ModelRequestUsage { prompt_tokens, completion_tokens, cost, ..ModelRequestUsage::default() };
    block_on(fixture.store.settle_model_request(user.id, id, &usage)).unwrap();
}

/// What is left of a person's first budget, with and without what is reserved.
fn left(fixture: &Fixture, user: &User) -> (u64, u64) {
    let budgets = block_on(fixture.store.budgets_of(user.id, None)).unwrap();
    (budgets[0].left, budgets[0].left_unreserved)
}

fn a_request_takes_from_its_limits_and_reserves_or_does_nothing(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::TokensPerDay, 1_000)]);
    let limits = [Bucket::per_minute("one".to_owned(), 2)];
    let (first, second) = (Id::new(), Id::new());
    let begun = begin(&fixture.store, &user, first, round(100, 500), &limits);
    assert_eq!((begun.reservation, begun.left[0].remaining), (Reservation::Reserved, 1));
    assert_eq!(left(&fixture, &user), (400, 1_000));
    let short = begin(&fixture.store, &user, second, round(100, 500), &limits);
    let Reservation::Short(budgets) = &short.reservation else { panic!("{short:?}") };
    assert_eq!((budgets[0].left, budgets[0].left_unreserved), (400, 1_000));
    assert_eq!((left(&fixture, &user), short.left[0].wait_us), ((400, 1_000), 0), "nothing was taken");
    assert_eq!(begin(&fixture.store, &user, second, round(100, 100), &limits).reservation, Reservation::Reserved);
    let limited = begin(&fixture.store, &user, Id::new(), round(1, 1), &limits);
    assert!(limited.left[0].wait_us > 0);
    assert_eq!(left(&fixture, &user), (200, 1_000), "of a limited request nothing is reserved");
    settle(&fixture, &user, first, (100, 20));
    // It has ended.
    settle(&fixture, &user, first, (9_000, 9_000));
    assert_eq!(left(&fixture, &user), (680, 880));
    settle(&fixture, &user, second, (0, 0));
    assert_eq!(left(&fixture, &user), (880, 880));
}

fn parallel_requests_never_exceed_a_budget_or_a_limit(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::CostPerMonth, 1_000_000)]);
    let limits = [Bucket { key: "slow".to_owned(), interval_us: 3_600_000_000, burst: 12 }];
    let begun: usize = std::thread::scope(|scope| {
        let hosts: Vec<_> = (0..4)
            .map(|_| {
                let store = Store::new(fixture.another_connection());
                let (user, limits) = (&user, &limits);
                scope.spawn(move || {
                    let begun = (0..8).map(|_| begin(&store, user, Id::new(), round(50, 50), limits));
                    begun.filter(|begun| !is_short(&begun.reservation) && begun.left[0].wait_us == 0).count()
                })
            })
            .collect();
        hosts.into_iter().map(|host| host.join().unwrap()).sum()
    });
    assert_eq!(begun, 10, "of a thousand tokens, a hundred each");
    let budgets = block_on(fixture.store.budgets_of(user.id, None)).unwrap();
    assert!(budgets.iter().any(|budget| budget.left == 0));
    let taken = block_on(fixture.store.take_quotas(&limits)).unwrap();
    assert_eq!(taken[0].remaining, 1, "who found too little in the budget took nothing of the limit");
}

fn requests_and_runs_share_a_budget(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::TokensPerDay, 1_000)]);
    let (lease, id) = (run_of(&fixture, &user), Id::new());
    assert_eq!(reserve(&fixture.store, lease, round(100, 300)), Reservation::Reserved);
    assert!(is_short(&begin(&fixture.store, &user, id, round(100, 600), &[]).reservation));
    assert_eq!(begin(&fixture.store, &user, id, round(100, 400), &[]).reservation, Reservation::Reserved);
    let Reservation::Short(budgets) = reserve(&fixture.store, lease, round(100, 900)) else { panic!("it fits") };
    assert_eq!((budgets[0].left, budgets[0].left_unreserved), (500, 1_000), "the request's is reserved");
    settle(&fixture, &user, id, (100, 100));
    finish(&fixture, lease, Some((100, 50)));
    assert_eq!(left(&fixture, &user), (650, 650));
}

fn what_a_lost_request_reserved_stays_taken_and_is_no_longer_reserved(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    set(&fixture, &format!("user:{}", user.id), &[(LimitKind::TokensPerDay, 1_000)]);
    let lost = Id::new();
    begin(&fixture.store, &user, lost, round(100, 500), &[]);
    let age = |minutes: i64| {
        let sql = format!("UPDATE model_request_charges SET reserved_at = reserved_at - {}", minutes * 60_000);
        block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    };
    age(11);
    assert_eq!(left(&fixture, &user), (400, 400));
    // It was only slow.
    settle(&fixture, &user, lost, (100, 100));
    assert_eq!(left(&fixture, &user), (800, 800));
    begin(&fixture.store, &user, Id::new(), round(100, 100), &[]);
    age(24 * 60 + 1);
    let next = Id::new();
    begin(&fixture.store, &user, next, round(100, 100), &[]);
    settle(&fixture, &user, next, (100, 100));
    assert_eq!(left(&fixture, &user), (400, 400));
    let rows = Statement::new("t", "SELECT 1 FROM model_request_charges", []);
    assert!(block_on(fixture.another_connection().query(rows)).unwrap().is_empty(), "nobody will settle it any more");
}

fn usage_tells_requests_of_programs_from_runs(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let lease = run_of(&fixture, &ada);
    finish(&fixture, lease, Some((10, 5)));
    for used in [(100, 20), (200, 30)] {
        let id = Id::new();
        begin(&fixture.store, &ada, id, round(1, 1), &[]);
        settle(&fixture, &ada, id, used);
    }
    // It goes on.
    begin(&fixture.store, &eve, Id::new(), round(1, 1), &[]);
    let usage = block_on(fixture.store.usage(Timestamp::from_millis(0), None, 10)).unwrap();
    let [of_eve, of_ada] = usage.as_slice() else { panic!("{usage:?}") };
    assert_eq!((of_ada.runs, of_ada.models[0].prompt_tokens, of_ada.model_requests), (1, 10, 2));
    let programs = &of_ada.programs[0];
    assert_eq!((programs.prompt_tokens, programs.completion_tokens, programs.cost), (300, 50, 400));
    assert_eq!((of_eve.runs, of_eve.model_requests, of_eve.programs[0].prompt_tokens), (0, 1, 0));
}
