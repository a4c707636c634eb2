//! Which columns are sealed in the background, table by table, and the SQL that reads and changes their rows. `sealing.rs` takes the steps.

use crate::{Value, database::places, second_factors, tool_connections::part};

/// The most rows of a step.
pub(crate) const ROWS: usize = 32;
/// The most bytes of a step, but for one row, which may be longer: some ten milliseconds of sealing, and little of an instance's memory.
const STEP_BYTES: usize = 1024 * 1024;
/// What the second pass reads again of tables whose keys begin with a time: a run that waits for a task lives for 30 days.
const SECOND_PASS_REACHES_MS: i64 = 31 * 24 * 60 * 60 * 1000;

/// A table with columns that are sealed.
pub(crate) struct Target {
    pub(crate) table: &'static str,
    /// The columns of its key.
    key: (&'static str, Second),
    /// The SQL condition for the rows after `?1` and `?2`, and their order.
    after: &'static str,
    order: &'static str,
    /// The SQL condition that joins the table with `new`.
    joined: &'static str,
    /// The SQL of a row's person.
    person: &'static str,
    pub(crate) columns: &'static [&'static str],
    pub(crate) kind: Kind,
    /// Whether keys begin with a time (UUIDv7) and rows do not change long after it.
    is_chronological: bool,
}

pub(crate) const TARGETS: [Target; 18] = [
    Target {
        table: "conversations",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "conversations.id = new.key_1",
        person: "user_id",
        columns: &["title"],
        kind: Kind::Texts,
        is_chronological: false,
    },
    Target {
        table: "messages",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "messages.id = new.key_1",
        person: "(SELECT user_id FROM conversations WHERE conversations.id = messages.conversation_id)",
        columns: &["content", "tool_calls", "reasoning", "echo", "title"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "conversation_settings",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "conversation_settings.id = new.key_1",
        person: "(SELECT user_id FROM conversations WHERE conversations.id = conversation_settings.conversation_id)",
        columns: &["settings"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "response_formats",
        key: ("message_id", Second::None),
        after: "message_id > ?1",
        order: "message_id",
        joined: "response_formats.message_id = new.key_1",
        person: "(SELECT user_id FROM conversations WHERE conversations.id = response_formats.conversation_id)",
        columns: &["format"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "assistants",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "assistants.id = new.key_1",
        person: "user_id",
        columns: &["contents"],
        kind: Kind::Texts,
        is_chronological: false,
    },
    Target {
        table: "files",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "files.id = new.key_1",
        person: "user_id",
        columns: &["name", "key"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "memories",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "memories.id = new.key_1",
        person: "user_id",
        columns: &["content"],
        kind: Kind::Texts,
        is_chronological: false,
    },
    Target {
        table: "run_events",
        key: ("run_id", Second::Number("last_id")),
        after: "(run_id, last_id) > (?1, ?2)",
        order: "run_id, last_id",
        joined: "run_events.run_id = new.key_1 AND run_events.last_id = CAST(new.key_2 AS bigint)",
        person: "(SELECT user_id FROM runs WHERE runs.id = run_events.run_id)",
        columns: &["frames"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "runs",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "runs.id = new.key_1",
        person: "user_id",
        columns: &["error_message"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "tool_tasks",
        key: ("run_id", Second::Text("call_id")),
        after: "(run_id, call_id) > (?1, ?2)",
        order: "run_id, call_id",
        joined: "tool_tasks.run_id = new.key_1 AND tool_tasks.call_id = new.key_2",
        person: "user_id",
        columns: &["title", "message", "result"],
        kind: Kind::Texts,
        is_chronological: false,
    },
    Target {
        table: "tool_secrets",
        key: ("user_id", Second::Text("server || ' ' || name")),
        after: "(user_id, server || ' ' || name) > (?1, ?2)",
        order: "user_id, server || ' ' || name",
        joined: "tool_secrets.user_id = new.key_1 AND tool_secrets.server || ' ' || tool_secrets.name = new.key_2",
        person: "user_id",
        columns: &["sealed"],
        kind: Kind::Secrets("server", "name"),
        is_chronological: false,
    },
    Target {
        table: "second_factors",
        key: ("user_id", Second::None),
        after: "user_id > ?1",
        order: "user_id",
        joined: "second_factors.user_id = new.key_1",
        person: "user_id",
        columns: &["sealed"],
        kind: Kind::Secrets("''", "''"),
        is_chronological: false,
    },
    Target {
        table: "tool_connections",
        key: ("user_id", Second::Text("server")),
        after: "(user_id, server) > (?1, ?2)",
        order: "user_id, server",
        joined: "tool_connections.user_id = new.key_1 AND tool_connections.server = new.key_2",
        person: "user_id",
        columns: &["authority", "access_token", "refresh_token"],
        kind: Kind::Secrets("server", "''"),
        is_chronological: false,
    },
    Target {
        table: "api_keys",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "api_keys.id = new.key_1",
        person: "user_id",
        columns: &["name"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "audit_details",
        key: ("event_id", Second::None),
        after: "event_id > ?1",
        order: "event_id",
        joined: "audit_details.event_id = new.key_1",
        person: "user_id",
        columns: &["detail"],
        kind: Kind::Details(
            "COALESCE((SELECT action FROM audit_events WHERE audit_events.id = audit_details.event_id), '')",
        ),
        is_chronological: true,
    },
    Target {
        table: "identity_links",
        key: ("token_hash", Second::None),
        after: "token_hash > ?1",
        order: "token_hash",
        joined: "identity_links.token_hash = new.key_1",
        person: "user_id",
        columns: &["hint"],
        kind: Kind::Texts,
        is_chronological: false,
    },
    Target {
        table: "provider_sessions",
        key: ("session_id", Second::None),
        after: "session_id > ?1",
        order: "session_id",
        joined: "provider_sessions.session_id = new.key_1",
        person: "(SELECT user_id FROM sessions WHERE sessions.id = provider_sessions.session_id)",
        columns: &["hint"],
        kind: Kind::Texts,
        is_chronological: true,
    },
    Target {
        table: "sessions",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "sessions.id = new.key_1",
        person: "user_id",
        columns: &["client_name"],
        kind: Kind::Texts,
        is_chronological: true,
    },
];

/// How the columns of a table are sealed.
pub(crate) enum Kind {
    /// As texts, which are opened when rows are read.
    Texts,
    /// As secrets, which callers keep sealed (`secrets.rs`): the SQL of their server and of their name. A connection's columns have names of their own.
    Secrets(&'static str, &'static str),
    /// As details of the record (`audit_details.rs`): the SQL of the event's action.
    Details(&'static str),
}

/// The second column of a table's key.
#[derive(Clone, Copy)]
pub(crate) enum Second {
    None,
    Number(&'static str),
    Text(&'static str),
}

impl Target {
    /// The SQL for the next rows: their keys, their person, two texts that their [`Kind`] needs, and their columns.
    pub(crate) fn read_sql(&self) -> String {
        let (first, columns, person) = (self.key.0, self.columns.join(", "), self.person);
        let second = match self.key.1 {
            Second::None => "''".to_owned(),
            Second::Number(column) => format!("CAST({column} AS text)"),
            Second::Text(column) => column.to_owned(),
        };
        let (server, name) = match self.kind {
            Kind::Texts => ("''", "''"),
            Kind::Secrets(server, name) => (server, name),
            Kind::Details(action) => (action, "''"),
        };
        let size: Vec<String> =
            self.columns.iter().map(|column| format!("COALESCE(octet_length({column}), 0)")).collect();
        let (size, order) = (size.join(" + "), self.order);
        format!(
            "SELECT key_1, key_2, person, server_of, name_of, {columns} FROM (
                 SELECT next.*, SUM(size) OVER (ORDER BY place) AS running FROM (
                     SELECT {first} AS key_1, {second} AS key_2, {person} AS person, {server} AS server_of, {name} AS name_of, {columns},
                         {size} AS size, ROW_NUMBER() OVER (ORDER BY {order}) AS place
                     FROM {} WHERE {} ORDER BY {order} LIMIT {ROWS}) AS next) AS summed
             WHERE running - size < {STEP_BYTES} ORDER BY place",
            self.table, self.after
        )
    }

    /// The parameters of [`Self::read_sql`] for the rows after one.
    pub(crate) fn after(&self, passed: &str) -> Vec<Value> {
        let (first, second) = passed.split_once(' ').unwrap_or((passed, ""));
        match self.key.1 {
            Second::None => vec![first.into()],
            Second::Number(_) => vec![first.into(), second.parse::<i64>().unwrap_or_default().into()],
            Second::Text(_) => vec![first.into(), second.into()],
        }
    }

    /// The SQL that changes `count` rows which are as they were read, each with its key and with the old and the new value of each column.
    pub(crate) fn write_sql(&self, count: usize) -> String {
        let width = 2 + 2 * self.columns.len();
        let row = |row: usize| format!("({})", places(row * width + 1..=(row + 1) * width));
        let rows: Vec<String> = (0..count).map(row).collect();
        let names: Vec<String> = self.columns.iter().map(|column| format!("old_{column}, new_{column}")).collect();
        let sets: Vec<String> = self.columns.iter().map(|column| format!("{column} = new.new_{column}")).collect();
        let unchanged = |column: &&str| format!("{}.{column} IS NOT DISTINCT FROM new.old_{column}", self.table);
        let unchanged: Vec<String> = self.columns.iter().map(unchanged).collect();
        format!(
            "WITH new (key_1, key_2, {}) AS (VALUES {}) UPDATE {} SET {} FROM new WHERE {} AND {}",
            names.join(", "),
            rows.join(", "),
            self.table,
            sets.join(", "),
            self.joined,
            unchanged.join(" AND ")
        )
    }

    /// Where the second pass begins.
    pub(crate) fn second_pass(&self, began_at: i64) -> String {
        if !self.is_chronological {
            return String::new();
        }
        // The beginning of a UUIDv7 is its time in milliseconds (RFC 9562, 5.7).
        let time = format!("{:012x}", began_at.saturating_sub(SECOND_PASS_REACHES_MS).max(0));
        time.split_at_checked(8).map_or_else(String::new, |(high, low)| format!("{high}-{low}"))
    }
}

/// The name that a column's secret is sealed under.
pub(crate) fn secret_name<'a>(target: &Target, column: &str, stored: &'a str) -> &'a str {
    match (target.table, column) {
        ("second_factors", _) => second_factors::SECRET,
        ("tool_connections", "authority") => part::AUTHORITY,
        ("tool_connections", "access_token") => part::ACCESS,
        ("tool_connections", _) => part::REFRESH,
        _ => stored,
    }
}
