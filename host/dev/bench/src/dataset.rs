//! A database as after years of use: one user's conversations among those of others, written with a few statements, not through the app. This is
//! the only part of the benchmark that knows the schema, `migrations/`. Must not be used on a database with real data.

use anyhow::ensure;
use storage::{Database, Dialect, Statement, TransactionOutcome, Value};

/// Conversations of the measured user.
pub(crate) const CONVERSATIONS: usize = 1_000;
/// The same for a quick run.
pub(crate) const CONVERSATIONS_QUICK: usize = 100;
/// Messages in each conversation; every second one is an answer.
pub(crate) const MESSAGES: usize = 200;
/// Other users, and the conversations of each.
const OTHERS: usize = 50;
const CONVERSATIONS_OF_OTHERS: usize = 4;
/// The text of each message: about as long as in a short exchange between a person and a model.
const CONTENT: &str = "The lighthouse keeper wrote one line into the log each evening: the weather, the ships that passed, and \
    whether the lamp had burned through the night. Nobody had read it in forty years.";
/// The start of the first conversation, in milliseconds since 1970: in 2023. One begins each second.
const BEGAN_MS: u64 = 1_700_000_000_000;

const USER: u32 = 1;
const CONVERSATION: u32 = 2;
const RUN: u32 = 3;
const MESSAGE: u32 = 4;

/// Gives a user `conversations` with answers of `model`, and returns their ids.
pub(crate) async fn fill(
    database: &impl Database,
    person_id: &str,
    model: &str,
    conversations: usize,
) -> anyhow::Result<Vec<String>> {
    let outcome = database.transaction(statements(person_id, model, conversations)).await?;
    ensure!(matches!(outcome, TransactionOutcome::Committed(_)), "the data set was refused");
    // Maintenance that the database would otherwise do while requests are counted.
    let tidy: &[&str] = match database.dialect() {
        Dialect::Sqlite => &["PRAGMA wal_checkpoint(TRUNCATE)"],
        Dialect::Postgres => &["VACUUM ANALYZE", "CHECKPOINT"],
    };
    for sql in tidy {
        database.query(Statement::new("tidy", *sql, [])).await?;
    }
    Ok((1..=conversations).map(|n| format!("{CONVERSATION:08}-0000-7000-8000-{n:012}")).collect())
}

fn statements(person_id: &str, model: &str, conversations: usize) -> Vec<Statement> {
    let all = conversations + OTHERS * CONVERSATIONS_OF_OTHERS;
    // An exchange is a message, the run that answered it, and the answer.
    let exchanges = MESSAGES / 2;
    let owner = |conversation: &str| {
        let other = id(USER, &format!("({conversation}) % {OTHERS} + 1"));
        format!("CASE WHEN {conversation} <= {conversations} THEN CAST(?1 AS text) ELSE {other} END")
    };
    let of_run = format!("i / {exchanges} + 1");
    let of_message = format!("i / {MESSAGES} + 1");
    let text = |text: &str| Value::from(text);
    vec![
        rows(
            OTHERS,
            &format!(
                "INSERT INTO users (id, email, name, role, created_at)
                 SELECT {}, 'other-' || CAST(i AS text) || '@example.com', '', 'user', {BEGAN_MS} FROM n",
                id(USER, "i + 1")
            ),
            vec![],
        ),
        rows(
            all,
            &format!(
                "INSERT INTO conversations (id, user_id, title, model, created_at, updated_at)
                 SELECT {}, {}, 'A conversation', CAST(?2 AS text), {BEGAN_MS} + i * 1000, {BEGAN_MS} + i * 1000 FROM n",
                id(CONVERSATION, "i + 1"),
                owner("i + 1")
            ),
            vec![text(person_id), text(model)],
        ),
        rows(
            all * exchanges,
            &format!(
                "INSERT INTO runs (id, conversation_id, user_id, message_id, model, state, attempt, lease_expires_at,
                     cancel_requested, prompt_tokens, completion_tokens, created_at, updated_at)
                 SELECT {}, {}, {}, {}, CAST(?2 AS text), 'complete', 1, 0, 0, 40, 40, {BEGAN_MS} + i, {BEGAN_MS} + i FROM n",
                id(RUN, "i"),
                id(CONVERSATION, &of_run),
                owner(&of_run),
                id(MESSAGE, "i * 2")
            ),
            vec![text(person_id), text(model)],
        ),
        rows(
            all * MESSAGES,
            &format!(
                "INSERT INTO messages (id, conversation_id, run_id, position, role, content, finish_reason, size, created_at)
                 SELECT {}, {}, {}, i % {MESSAGES} + 1, CASE WHEN i % 2 = 0 THEN 'user' ELSE 'assistant' END, CAST(?1 AS text),
                     CASE WHEN i % 2 = 1 THEN 'stop' END, {}, {BEGAN_MS} + i FROM n",
                id(MESSAGE, "i"),
                id(CONVERSATION, &of_message),
                id(RUN, "i / 2"),
                CONTENT.len()
            ),
            vec![text(CONTENT)],
        ),
        rows(
            all * exchanges,
            &format!(
                "INSERT INTO run_events (run_id, last_id, state, frames) SELECT {}, 51, 'streaming', CAST(?1 AS text) FROM n",
                id(RUN, "i")
            ),
            vec![text(CONTENT)],
        ),
    ]
}

/// An INSERT that reads `n`, whose `i` goes from 0 to `count` - 1.
fn rows(count: usize, insert: &str, parameters: Vec<Value>) -> Statement {
    let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})");
    Statement::new("fill", format!("{numbers} {insert}"), parameters)
}

/// SQL for the id of the nth row of a kind.
fn id(kind: u32, n: &str) -> String {
    format!("'{kind:08}-0000-7000-8000-' || substr(CAST({n} + 1000000000000 AS text), 2)")
}
