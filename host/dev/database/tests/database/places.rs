//! Databases for the tests, the program under test, and rows for every table.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use native_postgres::server::{SharedDatabase, shared_database, skipped};
use native_postgres::{PostgresDatabase, PostgresUrl};
use native_sqlite::SqliteFile;
use storage::{Database, Row, Statement, TransactionOutcome, Value};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap()
}

/// A database that does not exist yet, or is empty.
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
    /// An address, and the database that goes with this place.
    Postgres(String, Option<SharedDatabase>),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// `None`, with a message, on a machine without PostgreSQL.
    pub(crate) fn postgres() -> Option<Self> {
        let database = shared_database(workspace()).inspect_err(skipped).ok()?;
        Some(Self::Postgres(database.url().to_owned(), Some(database)))
    }

    /// All databases that this machine has.
    pub(crate) fn all() -> Vec<Self> {
        [Some(Self::sqlite()), Self::postgres()].into_iter().flatten().collect()
    }

    /// Runs the program on it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_database"));
        program.args(arguments);
        program.env_remove("SPIN_VARIABLE_DATABASE_URL").env_remove("SPIN_VARIABLE_MASTER_KEY");
        match self {
            Self::Sqlite(folder) => program.arg("--state-dir").arg(folder.path()),
            Self::Postgres(url, _) => program.env("SPIN_VARIABLE_DATABASE_URL", url),
        };
        program.output().unwrap()
    }

    /// Runs it and expects success.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    /// Runs it and expects a failure with `why` in its message.
    pub(crate) fn refuse(&self, arguments: &[&str], why: &str) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{} does not say {why}", said(&output));
    }

    pub(crate) fn export(&self, path: &Path) -> Vec<u8> {
        self.succeed(&["export", path.to_str().unwrap()]);
        std::fs::read(path).unwrap()
    }

    pub(crate) fn query(&self, sql: &str) -> Vec<Row> {
        self.transaction(vec![sql.to_owned()]).pop().unwrap()
    }

    pub(crate) fn execute(&self, statements: Vec<String>) {
        self.transaction(statements);
    }

    fn transaction(&self, sql: Vec<String>) -> Vec<Vec<Row>> {
        let statements = sql.into_iter().map(|sql| Statement::new("test", sql, [])).collect();
        let outcome = match self {
            Self::Sqlite(folder) => {
                wait(SqliteFile::open(&folder.path().join("sqlite_db.db")).unwrap().transaction(statements))
            }
            Self::Postgres(url, _) => {
                let url: PostgresUrl = url.parse().unwrap();
                wait(async { PostgresDatabase::open(url).await.unwrap().transaction(statements).await })
            }
        };
        let TransactionOutcome::Committed(results) = outcome.unwrap() else { panic!() };
        results
    }

    pub(crate) fn dialect(&self) -> storage::Dialect {
        match self {
            Self::Sqlite(_) => storage::Dialect::Sqlite,
            Self::Postgres(..) => storage::Dialect::Postgres,
        }
    }
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The tables of the first schema.
pub(crate) const TABLES: [&str; 8] =
    ["users", "sessions", "signing_keys", "conversations", "runs", "messages", "run_events", "tool_calls"];

/// Rows in every table of the first schema, with values that are hard to copy: NULL, empty texts, signs, line breaks, large numbers.
pub(crate) fn rows() -> Vec<String> {
    let people = ["u1", "U2", "_3", "ä4", "z5"];
    let mut sql = Vec::new();
    for id in people {
        sql.extend([
            format!("INSERT INTO users (id, email, name, role, password_hash, created_at) VALUES ('{id}', '{id}@example.org', '', 'user', NULL, 9007199254740993)"),
            format!("INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, revoked_at)
                     VALUES ('s-{id}', '{id}', 'hash', 1, {}, NULL)", i64::MAX),
            format!(
                "INSERT INTO conversations (id, user_id, title, model, created_at, updated_at)
                 VALUES ('c-{id}', '{id}', 'It''s \"grün\" 🌱 \\ /', NULL, 1, -1)"
            ),
            format!(
                "INSERT INTO runs (id, conversation_id, user_id, message_id, model, state, attempt, lease_owner, lease_expires_at,
                     cancel_requested, error_code, error_message, prompt_tokens, completion_tokens, created_at, updated_at)
                 VALUES ('r-{id}', 'c-{id}', '{id}', 'm-{id}', 'm', 'queued', 0, NULL, 0, 0, NULL, NULL, 1, 2, 3, 4)"
            ),
            format!("INSERT INTO tool_calls VALUES ('r-{id}', 'call', 'clock', 1, NULL, NULL)"),
        ]);
        for position in 1..=300 {
            sql.push(format!(
                "INSERT INTO messages (id, conversation_id, run_id, position, role, content, tool_calls, tool_call_id, finish_reason,
                     idempotency_key, size, created_at)
                 VALUES ('m-{id}-{position}', 'c-{id}', 'r-{id}', {position}, 'user', 'one\n\ttwo\r\n', NULL, NULL,
                     NULL, 'k{position}', 9, {position})"
            ));
            sql.push(format!("INSERT INTO run_events VALUES ('r-{id}', {position}, 'streaming', 'data: {{}}\n\n')"));
        }
    }
    sql.push(
        "INSERT INTO signing_keys (id, public_key, private_key, created_at) VALUES ('k1', 'public', 'private', 1)"
            .to_owned(),
    );
    sql
}

/// The tables of the third schema.
pub(crate) const TOOL_TABLES: [&str; 5] =
    ["tool_policies", "approvals", "rate_limits", "audit_events", "tool_listings"];

/// Rows in every table of the third schema.
pub(crate) fn tool_rows() -> Vec<String> {
    [
        "INSERT INTO tool_policies VALUES ('', 'mail:*', 'ask', 1)",
        "INSERT INTO tool_policies VALUES ('u1', 'mail:send', 'allow', 2)",
        "INSERT INTO approvals VALUES ('r-u1', 'c1', 'u1', 'mail', 'send', 1, 2, NULL, NULL, NULL, 1)",
        "INSERT INTO approvals VALUES ('r-u1', 'c2', 'u1', 'mail', 'send', 1, 2, 'deny', 3, 1, NULL)",
        "INSERT INTO rate_limits VALUES ('user ä', 9007199254740993)",
        "INSERT INTO audit_events VALUES ('a1', 1, 'gone', 'tool.call', 'mail:send', 'r-u1', 'c1', 'ok', NULL, NULL)",
        "INSERT INTO audit_events VALUES ('a2', 1, 'u1', 'tool.call', 'mail:send', NULL, NULL, 'denied', '', NULL)",
        "INSERT INTO tool_listings VALUES ('weather', '[{\"name\": \"a\\nb\"}]', 1, 60000)",
    ]
    .map(str::to_owned)
    .into()
}

/// The tables of later schemas.
pub(crate) const LATER_TABLES: [&str; 63] = [
    "inside_keys",
    "limits",
    "budget_use",
    "run_charges",
    "run_budgets",
    "data_keys",
    "sealing_progress",
    "installation_keys",
    "tool_secrets",
    "generated_keys",
    "model_dialects",
    "tool_tasks",
    "roles",
    "user_groups",
    "user_group_members",
    "invitations",
    "password_resets",
    "user_identities",
    "identity_providers",
    "provider_sessions",
    "identity_links",
    "provider_logouts",
    "second_factors",
    "recovery_codes",
    "api_keys",
    "tool_connections",
    "tool_connection_attempts",
    "audit_details",
    "audit_arrivals",
    "audit_backlog",
    "audit_chain",
    "audit_seals",
    "erasures",
    "retention_rules",
    "retention_walk",
    "conversation_lifetimes",
    "model_listings",
    "model_providers",
    "conversation_settings",
    "response_formats",
    "files",
    "file_pieces",
    "file_removals",
    "file_readings",
    "file_texts",
    "message_files",
    "assistants",
    "assistant_groups",
    "webhooks",
    "webhook_deliveries",
    "budgets_reached",
    "model_requests",
    "model_request_charges",
    "metric_totals",
    "metric_changes",
    "metric_names",
    "search_documents",
    "search_postings",
    "search_words",
    "search_indexes",
    "search_backlog",
    "search_walks",
    "memories",
];

/// Rows in every table of later schemas, and values in the columns that they added.
pub(crate) fn later_rows() -> Vec<String> {
    [
        "UPDATE sessions SET family_hash = 'family', previous_hash = 'before', rotated_at = 2 WHERE user_id = 'u1'",
        "INSERT INTO conversation_settings VALUES ('cs1', 'c-u1', 's1:ä', 1)",
        "UPDATE conversations SET settings_id = 'cs1' WHERE id = 'c-u1'",
        "INSERT INTO response_formats VALUES ('m-u1-1', 'c-u1', 's1:ü')",
        "INSERT INTO files VALUES ('f1', 'u1', 's1:ä', 's1:b', 'image/png', 9007199254740993, 3, 'arriving', 's3', 1, 2)",
        "INSERT INTO files VALUES ('f2', 'u1', 's1:ö', 's1:c', 'text/plain', 3, 3, 'ready', '', 1, NULL)",
        "INSERT INTO file_pieces VALUES ('f2', 0, 'AA+/==')",
        "INSERT INTO file_readings VALUES ('f2', 'u1', 'failed', 1, '', 0, 3, 'file_damaged', 'Ö', 'scanned', 2, 9)",
        "INSERT INTO file_texts VALUES ('f2', 0, 'AA+/==')",
        "INSERT INTO file_removals VALUES ('f0', 's3', 9, 1, 2)",
        "INSERT INTO message_files VALUES ('m-u1-1', 0, 'c-u1', 'f2')",
        "UPDATE runs SET time_zone = 'Europe/Vienna', settings_id = 'cs1' WHERE id = 'r-u1'",
        "UPDATE messages SET reasoning = 'hm\n', echo = '{}' WHERE id = 'm-u1-1'",
        "UPDATE messages SET tool_error = 1, duration_ms = 12, title = 'Aktuelle Zeit' WHERE id = 'm-u1-2'",
        "INSERT INTO model_dialects VALUES ('https://api.example.org', 'm', '{}', 1)",
        "INSERT INTO tool_secrets VALUES ('u1', 'mail', 'password', 'v1.0123.AbC-_', 1)",
        "INSERT INTO generated_keys VALUES ('master', 'AA+/==', 1)",
        "INSERT INTO tool_tasks VALUES ('r-u1', 'c1', 'u1', 'lab_report', 'Report', 'lab', 'report', 't1', NULL, 'half', 1, 2, 3, 4, 5, 6, NULL, NULL, NULL)",
        "INSERT INTO tool_tasks VALUES ('r-u1', 'c2', 'u1', 'lab_report', 'Report', 'lab', 'report', 't2', 's', NULL, 1, 2, 3, 4, NULL, 0, 5, 'ü
', 1)",
        "UPDATE users SET access_role = 'auditor', access_version = 7, access_changed_at = 3, suspended_at = 3 WHERE id = 'u1'",
        "INSERT INTO roles VALUES ('auditor', 'audit:read tools:call:mail:*', 1)",
        "INSERT INTO user_groups VALUES ('g1', 'mail ä', 'auditor member', 1)",
        "INSERT INTO user_groups VALUES ('g2', 'all', '', 1)",
        "INSERT INTO user_group_members VALUES ('u1', 'g1', 1)",
        "INSERT INTO assistants VALUES ('as1', 'u1', 'hash', 's1:ö', 1, 2)",
        "INSERT INTO assistant_groups VALUES ('as1', 'g1')",
        "INSERT INTO user_group_members VALUES ('u1', 'g2', 1)",
        "INSERT INTO user_group_members VALUES ('U2', 'g1', 1)",
        "INSERT INTO invitations VALUES ('i1', 'hash', 'auditor', 'u1', 7, 1, 2, NULL, NULL, NULL)",
        "INSERT INTO password_resets VALUES ('p1', 'hash', 'U2', 'u1', 7, 1, 2, NULL, 3)",
        "INSERT INTO user_identities VALUES ('https://id.example.org', 'ä', 'U2', 'u2@example.org', 'auditor member', 1, 2)",
        "INSERT INTO identity_providers VALUES ('https://id.example.org', '{\"a\":\"ü\"}', '{}', 1, 2, 3)",
        "INSERT INTO provider_sessions VALUES ('s-U2', 'https://id.example.org', 'ä', 's', 'a.b.c')",
        "INSERT INTO provider_sessions VALUES ('s-_3', 'https://id.example.org', 'c', NULL, NULL)",
        "INSERT INTO identity_links VALUES ('h', 'U2', 'https://id.example.org', 'x', 'a@b', '', NULL, NULL, 1, 2, NULL)",
        "INSERT INTO provider_logouts VALUES ('https://id.example.org', 'jti', NULL, 2)",
        "INSERT INTO second_factors VALUES ('u1', 'v1.0123.AbC-_', 58000000, 1)",
        "INSERT INTO recovery_codes VALUES ('u1', 'one', NULL)",
        "INSERT INTO recovery_codes VALUES ('u1', 'two', 2)",
        "UPDATE users SET kind = 'service' WHERE id = 'U2'",
        "UPDATE sessions SET client_id = 'c', client_name = 'ä', redirect_uri = 'r', code_challenge = 'd', resource = '/mcp', scopes = 'a b' WHERE user_id = 'U2'",
        "INSERT INTO api_keys VALUES ('k1', 'u1', 'ä', 'ea_1', 'one', 'gateway:use tools:call:*', 1, NULL, 2)",
        "INSERT INTO api_keys VALUES ('k2', 'U2', 'b', 'ea_2', 'two', 'conversations:read', 1, 2, NULL)",
        "INSERT INTO tool_connections VALUES ('u1', 'wiki', 'https://wiki', 'v1.a', 'v1.b', NULL, '', 1, 0, NULL, 0, NULL, NULL, 0, NULL, 0, 1)",
        "INSERT INTO tool_connections VALUES ('U2', 'wiki', 'https://wiki', 'v1.a', 'v1.b', 'v1.c', 'x y', 2, 3, 4, 5, 'lost', '{\"ä\":1}', 6, '[]', 7, 8)",
        "UPDATE signing_keys SET signs_from = 2, verifies_until = 3, text_key = 'text'",
        "INSERT INTO inside_keys VALUES ('i1', 'tools', 'public', NULL, 1, 2)",
        "INSERT INTO limits VALUES ('user:u1', 'tokens_per_day', 1000)",
        "INSERT INTO limits VALUES ('role:auditor', 'person_requests_per_minute', 0)",
        "INSERT INTO budget_use VALUES ('user:u1', '2026-11-30', 900, 0)",
        "UPDATE runs SET api_key_id = 'k1' WHERE id = 'r-u1'",
        "INSERT INTO run_charges VALUES ('r-u1', 1, 2, 3, 4, 5, 6, 7)",
        "INSERT INTO run_budgets VALUES ('r-u1', 'user:u1', '2026-11-30')",
        "INSERT INTO data_keys VALUES ('u1', 'b1', 'w1.0123.AbC-_', '0123', NULL, 1, NULL, NULL, NULL, NULL)",
        "INSERT INTO data_keys VALUES ('U2', 'b2', '', '0123', 'b0', 2, 'b1', 'w1.0123.AbC-_', '0123', 3)",
        "INSERT INTO installation_keys VALUES ('details', 'b3', 'w1.0123.AbC-_', '0123', 1)",
        "INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at, finished_at) VALUES ('ä', 2, 'c-u1', 3, 4, 5, 6, 7)",
        "INSERT INTO tool_connection_attempts VALUES ('u1', 'wiki', 's', 'state', 'proof', 'v1.d', 9)",
        "INSERT INTO audit_chain VALUES (1, 'a1', 1, 'digest', 'hash')",
        "DELETE FROM audit_arrivals WHERE event_id = 'a1'",
        // Recorded before there was a chain.
        "INSERT INTO audit_backlog VALUES ('a0', '')",
        "INSERT INTO audit_events VALUES ('a0', 0, 'u1', 'user.role', 'u1', NULL, NULL, 'ok', NULL, NULL)",
        "INSERT INTO audit_seals VALUES (1, 1, 'hash', 2, 'kid', 'a.b.c')",
        "INSERT INTO audit_events VALUES ('a3', 3, 'u1', 'user.role', 'u1', NULL, NULL, 'ok', NULL, 'digest')",
        "INSERT INTO erasures VALUES ('gone', 'u1', 1, 2, 0, 'hash', '{}', 3, 4, 'a.b.c')",
        "INSERT INTO audit_details VALUES ('a3', 'u1', 'salt', 'auditor')",
        "INSERT INTO retention_rules (subject, days, counts_at) VALUES ('role:ä', 30, 1)",
        "INSERT INTO retention_walk (id, passed, due_at) VALUES (1, 'u1', 2)",
        "INSERT INTO conversation_lifetimes (conversation_id, idle_ms, is_temporary, check_at) VALUES ('c-u1', 9007199254740993, 1, 3)",
        "INSERT INTO model_listings (server, models, listed_at) VALUES ('https://api.example.org', '[\"ä\"]', 1)",
        "INSERT INTO model_providers (name, settings, server, sealed, created_at, updated_at) VALUES ('near', '{}', 'https://near', 'v1.a', 1, 2)",
        "INSERT INTO model_requests VALUES ('q1', 'u1', 'k1', 'responses', 'm', 'near', 1, 2, 0, 9007199254740993, 'EUR', 1, NULL)",
        "INSERT INTO model_request_charges VALUES ('q1', 'user:u1', '2026-11-30', 1, 2, 3)",
        "INSERT INTO webhooks VALUES ('w1', 'u1', 'https://a.example:443', ' run.ended ', 'v1.a', 1, 9007199254740993, 'turn', 2, 3, 4, 5, 'timeout', 6, 7)",
        "INSERT INTO webhooks VALUES ('w2', NULL, 'https://b.example:443', ' audit.recorded ', 'v1.b', 1, 0, NULL, 0, 0, 0, NULL, NULL, NULL, NULL)",
        "INSERT INTO webhook_deliveries VALUES ('w1', 'evt_1', 'run.ended', '{\"tool\":\"ä\"}', 1, 2, 3)",
        "INSERT INTO budgets_reached VALUES ('user:u1', 'tokens_per_day', '2026-11-30', 1000, 1)",
        "INSERT INTO metric_totals VALUES ('tokens', 'ä', 'prompt', '', '', 0, 9007199254740993)",
        "INSERT INTO metric_changes VALUES ('mc1', 'tokens', 'ä', 'prompt', '', '', 0, 1)",
        "INSERT INTO metric_names VALUES ('tokens', 'ä', 1)",
        "INSERT INTO search_documents VALUES (9007199254740993, 'u1', 'b1', 'message', 'm-u1-1', 'c-u1', 'user', 1, 2)",
        "INSERT INTO search_postings VALUES (-9007199254740993, 9007199254740993, 2049)",
        "INSERT INTO search_words VALUES ('u1', -1, 2, -9007199254740993, 's1:w')",
        "INSERT INTO search_indexes VALUES ('u1', 'b1', 1, 2)",
        "INSERT INTO search_backlog VALUES ('m-u1-2', 'u1', 1, 0, 2, 3)",
        // Whoever had conversations before the index has one.
        "INSERT INTO search_walks VALUES ('u1', 'c-u1', 1, 2) ON CONFLICT (user_id) DO UPDATE SET passed = excluded.passed, not_before = excluded.not_before, due_at = excluded.due_at",
        "INSERT INTO memories VALUES ('me1', 'u1', 9007199254740993, 's1:ä', 'c-u1', 1, 2)",
        "UPDATE users SET memory_off_at = 9007199254740993 WHERE id = 'U2'",
        "UPDATE runs SET provider = 'near', cost = 9007199254740993, currency = 'EUR' WHERE id = 'r-u1'",
    ]
    .map(str::to_owned)
    .into()
}

/// A table's content, sorted.
pub(crate) fn content(place: &Place, table: &str) -> Vec<Vec<Value>> {
    let mut rows: Vec<Vec<Value>> =
        place.query(&format!("SELECT * FROM {table}")).into_iter().map(|row| row.0).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}
