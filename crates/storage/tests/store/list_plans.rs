//! Pages of lists: each reads about as many rows as it shows, however many there are. The statements are those that the store sends; none is repeated
//! here.
//!
//! One list reads more, a search among accounts: it compares a text with every address and name ([`Store::users`]).

use std::sync::Mutex;

use domain::Timestamp;
use storage::{Database, Dialect, Row, Statement, Store, Value, migration::migrate};

use crate::{
    places::{Place, Real, block_on},
    plans::{Recorder, SESSION, USER, USERS, explain, fill, id, id_sql},
};

crate::on_each_database! {
    a_page_reads_no_more_rows_than_it_shows,
}

/// Rows on a page, and one more that tells whether there are others.
const PAGE: u32 = 51;
/// Rows that a page may read in all, of any table: a few for each that it shows.
const MAX_ROWS: u64 = 10 * PAGE as u64;
/// What may be read whole in a page.
const FEW: &str = "SCAN retention_rules";
/// Rows of each table that is listed.
const MANY: u64 = 20_000;

fn a_page_reads_no_more_rows_than_it_shows(place: Place) {
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    fill(&database);
    fill_lists(&database);
    // Sessions whose people have not come back go with the log-ins of others.
    let (store, before) = (Store::new(place.open()), old_sessions(&database));
    assert!(before > 0);
    while block_on(store.forget_old_sessions()).unwrap() {}
    assert_eq!(old_sessions(&database), 0);
    block_on(database.query(Statement::new("analyze", "ANALYZE", []))).unwrap();
    let statements = Mutex::new(Vec::new());
    list(&Store::new(Recorder { database: &database, statements: &statements }));
    for statement in statements.into_inner().unwrap() {
        let name = statement.name;
        match database.dialect() {
            Dialect::Sqlite => {
                let plan = explain(&database, statement);
                assert!(!reads_all(&plan), "{name} reads more than its page:\n{}", plan.join("\n"));
            }
            Dialect::Postgres => {
                let plan = analyzed(&database, statement);
                let read: u64 = plan.iter().map(|step| rows_read(step)).max().unwrap_or_default();
                assert!(read <= MAX_ROWS, "{name} reads {read} rows:\n{}", plan.join("\n"));
            }
        }
    }
}

/// Whether a plan of SQLite reads a whole table, or sorts more than a page. An index that has the order of the list is read until the page is full;
/// the rows of a page that is a subquery are read and sorted once more.
fn reads_all(plan: &[String]) -> bool {
    let named = |word: &str| -> Vec<&str> {
        plan.iter().filter_map(|step| step.strip_prefix(word)?.trim().split(' ').next()).collect()
    };
    let pages: Vec<_> = [named("CO-ROUTINE"), named("MATERIALIZE")].concat();
    let scans =
        plan.iter().filter(|step| step.starts_with("SCAN") && !step.contains("USING") && !step.contains("CONSTANT"));
    let mut scanned = scans.filter_map(|step| step.strip_prefix("SCAN")?.trim().split(' ').next());
    let count = |what: &str| plan.iter().filter(|step| step.contains(what)).count();
    // Of rules there are as many as roles, and one of them is chosen.
    let sorts = count("TEMP B-TREE FOR ORDER BY") > count(FEW);
    scanned.any(|table| !FEW.ends_with(table) && !pages.contains(&table)) || sorts && pages.is_empty()
}

/// All lists of administration, and those of a person that can be long, from their beginning and in their middle.
fn list(store: &Store<Recorder<'_>>) {
    let (user_id, middle) = (id(USER, 2), id(SESSION, MANY / 2));
    block_on(async {
        for before in [None, Some(middle)] {
            let (session, user) = (before.map(|_| id(SESSION, 50_000 + MANY / 2)), before.map(|_| id(USER, MANY / 2)));
            assert_eq!(store.users("", user, PAGE).await.unwrap().len(), PAGE as usize);
            assert_eq!(store.open_sessions(None, session, PAGE).await.unwrap().len(), PAGE as usize);
            store.open_sessions(Some(user_id), session, PAGE).await.unwrap();
            store.grants(user_id, session, PAGE).await.unwrap();
            assert_eq!(store.invitations(before, PAGE).await.unwrap().len(), PAGE as usize);
            assert_eq!(store.erasures(false, before, PAGE).await.unwrap().len(), PAGE as usize);
            store.service_accounts(user, PAGE).await.unwrap();
            assert_eq!(store.group_members(id(USER, 1), user, PAGE).await.unwrap().len(), PAGE as usize);
            store.audit_records(None, before, PAGE).await.unwrap();
            store
                .conversations(user_id, before.map(|at| (Timestamp::from_millis(1_000), at)), PAGE, true)
                .await
                .unwrap();
        }
        let records = store.audit_records(Some(user_id), None, PAGE).await.unwrap();
        store.audit_records(Some(user_id), records.last().map(|record| record.id), PAGE).await.unwrap();
    });
}

/// Many of what is listed. The newest sessions have ended, and those of the person on the page too.
fn fill_lists(database: &Real) {
    let user = id_sql(USER, "i");
    let session = id_sql(SESSION, "i + 100000");
    let open = id_sql(SESSION, "i + 50000");
    for insert in [
        format!(
            "INSERT INTO users (id, email, name, role, kind, created_at)
             SELECT {user}, CAST(i AS text), '', 'user', CASE WHEN i % 100 = 0 THEN 'service' END, i FROM n WHERE i > {USERS}"
        ),
        format!(
            "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, revoked_at, client_id, rotated_at)
             SELECT {session}, {}, 'x', i, now_ms() + 3600000, i, 'c', i FROM n",
            id_sql(USER, "2")
        ),
        format!(
            "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at)
             SELECT {open}, {user}, 'x', i, now_ms() + 3600000 FROM n"
        ),
        format!(
            "INSERT INTO user_groups (id, name, roles, created_at)
             SELECT {user}, CAST(i AS text), '', 1 FROM n WHERE i <= 500"
        ),
        format!(
            "INSERT INTO user_group_members (user_id, group_id, added_at) SELECT {user}, {}, i FROM n",
            id_sql(USER, "1")
        ),
        format!(
            "INSERT INTO invitations (id, token_hash, role, created_by, created_version, created_at, expires_at)
             SELECT {}, CAST(i AS text), 'member', {}, 0, i, i FROM n",
            id_sql(SESSION, "i"),
            id_sql(USER, "1")
        ),
        format!(
            "INSERT INTO erasures (user_id, requested_by, requested_at, due_at, was_suspended, leased_until, erased_at)
             SELECT {}, {user}, i, i, 0, 0, i FROM n",
            id_sql(SESSION, "i")
        ),
        format!(
            "INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
             SELECT {}, i, {}, 'tool.call', 'clock:now', 'ok' FROM n",
            id_sql(SESSION, "i"),
            id_sql(USER, "2")
        ),
    ] {
        let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})");
        block_on(database.query(Statement::new("fill", format!("{numbers} {insert}"), []))).unwrap();
    }
    block_on(database.query(Statement::new("analyze", "ANALYZE", []))).unwrap();
}

fn old_sessions(database: &Real) -> usize {
    let sql = "SELECT 1 FROM sessions WHERE revoked_at IS NULL AND expires_at < now_ms() - 2592000000";
    block_on(database.query(Statement::new("old_sessions", sql, []))).unwrap().len()
}

/// A plan of PostgreSQL with what each step read, a step a line.
fn analyzed(database: &Real, statement: Statement) -> Vec<String> {
    let sql = format!("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {}", statement.sql);
    let steps = block_on(database.query(Statement::new(statement.name, sql, statement.parameters))).unwrap();
    let text = |row: &Row| match row.0.last() {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("a step of a plan is {other:?}"),
    };
    steps.iter().map(text).collect()
}

/// The rows that a step gave on, or left out: `(actual rows=51 loops=2)`, `Rows Removed by Filter: 7`.
fn rows_read(step: &str) -> u64 {
    let number = |after: &str| {
        let digits = step.split_once(after)?.1.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    };
    let given = number("actual rows=").unwrap_or_default() * number("loops=").unwrap_or(1);
    given.max(number("Removed by Filter: ").unwrap_or_default())
}
