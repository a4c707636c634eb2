//! Tables with as many rows as a large installation has.

use domain::Id;
use storage::{Database as _, Statement};

use crate::places::{Real, block_on};

/// Enough rows that no planner prefers to read a whole table.
pub(crate) const USERS: u64 = 50;
const CONVERSATIONS: u64 = 2_000;
const MESSAGES: u64 = 40_000;
const RUNS: u64 = 20_000;
const BATCHES: u64 = 40_000;

pub(crate) const USER: u64 = 1;
pub(super) const CONVERSATION: u64 = 2;
pub(crate) const RUN: u64 = 3;
const MESSAGE: u64 = 4;
pub(crate) const SESSION: u64 = 5;

/// The id of the nth row of a kind.
pub(crate) fn id(kind: u64, n: u64) -> Id {
    format!("{kind:08}-0000-7000-8000-{n:012}").parse().unwrap()
}

/// The same id in SQL.
pub(crate) fn id_sql(kind: u64, n: &str) -> String {
    format!("'{kind:08}-0000-7000-8000-' || substr(CAST({n} + 1000000000000 AS text), 2)")
}

pub(crate) fn fill(database: &Real) {
    let conversation = format!("i % {CONVERSATIONS} + 1");
    let owner = id_sql(USER, &format!("({conversation}) % {USERS} + 1"));
    let conversation = id_sql(CONVERSATION, &conversation);
    let message = id_sql(MESSAGE, "i");
    let tables = [
        (
            USERS,
            format!(
                "INSERT INTO users (id, email, name, role, created_at)
                 SELECT {}, CAST(i AS text), '', 'user', i FROM n",
                id_sql(USER, "i")
            ),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, revoked_at)
                 SELECT {}, {}, 'x', i, i, CASE WHEN i % 2 = 0 THEN NULL ELSE i END FROM n",
                id_sql(SESSION, "i"),
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (
            USERS * 40,
            format!(
                "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, created_at)
                 SELECT {}, {}, 'key', 'ea_', CAST(i AS text), '*', i FROM n",
                id_sql(SESSION, "i"),
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (
            CONVERSATIONS,
            format!(
                "INSERT INTO conversations (id, user_id, title, created_at, updated_at)
                 SELECT {}, {}, 'title', i, i FROM n",
                id_sql(CONVERSATION, "i"),
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO runs (id, conversation_id, user_id, message_id, model, state, attempt, lease_expires_at,
                     cancel_requested, created_at, updated_at)
                 SELECT {}, {conversation}, {owner}, {message}, 'm', 'complete', 1, 0, 0, i, i FROM n",
                id_sql(RUN, "i")
            ),
        ),
        (
            MESSAGES,
            format!(
                "INSERT INTO messages (id, conversation_id, run_id, position, role, content, size, created_at)
                 SELECT {message}, {conversation}, {}, i / {CONVERSATIONS} + 1, 'user', 'hello', 5, i FROM n",
                id_sql(RUN, "i")
            ),
        ),
        (
            BATCHES,
            format!(
                "INSERT INTO run_events (run_id, last_id, state, frames)
                 SELECT {}, i / {RUNS} + 1, 'streaming', 'frames' FROM n",
                id_sql(RUN, &format!("i % {RUNS} + 1"))
            ),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO tool_calls (run_id, call_id, name, started_at) SELECT {}, 'call', 'clock', i FROM n",
                id_sql(RUN, "i")
            ),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO approvals (run_id, call_id, user_id, server, tool, created_at, expires_at)
                 SELECT {}, 'call', {owner}, 'clock', 'now', i, i FROM n",
                id_sql(RUN, "i")
            ),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO tool_tasks (run_id, call_id, user_id, name, title, server, tool, task_id, started_at, ask_at, poll_ms, lapses_at)
                 SELECT {}, 'call', {owner}, 'clock', 'Clock', 'clock', 'now', 't', i, i, i, i FROM n",
                id_sql(RUN, "i")
            ),
        ),
        (
            USERS * 100,
            format!(
                "INSERT INTO tool_policies (user_id, pattern, effect, created_at)
                 SELECT {}, CAST(i AS text), 'allow', i FROM n",
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (
            USERS * 100,
            format!(
                "INSERT INTO tool_secrets (user_id, server, name, sealed, updated_at)
                 SELECT {}, 'mail', CAST(i AS text), 'x', i FROM n",
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (
            USERS * 60,
            format!(
                "INSERT INTO tool_connections (user_id, server, url, authority, access_token, scope, version, refreshed_at, refreshing_until,
                     listing_version, listed_at, connected_at)
                 SELECT {}, CAST(i AS text), 'https://h/mcp', 'x', 'x', '', i, i, 0, 0, i, i FROM n",
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (
            USERS * 60,
            format!(
                "INSERT INTO tool_connection_attempts (user_id, server, session_id, state_hash, proof_hash, attempt, expires_at)
                 SELECT {}, CAST(i AS text), CAST(i AS text), CAST(i AS text), 'x', 'x', i FROM n",
                id_sql(USER, &format!("i % {USERS} + 1"))
            ),
        ),
        (1, "INSERT INTO limits (subject, kind, amount) SELECT 'installation', 'tokens_per_day', 1000000 FROM n".to_owned()),
        (
            RUNS,
            "INSERT INTO budget_use (subject, period, tokens, cost) SELECT 'user:' || i, '9999-01', i, i FROM n".to_owned(),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO model_requests (id, user_id, api, model, created_at) SELECT {}, {owner}, 'embeddings', 'm', i FROM n",
                id_sql(SESSION, "i")
            ),
        ),
        (
            RUNS,
            format!(
                "INSERT INTO model_request_charges SELECT {}, 'user:' || i, '9999-01', i, i, 9007199254740993 FROM n",
                id_sql(SESSION, "i")
            ),
        ),
        (RUNS, "INSERT INTO rate_limits (key, full_at) SELECT CAST(i AS text), i * 1000000000000 FROM n".to_owned()),
        (
            RUNS,
            format!(
                "INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
                 SELECT {}, i, {owner}, 'tool.call', 'clock:now', 'ok' FROM n",
                id_sql(RUN, "i")
            ),
        ),
    ];
    for (rows, insert) in tables {
        let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})");
        block_on(database.query(Statement::new("fill", format!("{numbers} {insert}"), []))).unwrap();
    }
    block_on(database.query(Statement::new("analyze", "ANALYZE", []))).unwrap();
}
