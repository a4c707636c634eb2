//! Repeatable statements: the second execution changes nothing and gives the same result as the first. So a statement whose answer was lost can be
//! sent again.

use domain::{Decision, Effect, RunState};
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, Store, TransactionOutcome,
    approvals::{Decided, Question},
    audit::AuditEvent,
    keys::KeyRotation,
    leases::{Entry, Leave},
    limits::Subject,
    master_keys::MasterKeyRotated,
    messages::{Appended, IncomingMessage},
    runs::Ending,
    tool_listings::NewListing,
    tool_secrets::ToolSecret,
    tool_tasks::{NewTask, Said},
};

use crate::{
    fixture::{Fixture, LEASE_MS, answer, batch, lease_of, result_of},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    a_turn_whose_every_answer_was_lost_once_is_stored_once,
}

/// Sends every repeatable statement twice and drops the first answer.
struct Twice(Real);

impl Database for Twice {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        if statement.repeatable {
            self.0.query(statement.clone()).await?;
        }
        self.0.query(statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        self.0.transaction(statements).await
    }
}

fn a_turn_whose_every_answer_was_lost_once_is_stored_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let store = Store::new(Twice(fixture.another_connection()));

    let incoming = IncomingMessage { content: "hello", title: "t", default_model: "m", ..IncomingMessage::default() };
    let sent = block_on(store.append_message(user.id, conversation, &incoming)).unwrap();
    let Appended::Stored(message, run, _) = sent else { panic!("{sent:?}") };
    assert_eq!((message.position, run.state), (1, RunState::Queued));

    let lease = lease_of(&run);
    assert_eq!(block_on(store.claim_new(user.id, lease, LEASE_MS, "")).unwrap().unwrap().run.id, run.id);
    let entry = Entry { lease, state: RunState::Streaming, batch: batch(1, "a") };
    assert_eq!(block_on(store.append_events(&[entry])).unwrap(), [Leave::Granted]);
    assert_eq!(block_on(store.check_leases(&[lease])).unwrap(), [Leave::Granted]);
    assert_eq!(block_on(store.renew_leases(&[lease], LEASE_MS)).unwrap(), [Leave::Granted]);
    let asked = answer("", "tool_calls");
    assert!(block_on(store.finish_step(lease, RunState::ToolExecution, &asked, None, &batch(2, "b"))).unwrap());
    let question = Question { call_id: "c", server: "clock", tool: "now", always_asks: false };
    let asked = block_on(store.ask_approval(lease, user.id, question, 60_000)).unwrap();
    assert!(asked.is_some());
    // The first of the two counted. The second learns that this was already decided.
    let decided = block_on(store.decide_approval(user.id, run.id, "c", Decision::AllowAlways)).unwrap();
    assert_eq!(decided, Decided::AlreadyDecided(Decision::AllowAlways));
    let said = Said { message: Some("half"), poll_ms: 1_000, lifetime_ms: 60_000 };
    let task = NewTask {
        call_id: "t",
        name: "clock_now",
        title: "Now",
        server: "clock",
        tool: "now",
        task_id: "t1",
        session: None,
        said,
    };
    assert!(block_on(store.keep_tool_task(lease, user.id, task)).unwrap().is_some());
    block_on(store.note_tool_task(user.id, run.id, "t", said)).unwrap();
    block_on(store.note_silent_tool_task(user.id, run.id, "t", "silent")).unwrap();
    assert_eq!(block_on(store.waiting_tool_tasks(user.id, run.id)).unwrap().len(), 1);
    assert!(block_on(store.set_tool_policy(None, "*", Effect::Ask)).unwrap());
    assert_eq!(block_on(store.tool_policies(user.id)).unwrap().len(), 2);
    block_on(store.delete_tool_policy(None, "*")).unwrap();
    let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed: "x".into() };
    assert!(block_on(store.set_tool_secret(user.id, &secret)).unwrap());
    block_on(store.delete_tool_secret(user.id, "mail", "password")).unwrap();
    let rotation = KeyRotation { revokes: false, user_id: user.id, detail: None };
    let sql = "UPDATE generated_keys SET created_at = created_at - 60000";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    let rotated = block_on(store.rotate_generated_master_key(&rotation)).unwrap();
    assert!(matches!(rotated, MasterKeyRotated::Rotated(_)), "{rotated:?}");
    let done = AuditEvent {
        user_id: user.id,
        action: "tool.call",
        subject: "clock:now",
        run_id: Some(run.id),
        call_id: Some("c"),
        outcome: "ok",
        detail: None,
    };
    block_on(store.append_audit(&done)).unwrap();
    let audit = fixture.another_connection();
    let audit = block_on(audit.query(Statement::new("t", "SELECT action FROM audit_events ORDER BY id", []))).unwrap();
    assert_eq!(audit.len(), 3, "the decision, the rotation and the call");
    let counted = block_on(store.metric_totals()).unwrap();
    let counted: Vec<_> = counted.iter().map(|sample| (sample.metric.as_str(), sample.value)).collect();
    assert_eq!(counted, [("approvals_decided", 1), ("tool_calls", 1)], "by no answer that was lost");
    let listings = ["clock", ""].map(|server| NewListing { server, listing: "[]", ttl_ms: 60_000 });
    block_on(store.save_tool_listings(&listings)).unwrap();
    block_on(store.save_model_dialect("s", "m", "{}")).unwrap();
    let result = result_of("c", "noon", false);
    assert!(block_on(store.finish_tool_call(lease, &result, &batch(3, "c"))).unwrap());
    let ending = Ending {
        state: RunState::Complete,
        failure: None,
        usage: None,
        message: Some(answer("It is noon", "stop")),
        batch: batch(4, "d"),
    };
    // The lease has ended by then. The caller finds the run's end in its log.
    assert!(!block_on(store.finish_run(lease, &ending)).unwrap());

    assert_eq!(fixture.texts(&user, conversation), ["hello", "", "noon", "It is noon"]);
    let tail = block_on(store.tail(user.id, run.id, 0)).unwrap().unwrap();
    assert_eq!(tail.state, RunState::Complete);
    let logged: Vec<_> = tail.batches.iter().map(|(id, frames)| (*id, frames.as_str())).collect();
    assert_eq!(logged, [(1, "a"), (2, "b"), (3, "c"), (4, "d")]);

    block_on(store.set_retention_rule(&Subject::Installation, Some(1))).unwrap();
    block_on(store.set_own_retention(user.id, conversation, Some(1))).unwrap();
    for sql in [
        "UPDATE conversations SET updated_at = 1",
        "UPDATE runs SET updated_at = 1, lease_expires_at = 1",
        "UPDATE conversation_lifetimes SET check_at = 1",
        "UPDATE retention_rules SET counts_at = 1",
    ] {
        block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    }
    // One step for the conversation, one for each end of the walk.
    let mut steps = 0;
    while block_on(store.expire_next()).unwrap() {
        steps += 1;
        assert!(steps < 9, "it never ends");
    }
    assert!(block_on(store.conversation(user.id, conversation)).unwrap().is_none());
    let records = block_on(store.audit_records(None, None, 50)).unwrap();
    assert_eq!(records.iter().filter(|record| record.action == "conversations.expire").count(), 1);
}
