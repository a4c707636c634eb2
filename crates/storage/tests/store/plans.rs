//! Query plans: both databases find the rows of every turn and every page by an index, even in large tables. The statements are those that the store
//! sends; none is repeated here.

use std::sync::{Mutex, PoisonError};

use domain::{Decision, Effect, RunState, Timestamp, prices::Price};
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, Store, TransactionOutcome, Value,
    access::Offers,
    approvals::Question,
    audit::AuditEvent,
    budgets::{Reservation, RoundEstimate},
    grants::{CodeBinding, NewGrant},
    leases::{Entry, MAX_LEASES},
    memories::Remembered,
    messages::{Appended, IncomingMessage},
    migration::migrate,
    model_requests::{ModelRequestUsage, NewModelRequest},
    rate_limits::{Bucket, Limit},
    runs::{Batch, Ending},
    second_factors::NewSecondFactor,
    sessions::TokenHashes,
    tool_connections::{NewConnection, NewTokens},
    tool_secrets::ToolSecret,
    tool_tasks::{NewTask, Said},
};

use crate::{
    fixture::{LEASE_MS, answer, batch, lease_of},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    no_hot_statement_reads_a_whole_table,
}

mod background;
mod dataset;

use dataset::CONVERSATION;
pub(crate) use dataset::{RUN, SESSION, USER, USERS, fill, id, id_sql};

/// The tables that grow with use.
const GROWING: [&str; 18] = [
    "sessions",
    "api_keys",
    "conversations",
    "messages",
    "runs",
    "run_events",
    "tool_calls",
    "tool_tasks",
    "tool_policies",
    "tool_secrets",
    "tool_connections",
    "tool_connection_attempts",
    "approvals",
    "rate_limits",
    "budget_use",
    "audit_events",
    "model_requests",
    "model_request_charges",
];

/// Tables with a few rows, which are read whole.
const SMALL: [&str; 7] =
    ["roles", "signing_keys", "inside_keys", "limits", "budget_periods", "retention_rules", "retention_walk"];

/// What may be read whole now and then, with a new list of tools or a stopped run, as plans name it: tasks, to find those that were left behind. A
/// task goes when its result is told, so there are as many as go on.
const SWEPT: [&str; 2] = ["tool_tasks", "stopped"];

/// A row for each key that was made here, and for each provider that administrators added, of which there are twenty at most. Of webhooks, only the first is
/// looked for.
const FEW_ROWS: [&str; 3] = ["generated_keys", "model_providers", "webhooks"];

/// A database that records its statements.
pub(crate) struct Recorder<'a> {
    pub(crate) database: &'a Real,
    pub(crate) statements: &'a Mutex<Vec<Statement>>,
}

impl Database for Recorder<'_> {
    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).push(statement.clone());
        self.database.query(statement).await
    }

    async fn transaction(&self, _: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        unreachable!("only migrations are transactions")
    }
}

fn no_hot_statement_reads_a_whole_table(place: Place) {
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    fill(&database);
    let statements = Mutex::new(Vec::new());
    let scans = sequential_scans(&database);
    do_what_people_do(&Store::new(Recorder { database: &database, statements: &statements }));
    let scans_since = sequential_scans(&database);
    for statement in statements.into_inner().unwrap() {
        reads_whole_only(&FEW_ROWS, &database, statement);
    }
    // The plan of a command does not include its trigger. PostgreSQL's statistics count both.
    assert_eq!(scans_since, scans, "a trigger reads whole tables");
    let sweeps = Mutex::new(Vec::new());
    let store = Store::new(Recorder { database: &database, statements: &sweeps });
    block_on(store.take_stopped_tool_tasks(Some(id(RUN, 1)), 60_000)).unwrap();
    block_on(store.forget_ended_tool_tasks()).unwrap();
    for statement in sweeps.into_inner().unwrap() {
        reads_whole_only(&SWEPT, &database, statement);
    }
}

pub(crate) fn reads_whole_only(small: &[&str], database: &Real, statement: Statement) {
    let name = statement.name;
    let plan = explain(database, statement);
    let mut whole = match database.dialect() {
        Dialect::Sqlite => tables_scanned_by_sqlite(&plan),
        Dialect::Postgres => tables_scanned_by_postgres(&plan),
    };
    whole.retain(|table| !small.contains(table));
    assert!(whole.is_empty(), "{name} reads all of {whole:?}:\n{}", plan.join("\n"));
}

/// A turn with every possible statement, and the pages.
fn do_what_people_do(store: &Store<Recorder<'_>>) {
    let (user_id, conversation_id) = (id(USER, 2), id(CONVERSATION, 1));
    let limits = [Bucket::per_minute("message".into(), 5)];
    let incoming = IncomingMessage {
        limits: &limits,
        content: "hello",
        title: "title",
        default_model: "m",
        idempotency_key: Some("once"),
        ..IncomingMessage::default()
    };
    block_on(async {
        store.access_state("tests", 60_000, Offers::Unless(None)).await.unwrap();
        let holder = store.key_holder("7").await.unwrap().unwrap();
        store.note_key_uses([holder.key_id]).await.unwrap();
        store.api_keys(user_id).await.unwrap();
        store.revoke_api_key(holder.user.id, holder.key_id).await.unwrap();
        store.open_sessions(Some(user_id), None, 50).await.unwrap();
        store.end_session_of_anybody(id(SESSION, 2)).await.unwrap();
        let page = store.conversations(user_id, None, 50, true).await.unwrap();
        assert_eq!(page.len(), 40, "the user has these");
        let place = (Timestamp::from_millis(1_000), conversation_id);
        store.conversations(user_id, Some(place), 50, true).await.unwrap();
        store.conversation(user_id, conversation_id).await.unwrap().unwrap();
        store.messages(user_id, conversation_id, 0, 100, 1_000_000).await.unwrap();
        store.newest_messages(user_id, conversation_id, i64::MAX, 100, 1_000_000).await.unwrap();
        let sent = store.append_message(user_id, conversation_id, &incoming).await.unwrap();
        let Appended::Stored(_, run, _) = sent else { panic!("not stored: {sent:?}") };
        store.append_message(user_id, conversation_id, &incoming).await.unwrap();

        let lease = lease_of(&run);
        store.claim_new(user_id, lease, LEASE_MS, "s").await.unwrap().unwrap();
        store.claim(lease, LEASE_MS, "s").await.unwrap();
        let context = store.context(&run, 200, 1_000_000).await.unwrap();
        assert!(context.len() > 20);
        let entry = |last_id| Entry { lease, state: RunState::Streaming, batch: batch(last_id, "frames") };
        store.append_events(&[entry(1)]).await.unwrap();
        // As many runs as one statement can have.
        let entries: Vec<Entry> = (2..).take(MAX_LEASES).map(entry).collect();
        store.append_events(&entries).await.unwrap();
        for leases in [1, MAX_LEASES] {
            store.check_leases(&vec![lease; leases]).await.unwrap();
            store.renew_leases(&vec![lease; leases], LEASE_MS).await.unwrap();
        }
        store.tail(user_id, run.id, 1).await.unwrap().unwrap();
        store.run(user_id, run.id).await.unwrap().unwrap();
        store.log(run.id, 1).await.unwrap();
        for _ in 0..2 {
            store.start_tool_call(lease, user_id, "call", "clock").await.unwrap();
        }
        store.holder_of(lease, "call").await.unwrap().unwrap();
        store.files_of_run(user_id, lease.run_id, 50).await.unwrap();
        assert_eq!(store.remember(user_id, run.id, "likes tea", None).await.unwrap(), Remembered::New(1));
        assert_eq!(store.remember(user_id, run.id, "likes coffee", Some(1)).await.unwrap(), Remembered::Replaced(1));
        store.claim(lease, LEASE_MS, "s").await.unwrap();
        let memory = store.memories(user_id).await.unwrap().remove(0);
        store.edit_memory(user_id, memory.id, "likes water").await.unwrap().unwrap();
        store.forget(user_id, run.id, 1).await.unwrap();
        store.delete_memories(user_id).await.unwrap();
        store.memory_is_on(user_id).await.unwrap();
        store.switch_memory(user_id, true).await.unwrap();
        let round = RoundEstimate { prompt_tokens: 1, answer_tokens: 1, price: Price::default() };
        assert_eq!(store.reserve_budget(lease, round).await.unwrap(), Reservation::Reserved);
        store.settle_budget(lease, true, 1).await.unwrap();
        store.reserve_budget(lease, round).await.unwrap();
        store.budgets_of(user_id, None).await.unwrap();
        let (api, model, estimate) = ("chat_completions", "m", round);
        let new = NewModelRequest { id: id(RUN, 5), user_id, api_key_id: None, api, model, limits: &limits, estimate };
        assert_eq!(store.begin_model_request(&new).await.unwrap().reservation, Reservation::Reserved);
        store.settle_model_request(user_id, new.id, &ModelRequestUsage::default()).await.unwrap();
        store.usage_of(user_id, Timestamp::from_millis(1)).await.unwrap().unwrap();
        store.keep_time_zone(lease, "Europe/Berlin").await.unwrap();
        store.written_by_person(run.id, user_id).await.unwrap();
        store.finish_step(lease, RunState::Streaming, &answer("a", "stop"), None, &batch(100, "frames")).await.unwrap();
        store.tool_permission(user_id, Some((run.id, "call"))).await.unwrap();
        let question = Question { call_id: "call", server: "clock", tool: "now", always_asks: false };
        store.ask_approval(lease, user_id, question, 60_000).await.unwrap().unwrap();
        for _ in 0..2 {
            store.decide_approval(user_id, run.id, "call", Decision::AllowAlways).await.unwrap();
        }
        let said = Said { message: None, poll_ms: 0, lifetime_ms: 60_000 };
        let (name, title, server, tool, task_id) = ("clock", "Clock", "clock", "now", "t");
        let task = NewTask { call_id: "call", name, title, server, tool, task_id, session: None, said };
        store.keep_tool_task(lease, user_id, task).await.unwrap().unwrap();
        assert_eq!(store.tool_tasks(run.id).await.unwrap().len(), 1);
        assert!(store.has_tool_tasks(user_id, conversation_id).await.unwrap());
        assert_eq!(store.waiting_tool_tasks(user_id, run.id).await.unwrap().len(), 1);
        assert_eq!(store.claim_due_tool_tasks(user_id, run.id, 0, 4).await.unwrap().len(), 1);
        store.note_tool_task(user_id, run.id, "call", said).await.unwrap();
        store.note_silent_tool_task(user_id, run.id, "call", "silent").await.unwrap();
        assert!(store.end_tool_task(user_id, run.id, "call", "noon", false).await.unwrap());
        store.forget_tool_task(run.id, "call").await.unwrap();
        store.set_tool_policy(Some(user_id), "clock:*", Effect::Ask).await.unwrap();
        store.delete_tool_policy(Some(user_id), "clock:*").await.unwrap();
        let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed: "x".into() };
        store.set_tool_secret(user_id, &secret).await.unwrap();
        store.tool_secrets_of(user_id, "mail").await.unwrap();
        store.tool_secrets(user_id).await.unwrap();
        store.kept_offers(None).await.unwrap();
        store.delete_tool_secret(user_id, "mail", "password").await.unwrap();
        let tokens = NewTokens { access: "a", refresh: None, valid_for_ms: None };
        let connection = NewConnection { server: "wiki", url: "u", authority: "x", tokens, scope: "" };
        store.set_tool_connection(user_id, &connection).await.unwrap();
        let connection = store.tool_connection(user_id, "wiki").await.unwrap().unwrap();
        let version = connection.version;
        store.tool_connections(user_id).await.unwrap();
        let claim = store.claim_token_refresh(user_id, "wiki", version, 60_000).await.unwrap().unwrap();
        store.end_token_refresh(user_id, "wiki", claim).await.unwrap();
        store.set_refreshed_tokens(user_id, "wiki", claim, tokens).await.unwrap();
        store.claim_connection_listing(user_id, "wiki", 0).await.unwrap();
        store.set_connection_listing(user_id, &connection, "{}", "[]", 0).await.unwrap();
        store.connection_listings(user_id).await.unwrap();
        store.take_connection_attempt("wiki", "s", "p").await.unwrap();
        store.delete_tool_connection(user_id, "wiki").await.unwrap();
        let limits = ["installation", "user", "session"].map(|key| Limit { key: key.into(), per_minute: 1, burst: 1 });
        for _ in 0..2 {
            let _ = store.take_rate(&limits).await.unwrap();
        }
        let done = AuditEvent {
            user_id,
            action: "tool.call",
            subject: "clock:now",
            run_id: Some(run.id),
            call_id: Some("call"),
            outcome: "ok",
            detail: None,
        };
        store.append_audit(&done).await.unwrap();
        let (user, _) = store.user_with_password(user_id).await.unwrap().unwrap();
        let new = NewSecondFactor { sealed: "s", step: 1, recovery_hashes: &[], only_first: true, kept_session: None };
        assert!(store.set_second_factor(&user, new).await.unwrap());
        let set_up = store.second_factor(user_id).await.unwrap().unwrap().created_at;
        assert!(store.use_code(user_id, set_up, 2).await.unwrap());
        assert!(!store.use_recovery_code(user_id, "none").await.unwrap());
        store.provider_session_of(id(SESSION, 1)).await.unwrap();
        let user = store.user(user_id).await.unwrap().unwrap();
        let hashes = TokenHashes { token: "t".into(), family: "f".into() };
        // Without a person or a page before, it reads an index from its end.
        store.audit_records(None, Some(id(RUN, 9)), 50).await.unwrap();
        for page in [None, Some(id(RUN, 9))] {
            store.audit_records(Some(user_id), page, 50).await.unwrap();
            store.open_sessions(Some(user_id), page, 50).await.unwrap();
        }
        assert!(store.create_session(id(RUN, 1), &user, &hashes, 60_000).await.unwrap());
        let (program, new) = (id(RUN, 2), NewGrant { client_id: "c", client_name: "c", ..UNKNOWN_PROGRAM });
        assert!(store.create_grant(program, (user_id, user.access_version), &hashes, new, 60_000).await.unwrap());
        store.forget_ended_grants(user_id).await.unwrap();
        let bound = CodeBinding { client_id: "c", redirect_uri: None, code_challenge: "", resource: None };
        store.grant_terms(program, &hashes).await.unwrap().unwrap();
        store.redeem_code(program, &hashes, bound, "next", 60_000).await.unwrap().unwrap();
        assert_eq!(store.grants(user_id, None, 50).await.unwrap().len(), 1);
        assert!(store.end_grant(user_id, program).await.unwrap());
        store.user_of_token(user_id, Some(id(RUN, 1))).await.unwrap().unwrap();
        store.access_state("tests", 60_000, Offers::Unless(None)).await.unwrap();
        store.request_cancel(user_id, run.id, false).await.unwrap();
        let message = Some(answer("so far", "cancelled"));
        let (state, batch) = (RunState::Cancelled, Batch { last_id: 200, frames: "end".into() });
        assert!(store.finish_run(lease, &Ending { state, failure: None, usage: None, message, batch }).await.unwrap());
        store.retry_run(user_id, run.id, None).await.unwrap();
    });
}

const UNKNOWN_PROGRAM: NewGrant<'_> =
    NewGrant { client_id: "", client_name: "", redirect_uri: "", code_challenge: "", resource: "/mcp", scopes: "" };

/// How often PostgreSQL has ever read a whole growing table. SQLite does not count this.
fn sequential_scans(database: &Real) -> Vec<Row> {
    if database.dialect() == Dialect::Sqlite {
        return Vec::new();
    }
    let flush = "SELECT 1 FROM (SELECT pg_stat_force_next_flush()) AS flushed";
    block_on(database.query(Statement::new("flush", flush, []))).unwrap();
    let tables = GROWING.map(|table| format!("'{table}'")).join(", ");
    let sql = format!(
        "SELECT CAST(relname AS text), seq_scan FROM pg_stat_user_tables WHERE relname IN ({tables}) ORDER BY relname"
    );
    let rows = block_on(database.query(Statement::new("sequential_scans", sql, []))).unwrap();
    assert_eq!(rows.len(), GROWING.len());
    rows
}

/// A query plan in the database's words, one step a line.
pub(crate) fn explain(database: &Real, statement: Statement) -> Vec<String> {
    let explain = match database.dialect() {
        Dialect::Sqlite => "EXPLAIN QUERY PLAN",
        Dialect::Postgres => "EXPLAIN",
    };
    let statement = Statement::new(statement.name, format!("{explain} {}", statement.sql), statement.parameters);
    let steps = block_on(database.query(statement)).unwrap();
    let text = |row: &Row| match row.0.last() {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("a step of a plan is {other:?}"),
    };
    steps.iter().map(text).collect()
}

fn tables_scanned_by_postgres(plan: &[String]) -> Vec<&str> {
    let scanned = plan.iter().filter_map(|step| step.split_once("Seq Scan on ")?.1.split(' ').next());
    scanned.filter(|table| GROWING.contains(table)).collect()
}

/// The tables that a plan scans, without constant rows and results of subqueries. A subquery may have a table's name. Then its rows are scanned once,
/// and the table itself must not be.
fn tables_scanned_by_sqlite(plan: &[String]) -> Vec<&str> {
    let named = |words: &[&str]| -> Vec<&str> {
        let steps = plan.iter().filter(|step| !step.contains("CONSTANT ROW")).filter_map(|step| {
            let (word, rest) = step.split_once(' ')?;
            words.contains(&word).then(|| rest.split(' ').next().unwrap_or_default())
        });
        steps.collect()
    };
    let mut subqueries = named(&["CO-ROUTINE", "MATERIALIZE"]);
    let mut scanned = named(&["SCAN"]);
    scanned.retain(|scanned| !SMALL.contains(scanned));
    scanned.retain(|scanned| match subqueries.iter().position(|subquery| subquery == scanned) {
        Some(at) => {
            subqueries.swap_remove(at);
            false
        }
        None => true,
    });
    scanned
}
