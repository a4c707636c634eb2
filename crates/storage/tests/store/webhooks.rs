//! Webhooks: what happened is queued in the statement that stores it, for whoever wants to be told, and every message has one sender at a time.

use domain::{Id, RunState, User, prices::Price};
use storage::{
    Database, Statement, Value,
    accounts::AccountChange,
    approvals::Question,
    audit::AuditEvent,
    budgets::RoundEstimate,
    limits::LimitKind,
    master_sealed::Resealed,
    webhooks::{
        MAX_WEBHOOKS, NewWebhook, Webhook, WebhookAttempt, WebhookMessage, WebhookOutcome, WebhookOwner, WebhookTurn,
    },
};

use crate::{
    accounts::at_once,
    fixture::{Fixture, LEASE_MS},
    limits::{finish, reserve, run_of, set},
    models::rotated,
    places::{Place, block_on},
    sealing::rows,
};

crate::on_each_database! {
    a_runs_end_is_told_to_its_person_and_the_installation_and_nobody_else,
    a_question_and_what_was_recorded_are_told,
    a_budget_is_told_once_when_it_is_used_up,
    a_budget_that_only_waits_for_others_is_not_told,
    what_is_not_stored_is_not_told,
    two_senders_never_have_one_webhook,
    what_happens_beside_removals_and_full_queues_is_stored,
    a_budget_of_a_day_that_is_over_is_told_once_too,
    what_programs_reserve_is_not_used_and_what_they_used_is,
    webhooks_that_are_added_at_once_are_no_more_than_an_owner_may_have,
    a_message_that_failed_is_due_again_later_and_is_lost_in_the_end,
    a_queue_has_an_end,
    a_webhook_goes_with_its_account,
    who_is_suspended_is_told_nothing,
    an_owner_has_a_few_webhooks,
    addresses_and_secrets_are_sealed,
    secrets_that_cannot_be_opened_keep_no_others_from_a_new_master_key,
    rows_that_are_copied_here_are_told_to_nobody,
}

fn add(fixture: &Fixture, owner: WebhookOwner, events: &[&str]) -> Id {
    let id = Id::new();
    let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
    let sealed = block_on(fixture.store.seal_webhook(id, "address and secret")).unwrap();
    let new = NewWebhook { id, server: "https://a.example:443", events: &events, sealed: &sealed };
    assert!(block_on(fixture.store.add_webhook(owner, new)).unwrap());
    id
}

fn only(fixture: &Fixture, owner: WebhookOwner) -> Webhook {
    let mut all = block_on(fixture.store.webhooks(owner)).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn turn(fixture: &Fixture) -> Option<WebhookTurn> {
    block_on(fixture.store.take_webhook_turn()).unwrap()
}

fn attempt(fixture: &Fixture, turn: &WebhookTurn, message: &WebhookMessage, outcome: WebhookOutcome) -> bool {
    let attempt = WebhookAttempt { webhook_id: turn.id, turn: turn.turn, message, answer: "http_200", outcome };
    block_on(fixture.store.store_webhook_attempt(&attempt)).unwrap()
}

/// Everything that waits, sent: type and data, by webhook.
fn told(fixture: &Fixture) -> Vec<(Id, String, serde_json::Value)> {
    let mut told = Vec::new();
    while let Some(taken) = turn(fixture) {
        let mut left = taken.messages.len();
        for message in &taken.messages {
            left -= 1;
            told.push((taken.id, message.kind.clone(), serde_json::from_str(&message.data).unwrap()));
            assert!(attempt(fixture, &taken, message, WebhookOutcome::Delivered { goes_on: left > 0, pause_ms: 0 }));
        }
    }
    told
}

fn execute(fixture: &Fixture, sql: &str, parameters: Vec<Value>) {
    block_on(fixture.another_connection().query(Statement::new("t", sql.to_owned(), parameters))).unwrap();
}

/// Has so many messages wait for a webhook.
fn queue(fixture: &Fixture, webhook: Id, messages: usize) {
    let row = |n| format!("('{webhook}', 'evt_{n}', 'run.ended', '{{}}', 1, 0, 1)");
    let rows: Vec<String> = (0..messages).map(row).collect();
    let sql = format!(
        "INSERT INTO webhook_deliveries (webhook_id, id, type, data, occurred_at, attempts, due_at) VALUES {}",
        rows.join(", ")
    );
    execute(fixture, &sql, vec![]);
}

fn end_a_run(fixture: &Fixture, user: &User) -> (Id, Id) {
    let (run, lease) = fixture.claimed(user, fixture.conversation(user));
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    (run.id, run.conversation_id)
}

fn a_runs_end_is_told_to_its_person_and_the_installation_and_nobody_else(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let own = add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    let all = add(&fixture, WebhookOwner::Installation, &["run.ended"]);
    add(&fixture, WebhookOwner::Person(eve.id), &["run.ended"]);
    add(&fixture, WebhookOwner::Person(ada.id), &["approval.needed"]);
    assert!(told(&fixture).is_empty());
    let (run_id, conversation_id) = end_a_run(&fixture, &ada);
    let mut told = told(&fixture);
    told.sort_by_key(|(id, ..)| *id);
    assert_eq!(told.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [own, all]);
    for (_, kind, data) in told {
        assert_eq!(kind, "run.ended");
        let expected = serde_json::json!({
            "run_id": run_id, "conversation_id": conversation_id, "user_id": ada.id, "state": "complete", "error_code": null,
        });
        assert_eq!(data, expected);
    }
}

fn a_question_and_what_was_recorded_are_told(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Person(ada.id), &["run.ended", "approval.needed"]);
    add(&fixture, WebhookOwner::Installation, &["audit.recorded"]);
    let (run, lease) = fixture.claimed(&ada, fixture.conversation(&ada));
    let question = Question { call_id: "c1", server: "mail", tool: "send", always_asks: false };
    block_on(fixture.store.ask_approval(lease, ada.id, question, LEASE_MS)).unwrap().unwrap();
    block_on(fixture.store.append_audit(&AuditEvent::new(ada.id, "role.set", "auditor"))).unwrap();
    let mut told = told(&fixture);
    told.sort_by(|one, other| one.1.cmp(&other.1));
    let kinds: Vec<&str> = told.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["approval.needed", "audit.recorded"]);
    let (question, record) = (&told[0].2, &told[1].2);
    assert_eq!(
        (&question["server"], &question["tool"], &question["call_id"]),
        (&"mail".into(), &"send".into(), &"c1".into())
    );
    assert_eq!(
        (&question["run_id"], &question["conversation_id"]),
        (&run.id.to_string().into(), &run.conversation_id.to_string().into())
    );
    assert_eq!(
        (&record["action"], &record["subject"], &record["outcome"]),
        (&"role.set".into(), &"auditor".into(), &"ok".into())
    );
}

const PRICE: Price = Price { input: 1_000_000, output: 2_000_000 };

fn round(prompt_tokens: u64, answer_tokens: u64) -> RoundEstimate {
    RoundEstimate { prompt_tokens, answer_tokens, price: PRICE }
}

fn a_budget_is_told_once_when_it_is_used_up(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Installation, &["budget.reached"]);
    let subject = format!("user:{}", ada.id);
    set(&fixture, &subject, &[(LimitKind::TokensPerDay, 1_000)]);
    let lease = run_of(&fixture, &ada);
    reserve(&fixture.store, lease, round(500, 500));
    assert!(told(&fixture).is_empty(), "what is only reserved is not used");
    finish(&fixture, lease, Some((500, 500)));
    let told_now = told(&fixture);
    assert_eq!(told_now.len(), 1, "{told_now:?}");
    let data = &told_now[0].2;
    assert_eq!(
        (&data["subject"], &data["kind"], &data["amount"]),
        (&subject.as_str().into(), &"tokens_per_day".into(), &1_000.into())
    );
    // Another amount is another budget; this one leaves too little for a request.
    set(&fixture, &subject, &[(LimitKind::TokensPerDay, 1_200)]);
    for _ in 0..2 {
        let lease = run_of(&fixture, &ada);
        reserve(&fixture.store, lease, round(100, 500));
        finish(&fixture, lease, None);
    }
    assert_eq!(told(&fixture).len(), 1);
}

fn a_budget_that_only_waits_for_others_is_not_told(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Installation, &["budget.reached"]);
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    let (one, other) = (run_of(&fixture, &ada), run_of(&fixture, &ada));
    reserve(&fixture.store, one, round(100, 800));
    reserve(&fixture.store, other, round(100, 400));
    assert!(told(&fixture).is_empty());
    // Enough is left for a shorter answer.
    finish(&fixture, one, Some((100, 100)));
    reserve(&fixture.store, other, round(100, 4_000));
    assert!(told(&fixture).is_empty());
}

fn a_budget_of_a_day_that_is_over_is_told_once_too(place: Place) {
    let fixture = Fixture::new(place);
    add(&fixture, WebhookOwner::Installation, &["budget.reached"]);
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    execute(&fixture, "INSERT INTO budget_use VALUES ('installation', '2020-01-01', 0, 0)", vec![]);
    for tokens in [999, 1_000, 1_001, 1_002] {
        let sql = format!("UPDATE budget_use SET tokens = {tokens} WHERE period = '2020-01-01'");
        execute(&fixture, &sql, vec![]);
    }
    assert_eq!(told(&fixture).len(), 1);
}

fn what_programs_reserve_is_not_used_and_what_they_used_is(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Installation, &["budget.reached"]);
    set(&fixture, "installation", &[(LimitKind::TokensPerDay, 1_000)]);
    let period = "(SELECT name FROM budget_periods WHERE length = 'day')";
    for sql in [
        format!(
            "INSERT INTO model_requests (id, user_id, api, model, created_at) VALUES ('m', '{}', 'responses', 'm', 1)",
            ada.id
        ),
        format!(
            "INSERT INTO model_request_charges SELECT 'm', 'installation', name, 1000, 0, 9007199254740993 FROM {period} AS day"
        ),
        format!("INSERT INTO budget_use SELECT 'installation', name, 0, 0 FROM {period} AS day"),
        "UPDATE budget_use SET tokens = tokens + 1000".to_owned(),
    ] {
        execute(&fixture, &sql, vec![]);
    }
    assert!(told(&fixture).is_empty(), "what is only reserved is not used");
    let sql = "UPDATE model_requests SET prompt_tokens = 900, completion_tokens = 100, ended_at = 2 WHERE id = 'm'";
    execute(&fixture, sql, vec![]);
    assert_eq!(told(&fixture).len(), 1);
}

fn webhooks_that_are_added_at_once_are_no_more_than_an_owner_may_have(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    at_once(&fixture, 4, |_, store| {
        for _ in 0..8 {
            let new = NewWebhook { id: Id::new(), server: "s", events: &[], sealed: "" };
            block_on(store.add_webhook(WebhookOwner::Person(ada.id), new)).unwrap();
        }
    });
    assert_eq!(block_on(fixture.store.webhooks(WebhookOwner::Person(ada.id))).unwrap().len(), MAX_WEBHOOKS);
}

fn what_is_not_stored_is_not_told(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    let (_, lease) = fixture.claimed(&ada, fixture.conversation(&ada));
    let lost = storage::runs::Lease { owner: Id::new(), ..lease };
    assert!(!fixture.end(lost, RunState::Complete, "stop"));
    assert!(told(&fixture).is_empty());
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    fixture.end(lease, RunState::Complete, "stop");
    assert_eq!(told(&fixture).len(), 1);
}

fn two_senders_never_have_one_webhook(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let id = add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    end_a_run(&fixture, &ada);
    let turns = at_once(&fixture, 6, |_, store| block_on(store.take_webhook_turn()).unwrap());
    assert_eq!(turns.iter().flatten().count(), 1);
    assert!(turn(&fixture).is_none());
    // A sender is late: after its turn, another one goes on, and what the late one stores counts for nothing.
    execute(&fixture, "UPDATE webhooks SET free_at = 0 WHERE id = ?1", vec![id.into()]);
    let late = turn(&fixture).unwrap();
    execute(&fixture, "UPDATE webhooks SET free_at = 0 WHERE id = ?1", vec![id.into()]);
    let other = turn(&fixture).unwrap();
    let delivered = WebhookOutcome::Delivered { goes_on: false, pause_ms: 0 };
    assert!(!attempt(&fixture, &late, &late.messages[0], delivered));
    assert!(attempt(&fixture, &other, &other.messages[0], delivered));
    // Nothing was sent in a turn: the next one can begin at once.
    end_a_run(&fixture, &ada);
    let unused = turn(&fixture).unwrap();
    block_on(fixture.store.end_webhook_turn(unused.id, unused.turn)).unwrap();
    let removed = turn(&fixture).unwrap();
    assert!(block_on(fixture.store.remove_webhook(WebhookOwner::Person(ada.id), id)).unwrap());
    assert!(!attempt(&fixture, &removed, &removed.messages[0], delivered), "it is gone");
}

/// What happens while a webhook is being removed, or while others' queues are full, is stored all the same.
fn what_happens_beside_removals_and_full_queues_is_stored(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let full = |owner| {
        let id = add(&fixture, owner, &["audit.recorded", "run.ended"]);
        queue(&fixture, id, 1_000);
        id
    };
    let ids: Vec<Id> = (0..6).map(|_| full(WebhookOwner::Installation)).collect();
    let stores: Vec<_> = (0..4).map(|_| storage::Store::new(fixture.another_connection())).collect();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                for _ in 0..8 {
                    block_on(store.append_audit(&AuditEvent::new(ada.id, "role.set", "auditor"))).unwrap();
                    if let Some(taken) = block_on(store.take_webhook_turn()).unwrap() {
                        let outcome = WebhookOutcome::Retry { after_ms: 0, pause_ms: 0 };
                        // None if it was removed meanwhile.
                        let Some(message) = taken.messages.first() else { continue };
                        let attempt = WebhookAttempt {
                            webhook_id: taken.id,
                            turn: taken.turn,
                            message,
                            answer: "timeout",
                            outcome,
                        };
                        block_on(store.store_webhook_attempt(&attempt)).unwrap();
                    }
                }
            });
        }
        for id in &ids[..3] {
            assert!(block_on(fixture.store.remove_webhook(WebhookOwner::Installation, *id)).unwrap());
        }
    });
    let recorded = block_on(fixture.store.audit_records(Some(ada.id), None, 100)).unwrap();
    assert_eq!(recorded.iter().filter(|event| event.action == "role.set").count(), 32);
    assert!(block_on(fixture.store.webhooks(WebhookOwner::Installation)).unwrap().iter().any(|left| left.dropped > 0));
}

fn a_message_that_failed_is_due_again_later_and_is_lost_in_the_end(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    end_a_run(&fixture, &ada);
    let taken = turn(&fixture).unwrap();
    let message = &taken.messages[0];
    attempt(&fixture, &taken, message, WebhookOutcome::Retry { after_ms: 60_000, pause_ms: 30_000 });
    assert!(turn(&fixture).is_none());
    let next_ms = block_on(fixture.store.next_webhook_message_ms()).unwrap().unwrap();
    assert!((50_000..=60_000).contains(&next_ms), "{next_ms}");
    let shown = only(&fixture, WebhookOwner::Person(ada.id));
    assert_eq!((shown.waiting, shown.failures, shown.given_up), (1, 1, 0));
    execute(&fixture, "UPDATE webhooks SET free_at = 0", vec![]);
    execute(&fixture, "UPDATE webhook_deliveries SET due_at = 0", vec![]);
    let again = turn(&fixture).unwrap();
    assert_eq!((again.messages[0].attempts, &again.messages[0].id), (1, &message.id));
    assert!(attempt(&fixture, &again, &again.messages[0], WebhookOutcome::GivenUp { pause_ms: 0 }));
    let shown = only(&fixture, WebhookOwner::Person(ada.id));
    assert_eq!((shown.waiting, shown.failures, shown.given_up), (0, 2, 1));
    // Whoever was late tells nothing new.
    assert!(!attempt(&fixture, &again, &again.messages[0], WebhookOutcome::GivenUp { pause_ms: 0 }));
    assert_eq!(only(&fixture, WebhookOwner::Person(ada.id)), shown);
    assert_eq!(block_on(fixture.store.next_webhook_message_ms()).unwrap(), None);
}

fn a_queue_has_an_end(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let id = add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    queue(&fixture, id, 999);
    end_a_run(&fixture, &ada);
    end_a_run(&fixture, &ada);
    let shown = only(&fixture, WebhookOwner::Person(ada.id));
    assert_eq!((shown.waiting, shown.dropped), (1_000, 1));
}

fn a_webhook_goes_with_its_account(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    add(&fixture, WebhookOwner::Installation, &["audit.recorded"]);
    end_a_run(&fixture, &ada);
    execute(&fixture, "DELETE FROM users WHERE id = ?1", vec![ada.id.into()]);
    assert_eq!(block_on(fixture.store.webhooks(WebhookOwner::Person(ada.id))).unwrap(), []);
    assert_eq!(block_on(fixture.store.next_webhook_message_ms()).unwrap(), None);
    only(&fixture, WebhookOwner::Installation);
}

fn who_is_suspended_is_told_nothing(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    let (_, lease) = fixture.claimed(&ada, fixture.conversation(&ada));
    block_on(fixture.store.change_account(&ada, AccountChange { role: None, is_suspended: Some(true) })).unwrap();
    assert!(fixture.end(lease, RunState::Cancelled, "cancelled"));
    assert!(told(&fixture).is_empty());
}

fn an_owner_has_a_few_webhooks(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    for owner in [WebhookOwner::Person(ada.id), WebhookOwner::Installation] {
        let ids: Vec<Id> = (0..MAX_WEBHOOKS).map(|_| add(&fixture, owner, &["run.ended"])).collect();
        let new = NewWebhook { id: Id::new(), server: "s", events: &[], sealed: "" };
        assert!(!block_on(fixture.store.add_webhook(owner, new)).unwrap());
        assert_eq!(block_on(fixture.store.webhooks(owner)).unwrap().len(), MAX_WEBHOOKS);
        let other =
            if owner == WebhookOwner::Installation { WebhookOwner::Person(ada.id) } else { WebhookOwner::Installation };
        assert!(!block_on(fixture.store.remove_webhook(other, ids[0])).unwrap(), "another's is not there");
        assert!(block_on(fixture.store.remove_webhook(owner, ids[0])).unwrap());
    }
}

fn addresses_and_secrets_are_sealed(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let id = add(&fixture, WebhookOwner::Person(ada.id), &["run.ended"]);
    end_a_run(&fixture, &ada);
    let sealed = turn(&fixture).unwrap().sealed;
    assert!(sealed.starts_with("v1.") && !sealed.contains("secret"));
    assert_eq!(block_on(fixture.store.open_webhook(id, &sealed)).unwrap().as_str(), "address and secret");
    assert!(block_on(fixture.store.open_webhook(Id::new(), &sealed)).is_err(), "it is bound to its webhook");
}

fn secrets_that_cannot_be_opened_keep_no_others_from_a_new_master_key(place: Place) {
    let fixture = Fixture::new(place);
    // The last of all by its id, as those before it are copies whose secrets are bound to another one.
    let id = add(&fixture, WebhookOwner::Installation, &["run.ended"]);
    let copy = |n| format!("SELECT '0{n:03}' AS copy");
    let copies: Vec<String> = (0..100).map(copy).collect();
    let sql = format!(
        "INSERT INTO webhooks (id, server, events, sealed, created_at, free_at, failures, given_up, dropped)
         SELECT copy, server, events, sealed, created_at, free_at, failures, given_up, dropped
         FROM webhooks CROSS JOIN ({}) AS copies",
        copies.join(" UNION ALL ")
    );
    execute(&fixture, &sql, vec![]);
    let key = rotated(&fixture, &fixture.store);
    let mut resealed = Resealed::default();
    while block_on(fixture.store.reseal_next_with_master(&mut resealed)).unwrap() {}
    let sql = format!("SELECT id FROM webhooks WHERE sealed LIKE 'v1.{key}.%'");
    let anew: Vec<Value> = rows(&fixture.another_connection(), &sql).into_iter().flat_map(|row| row.0).collect();
    assert_eq!(anew, [Value::from(id)]);
}

fn rows_that_are_copied_here_are_told_to_nobody(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    add(&fixture, WebhookOwner::Installation, &["audit.recorded", "approval.needed", "budget.reached", "run.ended"]);
    let (run, _) = fixture.claimed(&ada, fixture.conversation(&ada));
    let sql =
        "INSERT INTO audit_events (id, at, user_id, action, subject, outcome) VALUES (?1, 1000, ?2, 'a', 's', 'ok')";
    execute(&fixture, sql, vec![Id::new().into(), ada.id.into()]);
    let sql = "INSERT INTO approvals (run_id, call_id, user_id, server, tool, created_at, expires_at) VALUES (?1, 'c', ?2, 's', 't', 1000, 2000)";
    execute(&fixture, sql, vec![run.id.into(), ada.id.into()]);
    let sql = "INSERT INTO budgets_reached (subject, kind, period, amount, reached_at) VALUES ('installation', 'tokens_per_day', '2020-01-01', 5, 1000)";
    execute(&fixture, sql, vec![]);
    assert!(told(&fixture).is_empty());
}
