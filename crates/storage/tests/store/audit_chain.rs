//! The chain over the audit log: events get places without gaps, whoever recorded them and however many hosts seal at once; the database refuses
//! changes; and what goes past its refusal is found.

use audit::{
    chain::{Head, extend},
    verification::{CheckedSeal, Finding, Verification, Verified},
};
use domain::{Decision, Id, Timestamp};
use storage::{Database as _, Dialect, Statement, Value, approvals::Question, audit::AuditEvent};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    every_event_gets_one_place_also_when_several_hosts_seal_at_once,
    what_triggers_and_earlier_releases_record_gets_a_place,
    what_was_recorded_before_the_chain_comes_first,
    the_database_refuses_to_change_the_record,
    what_goes_past_the_refusal_is_found,
    details_are_erased_apart_from_their_events,
    nobody_holds_up_the_seal_or_dates_an_event_back,
    the_first_use_of_a_key_in_a_day_is_recorded_once,
}

/// Seals everything that waits, as a host does. The signature is the hash itself.
fn seal(fixture: &Fixture, batch: u32) {
    while let Some(arrivals) = block_on(fixture.store.audit_arrivals(batch)).unwrap() {
        let (links, claims) = extend(&arrivals.head, &arrivals.events, arrivals.now.as_millis()).unwrap();
        let signature = serde_json::to_string(&claims).unwrap();
        block_on(fixture.store.seal_audit(&links, &claims, ("key", &signature))).unwrap();
    }
}

fn verified(fixture: &Fixture, noted: Option<Head>) -> Verified {
    let store = &fixture.store;
    let mut verification = Verification::new(noted);
    block_on(async {
        loop {
            let after = verification.position();
            let entries = store.audit_links(after, 3).await.unwrap();
            let up_to = if entries.len() < 3 { i64::MAX } else { entries.last().unwrap().link.position };
            let seals = store.audit_seals(after, up_to, 100).await.unwrap();
            let checked = |seal: storage::audit_chain::StoredSeal| CheckedSeal {
                first_position: seal.first_position,
                claims: serde_json::from_str(&seal.signature).ok(),
                retired_at: None,
            };
            let is_last = entries.len() < 3;
            verification.page(entries, seals.into_iter().map(checked).collect());
            if is_last {
                break;
            }
        }
        for event in store.audit_outside_chain("", 100).await.unwrap() {
            verification.outside(event);
        }
        for event in store.audit_arrivals_without_event("", 100).await.unwrap() {
            verification.arrival_without_event(event);
        }
    });
    verification.finish()
}

fn record(fixture: &Fixture, user_id: Id, subject: &str, detail: Option<&str>) {
    let event = AuditEvent { detail, ..AuditEvent::new(user_id, "a.b", subject) };
    block_on(fixture.store.append_audit(&event)).unwrap();
}

fn run(database: &Real, sql: &str) -> Result<Vec<Vec<Value>>, storage::DatabaseError> {
    let statement = Statement::new("t", sql, []);
    Ok(block_on(database.query(statement))?.into_iter().map(|row| row.0).collect())
}

fn every_event_gets_one_place_also_when_several_hosts_seal_at_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    std::thread::scope(|scope| {
        for host in 0..3 {
            let (fixture, user) = (&fixture, &user);
            scope.spawn(move || {
                let connection = storage::Store::new(fixture.another_connection());
                for number in 0..10 {
                    let subject = format!("{host} {number}");
                    block_on(connection.append_audit(&AuditEvent::new(user.id, "a.b", &subject))).unwrap();
                    if number % 3 == 0 {
                        seal(fixture, 4);
                    }
                }
            });
        }
    });
    seal(&fixture, 4);
    let found = verified(&fixture, None);
    assert_eq!((found.findings.as_slice(), found.head.position), ([].as_slice(), 30));
    let state = block_on(fixture.store.audit_chain_state()).unwrap();
    assert_eq!((state.seal.unwrap().hash, state.waiting), (found.head.hash, 0));
    // A host that was slow: what it sealed has been sealed.
    let head = Head::default();
    let arrivals: Vec<_> = block_on(fixture.store.audit_links(0, 2)).unwrap();
    let again: Vec<_> = arrivals.into_iter().map(|entry| (entry.event.unwrap(), 1)).collect();
    let (links, claims) = extend(&head, &again, 1).unwrap();
    assert!(!block_on(fixture.store.seal_audit(&links, &claims, ("key", "x"))).unwrap());
    assert_eq!(verified(&fixture, None).findings, []);
}

fn what_triggers_and_earlier_releases_record_gets_a_place(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (_, sent) = fixture.send(&user, fixture.conversation(&user), "hello");
    let lease = lease_of(&sent);
    block_on(fixture.store.claim(lease, LEASE_MS, "")).unwrap().unwrap();
    let question = Question { call_id: "c", server: "clock", tool: "now", always_asks: false };
    block_on(fixture.store.ask_approval(lease, user.id, question, 60_000)).unwrap().unwrap();
    block_on(fixture.store.decide_approval(user.id, sent.id, "c", Decision::Deny)).unwrap();
    let earlier = format!(
        "INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome, detail)
         VALUES ('{}', 1, '{}', 'user.role', 's', NULL, NULL, 'ok', 'admin')",
        Id::new(),
        user.id
    );
    run(&fixture.another_connection(), &earlier).unwrap();
    seal(&fixture, 100);
    let found = verified(&fixture, None);
    assert_eq!((found.findings.as_slice(), found.head.position), ([].as_slice(), 2));
}

fn what_was_recorded_before_the_chain_comes_first(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let other = fixture.another_connection();
    record(&fixture, user.id, "new", None);
    // What the migration notes, and what it finds.
    let old: Vec<String> = (1..=5).map(|at| Id::first_of(Timestamp::from_millis(at)).to_string()).collect();
    run(&other, &format!("INSERT INTO audit_backlog (last_id, after_id) VALUES ('{}', '')", old[4])).unwrap();
    for id in &old {
        let row = format!("('{id}', 5, '{}', 'a.b', 'old', 'ok')", user.id);
        run(&other, &format!("INSERT INTO audit_events (id, at, user_id, action, subject, outcome) VALUES {row}"))
            .unwrap();
    }
    assert_eq!(verified(&fixture, None).findings, [], "they wait");
    assert_eq!(block_on(fixture.store.audit_chain_state()).unwrap().waiting, 6);
    seal(&fixture, 2);
    assert_eq!(verified(&fixture, None).head.position, 0, "the first places are theirs");
    while block_on(fixture.store.take_audit_backlog(2)).unwrap() {
        seal(&fixture, 2);
    }
    seal(&fixture, 2);
    assert_eq!(verified(&fixture, None).findings, []);
    let links = block_on(fixture.store.audit_links(0, 10)).unwrap();
    let places: Vec<_> = links.into_iter().map(|entry| (entry.link.event_id, entry.link.arrived_at == 0)).collect();
    assert_eq!(places[..5], old.into_iter().map(|id| (id, true)).collect::<Vec<_>>());
    assert_eq!((places.len(), places[5].1), (6, false));
}

fn the_database_refuses_to_change_the_record(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    record(&fixture, user.id, "sealed", Some("detail"));
    seal(&fixture, 10);
    record(&fixture, user.id, "waits", None);
    let other = fixture.another_connection();
    let mut refused = vec![
        "UPDATE audit_details SET detail = 'x'",
        "UPDATE audit_arrivals SET arrived_at = 1",
        "DELETE FROM audit_arrivals",
    ];
    refused.extend(["UPDATE audit_events SET outcome = 'x'", "DELETE FROM audit_events"]);
    refused.extend(["UPDATE audit_chain SET hash = 'x'", "DELETE FROM audit_chain"]);
    refused.extend(["UPDATE audit_seals SET hash = 'x'", "DELETE FROM audit_seals"]);
    if other.dialect() == Dialect::Postgres {
        refused.extend(["TRUNCATE audit_events", "TRUNCATE audit_chain", "TRUNCATE audit_seals"]);
        refused.extend(["TRUNCATE audit_arrivals", "TRUNCATE audit_details"]);
    }
    for sql in refused {
        assert!(run(&other, sql).is_err(), "{sql}");
    }
    seal(&fixture, 10);
    assert_eq!(verified(&fixture, None).findings, []);
}

/// Takes away the refusal, as whoever owns the database can.
fn without_triggers(database: &Real, table: &str) {
    let sql = match database.dialect() {
        Dialect::Postgres => vec![format!("ALTER TABLE {table} DISABLE TRIGGER USER")],
        Dialect::Sqlite => {
            let names = format!("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = '{table}'");
            let names = run(database, &names).unwrap();
            names
                .into_iter()
                .map(|row| match row.as_slice() {
                    [Value::Text(name)] => format!("DROP TRIGGER {name}"),
                    other => panic!("{other:?}"),
                })
                .collect()
        }
    };
    for sql in sql {
        run(database, &sql).unwrap();
    }
}

fn what_goes_past_the_refusal_is_found(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    for subject in ["1", "2", "3", "4"] {
        record(&fixture, user.id, subject, Some(subject));
        seal(&fixture, 10);
    }
    let head = verified(&fixture, None).head;
    let other = fixture.another_connection();
    for table in ["audit_events", "audit_details", "audit_chain", "audit_seals"] {
        without_triggers(&other, table);
    }
    let event_at = |position: i64| {
        let entry = block_on(fixture.store.audit_links(position - 1, 1)).unwrap().remove(0);
        entry.link.event_id
    };
    let [one, two, three, four] = [1, 2, 3, 4].map(event_at);
    run(&other, &format!("UPDATE audit_events SET outcome = 'denied' WHERE id = '{one}'")).unwrap();
    run(&other, &format!("DELETE FROM audit_events WHERE id = '{two}'")).unwrap();
    run(&other, &format!("UPDATE audit_details SET detail = 'x' WHERE event_id = '{three}'")).unwrap();
    let forged = Id::new().to_string();
    let sql = format!(
        "INSERT INTO audit_events (id, at, user_id, action, subject, outcome) VALUES ('{forged}', 1, 'u', 'a', 's', 'ok')"
    );
    run(&other, &sql).unwrap();
    assert_eq!(
        verified(&fixture, None).findings,
        [
            Finding::Changed { position: 1, event_id: one },
            Finding::Removed { position: 2, event_id: two },
            Finding::DetailChanged { position: 3, event_id: three },
            Finding::Inserted { event_id: forged },
        ]
    );
    run(&other, &format!("DELETE FROM audit_events WHERE id = '{four}'")).unwrap();
    run(&other, "DELETE FROM audit_chain WHERE position = 4").unwrap();
    assert!(verified(&fixture, None).findings.contains(&Finding::SealBroken { first: 4, last: 4 }));
    run(&other, "DELETE FROM audit_seals WHERE first_position = 4").unwrap();
    assert!(verified(&fixture, Some(head)).findings.contains(&Finding::CutOff { noted: 4, last: 3 }));
}

fn details_are_erased_apart_from_their_events(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    record(&fixture, user.id, "s", Some("planted detail"));
    seal(&fixture, 10);
    let read = || block_on(fixture.store.audit_records(Some(user.id), None, 10)).unwrap().remove(0).detail;
    assert_eq!(read().as_deref(), Some("planted detail"));
    let other = fixture.another_connection();
    assert!(run(&other, "DELETE FROM audit_details").is_err(), "nobody else's");
    let sql = format!("INSERT INTO erasures VALUES ('{}', 'x', 1, 1, 0, NULL, NULL, 0, NULL, NULL)", user.id);
    run(&other, &sql).unwrap();
    assert!(run(&other, "DELETE FROM audit_details").is_err(), "it has not begun");
    run(&other, "UPDATE erasures SET inventory = '{}'").unwrap();
    run(&other, "DELETE FROM audit_details").unwrap();
    assert_eq!(read(), None);
    let found = verified(&fixture, None);
    assert_eq!((found.findings.as_slice(), found.erased_details), ([].as_slice(), 1));
    run(&other, "DELETE FROM erasures").unwrap();
    assert!(matches!(verified(&fixture, None).findings.as_slice(), [Finding::DetailRemoved { position: 1, .. }]));
}

fn nobody_holds_up_the_seal_or_dates_an_event_back(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let other = fixture.another_connection();
    record(&fixture, user.id, "1", None);
    seal(&fixture, 1);
    let placed = block_on(fixture.store.audit_links(0, 1)).unwrap().remove(0).link.event_id;
    for event in ["gone 1", "gone 2", &placed] {
        run(&other, &format!("INSERT INTO audit_arrivals (event_id, arrived_at) VALUES ('{event}', 1)")).unwrap();
    }
    // It claims to be of last year, past the trigger.
    for sql in [
        "INSERT INTO audit_arrivals (event_id, arrived_at) VALUES ('dated', 9999999999999)",
        "INSERT INTO audit_events (id, at, user_id, action, subject, outcome) VALUES ('dated', 5, 'u', 'a', 's', 'ok')",
    ] {
        run(&other, sql).unwrap();
    }
    record(&fixture, user.id, "2", None);
    seal(&fixture, 1);
    let found = verified(&fixture, None);
    assert_eq!(found.head.position, 3, "everything that there is has its place");
    assert!(found.findings.contains(&Finding::InsertedLate { position: 3, event_id: "dated".into() }), "{found:?}");
}

fn the_first_use_of_a_key_in_a_day_is_recorded_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let other = fixture.another_connection();
    let key = Id::new();
    let sql = format!(
        "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, created_at) VALUES ('{key}', '{}', 'k', 'p', 'h', '*', 1)",
        user.id
    );
    run(&other, &sql).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| block_on(storage::Store::new(fixture.another_connection()).note_key_uses([key])).unwrap());
        }
    });
    let used = || -> Vec<_> {
        let records = block_on(fixture.store.audit_records(Some(user.id), None, 10)).unwrap();
        records.into_iter().map(|record| (record.action, record.subject, record.outcome)).collect()
    };
    let once = ("api_key.use".to_owned(), key.to_string(), "ok".to_owned());
    assert_eq!(used(), std::slice::from_ref(&once));
    // A day later.
    run(&other, "UPDATE api_keys SET used_at = used_at - 86400000").unwrap();
    for _ in 0..2 {
        block_on(fixture.store.note_key_uses([key])).unwrap();
    }
    assert_eq!(used(), [once.clone(), once]);
}
