//! Metrics are exact: whoever counts at the same moment, whatever is deleted later, and however many names there are.

use std::time::{Duration, Instant};

use domain::{RunFailure, RunState, Usage};
use metrics::{Recorder, Sample, VALUE, table};
use storage::{
    Database as _, Statement, Store,
    audit::AuditEvent,
    runs::{Batch, Ending},
};

use crate::{
    accounts::at_once,
    fixture::{Fixture, LAPSED_MS, LEASE_MS, lease_of},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    what_many_add_at_once_adds_up_while_others_read,
    a_run_is_counted_with_what_is_written_anyway_and_stays_counted_when_it_is_deleted,
    a_tool_call_is_counted_with_its_record_and_a_decision_once,
    what_a_program_used_is_counted_once_when_it_is_settled,
    only_so_many_names_have_series_of_their_own_and_no_count_is_lost,
    a_name_that_nobody_counts_any_more_makes_room_for_another,
    where_there_is_room_every_series_stays,
    however_many_changes_wait_they_are_added_in_steps,
    what_is_there_is_counted_when_it_is_asked,
}

fn value(samples: &[Sample], metric: &str, labels: &[&str]) -> i64 {
    let fits = |sample: &&Sample| {
        let own = sample.labels.iter().map(String::as_str).take(labels.len());
        sample.metric == metric && sample.bucket == VALUE && own.eq(labels.iter().copied())
    };
    samples.iter().filter(fits).map(|sample| sample.value).sum()
}

fn totals(store: &Store<Real>) -> Vec<Sample> {
    block_on(store.metric_totals()).unwrap()
}

fn what_many_add_at_once_adds_up_while_others_read(place: Place) {
    const MANY: usize = 8;
    const TIMES: usize = 20;
    let fixture = Fixture::new(place);
    let seen = at_once(&fixture, MANY, |index, store| {
        let mut before = 0;
        for _ in 0..TIMES {
            let recorder = Recorder::new();
            recorder.count(&table::CACHE_REQUESTS, &["tokens", "hit"]);
            recorder.count(&table::CACHE_REQUESTS, &["access", "hit"]);
            block_on(store.add_metrics(&recorder.take())).unwrap();
            if index % 2 == 0 {
                let now = value(&totals(store), "cache_requests", &["tokens", "hit"]);
                assert!(now > before, "it has what this one added, and never goes back: {before}, {now}");
                before = now;
            }
        }
        before
    });
    assert!(seen.iter().any(|seen| *seen > 0));
    let totals = totals(&fixture.store);
    let expected = i64::try_from(MANY * TIMES).unwrap();
    for cache in ["tokens", "access"] {
        assert_eq!(value(&totals, "cache_requests", &[cache, "hit"]), expected);
    }
}

fn a_run_is_counted_with_what_is_written_anyway_and_stays_counted_when_it_is_deleted(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (_, lease) = fixture.claimed(&user, conversation);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    // The next one fails after its executor died.
    let (_, run) = fixture.send(&user, conversation, "again");
    let (dead, alive) = (lease_of(&run), lease_of(&run));
    block_on(fixture.store.claim(dead, LAPSED_MS, "")).unwrap().unwrap();
    block_on(fixture.store.claim(alive, LEASE_MS, "")).unwrap().unwrap();
    let failure = RunFailure { code: "model_failed".into(), message: "m".into() };
    let usage = Some(Usage { prompt_tokens: 10, completion_tokens: 0, total_tokens: 10 });
    let batch = Batch { last_id: 900, frames: "end".into() };
    let ending = Ending { state: RunState::Error, failure: Some(failure), usage, message: None, batch };
    assert!(block_on(fixture.store.finish_run(alive, &ending)).unwrap());
    let counted = |totals: &[Sample]| {
        [
            ("runs_ended", ["complete", ""]),
            ("runs_ended", ["error", "model_failed"]),
            ("run_takeovers", ["", ""]),
            ("tokens", ["m", "prompt"]),
            ("tokens", ["m", "completion"]),
        ]
        .map(|(metric, labels)| value(totals, metric, &labels))
    };
    assert_eq!(counted(&totals(&fixture.store)), [1, 1, 1, 13, 4]);
    assert!(block_on(fixture.store.delete_conversation(user.id, conversation)).unwrap());
    assert_eq!(counted(&totals(&fixture.store)), [1, 1, 1, 13, 4]);
}

fn a_tool_call_is_counted_with_its_record_and_a_decision_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    for (subject, outcome) in [
        ("clock:now", "approval_asked"),
        ("clock:now", "ok"),
        ("clock:now", "ok"),
        ("clock:now", "tool_error"),
        ("?:what a model made up", "unknown_tool"),
    ] {
        let event = AuditEvent { outcome, ..AuditEvent::new(user.id, "tool.call", subject) };
        block_on(fixture.store.append_audit(&event)).unwrap();
    }
    block_on(fixture.store.append_audit(&AuditEvent::new(user.id, "role.set", "clock:now"))).unwrap();
    let totals = totals(&fixture.store);
    let calls: Vec<_> = totals.iter().filter(|sample| sample.metric == "tool_calls").collect();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert_eq!(value(&totals, "tool_calls", &["clock:now", "ok"]), 2);
    assert_eq!(value(&totals, "tool_calls", &["clock:now", "tool_error"]), 1);
    assert_eq!(value(&totals, "tool_calls", &["unknown", "unknown_tool"]), 1);
}

fn what_a_program_used_is_counted_once_when_it_is_settled(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let other = fixture.another_connection();
    for sql in [
        format!(
            "INSERT INTO model_requests (id, user_id, api, model, created_at) VALUES ('r', '{}', 'chat', 'm', 1)",
            user.id
        ),
        "UPDATE model_requests SET prompt_tokens = 5, completion_tokens = 7, cost = 2, currency = 'EUR', ended_at = 2"
            .to_owned(),
        "UPDATE model_requests SET prompt_tokens = 50, ended_at = 3".to_owned(),
        "DELETE FROM model_requests".to_owned(),
    ] {
        block_on(other.query(Statement::new("t", sql, []))).unwrap();
    }
    let totals = totals(&fixture.store);
    let of = |metric, labels: [&str; 2]| value(&totals, metric, &labels);
    assert_eq!((of("tokens", ["m", "prompt"]), of("tokens", ["m", "completion"]), of("cost", ["m", "EUR"])), (5, 7, 2));
}

fn only_so_many_names_have_series_of_their_own_and_no_count_is_lost(place: Place) {
    let fixture = Fixture::new(place);
    let recorder = Recorder::new();
    let count = |name: &str| recorder.count(&table::PROVIDER_REQUESTS, &[name, "ok"]);
    (0..30).for_each(|at| count(&format!("early-{at}")));
    let fold = || {
        block_on(fixture.store.add_metrics(&recorder.take())).unwrap();
        totals(&fixture.store)
    };
    fold();
    (0..130).for_each(|at| count(&format!("late-{at}")));
    (0..30).for_each(|at| count(&format!("early-{at}")));
    count(&"long".repeat(100));
    count("with\0NUL");
    let totals = fold();
    let names = totals.iter().filter(|sample| sample.metric == "provider_requests").count();
    assert_eq!(names, 101, "a hundred, and all others together");
    assert_eq!(value(&totals, "provider_requests", &["early-7", "ok"]), 2);
    assert_eq!(value(&totals, "provider_requests", &["other", "ok"]), 62);
    assert_eq!(value(&totals, "provider_requests", &[]), 192);
}

fn a_name_that_nobody_counts_any_more_makes_room_for_another(place: Place) {
    let fixture = Fixture::new(place);
    let count = |names: std::ops::Range<u32>| {
        let recorder = Recorder::new();
        names.for_each(|at| recorder.count(&table::PROVIDER_REQUESTS, &[&format!("name-{at:03}"), "ok"]));
        block_on(fixture.store.add_metrics(&recorder.take())).unwrap();
        totals(&fixture.store)
    };
    count(0..100);
    let sql = "UPDATE metric_names SET used_at = 1 WHERE name >= 'name-010'";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    // Those that are counted just now are not known any more, and get places anew.
    let totals = count(95..105);
    let of = |name: &str| value(&totals, "provider_requests", &[name, "ok"]);
    assert_eq!((of("name-009"), of("name-010"), of("name-099"), of("name-104")), (1, 0, 1, 1));
    assert_eq!((of("other"), value(&totals, "provider_requests", &[])), (90, 110), "and nothing is lost");
}

fn where_there_is_room_every_series_stays(place: Place) {
    let fixture = Fixture::new(place);
    let add = |outcome: &str| {
        let recorder = Recorder::new();
        recorder.count(&table::RUN_TAKEOVERS, &[]);
        recorder.count(&table::RUNS_ENDED, &[outcome, ""]);
        block_on(fixture.store.add_metrics(&recorder.take())).unwrap();
        totals(&fixture.store)
    };
    let before = add("error");
    let sql = "UPDATE metric_names SET used_at = 1";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert_eq!(totals(&fixture.store), before);
    let after = add("complete");
    let of = |metric: &str, labels: &[&str]| value(&after, metric, labels);
    assert_eq!((of("runs_ended", &["error"]), of("runs_ended", &["complete"]), of("run_takeovers", &[""])), (1, 1, 2));
}

fn however_many_changes_wait_they_are_added_in_steps(place: Place) {
    let fixture = Fixture::new(place);
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
               INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
               SELECT CAST(i AS text), 'runs_ended', 'complete', '', '', '', 0, 1 FROM n";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert_eq!(value(&totals(&fixture.store), "runs_ended", &["complete"]), 50_000);
}

fn what_is_there_is_counted_when_it_is_asked(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let gauges = || block_on(fixture.store.metric_gauges()).unwrap();
    let before = gauges();
    assert_eq!(value(&before, "active_runs", &["queued"]), 0);
    assert_eq!(before.iter().filter(|sample| sample.metric == "active_runs").count(), 4, "zeros are said too");
    fixture.claimed(&user, fixture.conversation(&user));
    fixture.send(&user, fixture.conversation(&user), "hello");
    let other = fixture.another_connection();
    for sql in [
        "UPDATE runs SET created_at = created_at - 5000 WHERE state = 'queued'",
        "INSERT INTO limits (subject, kind, amount) VALUES ('installation', 'tokens_per_month', 1000)",
        "INSERT INTO budget_use (subject, period, tokens, cost) SELECT 'installation', name, 250, 0 FROM budget_periods",
    ] {
        block_on(other.query(Statement::new("t", sql, []))).unwrap();
    }
    let now = gauges();
    let runs = ["queued", "running", "awaiting_approval", "awaiting_task"];
    assert_eq!(runs.map(|state| value(&now, "active_runs", &[state])), [1, 1, 0, 0]);
    let age_us = value(&now, "queue_age_seconds", &[]);
    assert!((5_000_000..600_000_000).contains(&age_us), "{age_us}");
    assert_eq!(value(&now, "budget_used_ratio", &["installation", "tokens_per_month"]), 250_000);
    assert_eq!(value(&now, "active_sessions", &[]), 0);
}

/// `cargo test -p storage --test store -- --ignored --nocapture how_long_counting`.
#[test]
#[ignore = "measures"]
fn how_long_counting_takes_while_others_count() {
    const MANY: usize = 32;
    const TIMES: usize = 50;
    let Some(place) = Place::postgres() else { return };
    let fixture = Fixture::new(place);
    let mut took: Vec<_> = at_once(&fixture, MANY, |index, store| {
        let routes: Vec<String> = (0..10).map(|at| format!("/api/things/{at}")).collect();
        let add = || {
            let recorder = Recorder::new();
            for route in &routes {
                recorder.observe(&table::HTTP_REQUEST_DURATION, &["chat", "GET", route], Duration::from_millis(3));
            }
            let samples = recorder.take();
            let began = Instant::now();
            block_on(store.add_metrics(&samples)).unwrap();
            began.elapsed()
        };
        let took: Vec<_> = (0..TIMES).map(|_| add()).collect();
        if index == 0 {
            let began = Instant::now();
            let read = totals(store).len();
            println!("read {read} rows in {:?}", began.elapsed());
        }
        took
    })
    .into_iter()
    .flatten()
    .collect();
    took.sort();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    println!("{} at once: median {:?}, 95 % {:?}, most {:?}", MANY, at(50), at(95), at(100));
    let counted: i64 =
        totals(&fixture.store).iter().filter(|sample| sample.bucket > 0).map(|sample| sample.value).sum();
    assert_eq!(counted, i64::try_from(MANY * TIMES * 10).unwrap());
}
