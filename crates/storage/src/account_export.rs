//! What is stored about a person besides their conversations, for a copy of it: pages of rows, by key. Must not contain the value of a secret, a hash, or
//! anything of somebody else. Temporary chats are not in it. Conversations and messages are read as everywhere ([`Store::conversations`], [`Store::messages`]).

use domain::{Id, Timestamp};
use serde_json::{Map, Value as Json};
use vault::Place;

use crate::{Database, Statement, StorageError, Store, Value};

/// Rows of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// The name, such as `sessions`.
    pub name: &'static str,
    /// The columns, by the names that they have in the copy.
    columns: &'static [&'static str],
    /// The tables, and the condition for the rows of the person ?1.
    rows: &'static str,
    /// The column that is sealed, if one is, and its table. The last column of the key names the row.
    sealed: Option<(&'static str, &'static str)>,
    /// The two columns of the key, in whose order pages come. The second may be a constant.
    key: [&'static str; 2],
}

/// The second column of a key that has one. PostgreSQL orders by no bare constant.
const ALONE: &str = "CAST('' AS text)";

/// The condition that the conversation of this column is no temporary chat: these are in no copy.
macro_rules! kept {
    ($conversation:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_lifetimes.conversation_id = ",
            $conversation,
            " AND conversation_lifetimes.is_temporary = 1)"
        )
    };
}

/// The person's conversations that are no temporary chats, with the rows of another table that belong to them.
macro_rules! of_kept_conversations {
    ($table:literal) => {
        concat!(
            "conversations JOIN ",
            $table,
            " ON ",
            $table,
            ".conversation_id = conversations.id WHERE conversations.user_id = ?1 AND ",
            kept!("conversations.id")
        )
    };
}

/// All sections.
pub const SECTIONS: [Section; 21] = [
    Section {
        name: "identities",
        columns: &["issuer", "subject", "email", "created_at", "used_at"],
        rows: "user_identities WHERE user_id = ?1",
        sealed: None,
        key: ["issuer", "subject"],
    },
    Section {
        name: "sessions",
        columns: &["id", "created_at", "rotated_at", "expires_at", "revoked_at", "client_name", "scopes"],
        rows: "sessions WHERE user_id = ?1",
        sealed: Some(("sessions", "client_name")),
        key: ["id", ALONE],
    },
    Section {
        name: "api_keys",
        columns: &["id", "name", "prefix", "scopes", "created_at", "expires_at", "used_at"],
        rows: "api_keys WHERE user_id = ?1",
        sealed: Some(("api_keys", "name")),
        key: ["id", ALONE],
    },
    Section {
        name: "groups",
        columns: &["id", "name", "added_at"],
        rows: "user_group_members JOIN user_groups ON user_groups.id = user_group_members.group_id WHERE user_id = ?1",
        sealed: None,
        key: ["id", ALONE],
    },
    Section {
        name: "tool_policies",
        columns: &["pattern", "effect", "created_at"],
        rows: "tool_policies WHERE user_id = ?1",
        sealed: None,
        key: ["pattern", ALONE],
    },
    Section {
        name: "tool_secrets",
        columns: &["server", "name", "updated_at"],
        rows: "tool_secrets WHERE user_id = ?1",
        sealed: None,
        key: ["server", "name"],
    },
    Section {
        name: "tool_connections",
        columns: &["server", "url", "scope", "connected_at", "refreshed_at"],
        rows: "tool_connections WHERE user_id = ?1",
        sealed: None,
        key: ["server", ALONE],
    },
    Section {
        name: "webhooks",
        columns: &["id", "server", "events", "created_at", "attempted_at", "delivered_at", "stopped_at"],
        rows: "webhooks WHERE user_id = ?1",
        sealed: None,
        key: ["id", ALONE],
    },
    Section {
        name: "invitations",
        columns: &["id", "role", "created_at", "expires_at", "accepted_at", "revoked_at"],
        rows: "invitations WHERE created_by = ?1",
        sealed: None,
        key: ["id", ALONE],
    },
    Section {
        name: "password_resets",
        columns: &["id", "created_at", "expires_at", "used_at"],
        rows: "password_resets WHERE user_id = ?1",
        key: ["id", ALONE],
        sealed: None,
    },
    Section {
        name: "assistants",
        columns: &["id", "contents", "created_at", "updated_at"],
        rows: "assistants WHERE user_id = ?1",
        sealed: Some(("assistants", "contents")),
        key: ["id", ALONE],
    },
    Section {
        name: "memories",
        columns: &["id", "number", "content", "conversation_id", "created_at", "updated_at"],
        rows: "memories WHERE user_id = ?1",
        sealed: Some(("memories", "content")),
        key: ["number", "id"],
    },
    Section {
        name: "conversation_settings",
        columns: &["conversation_id", "settings"],
        rows: of_kept_conversations!("conversation_settings"),
        sealed: Some(("conversation_settings", "settings")),
        key: ["conversations.id", "conversation_settings.id"],
    },
    Section {
        name: "response_formats",
        columns: &["conversation_id", "message_id", "format"],
        rows: of_kept_conversations!("response_formats"),
        sealed: Some(("response_formats", "format")),
        key: ["conversations.id", "message_id"],
    },
    Section {
        name: "files",
        columns: &["id", "name", "type", "size", "state", "created_at", "expires_at"],
        // Those of no message, and those that another chat than temporary ones has.
        rows: concat!(
            "files WHERE user_id = ?1 AND (NOT EXISTS (SELECT 1 FROM message_files WHERE message_files.file_id = files.id)
             OR EXISTS (SELECT 1 FROM message_files WHERE message_files.file_id = files.id AND ",
            kept!("message_files.conversation_id"),
            "))"
        ),
        sealed: Some(("files", "name")),
        key: ["id", ALONE],
    },
    Section {
        name: "runs",
        columns: &[
            "id",
            "conversation_id",
            "model",
            "state",
            "error_code",
            "prompt_tokens",
            "completion_tokens",
            "provider",
            "cost",
            "currency",
            "time_zone",
            "created_at",
            "updated_at",
        ],
        rows: concat!("runs WHERE user_id = ?1 AND ", kept!("runs.conversation_id")),
        sealed: None,
        key: ["id", ALONE],
    },
    Section {
        name: "model_requests",
        columns: &[
            "id",
            "api_key_id",
            "api",
            "model",
            "provider",
            "prompt_tokens",
            "completion_tokens",
            "is_estimated",
            "cost",
            "currency",
            "created_at",
            "ended_at",
        ],
        rows: "model_requests WHERE user_id = ?1",
        sealed: None,
        key: ["id", ALONE],
    },
    Section {
        name: "tool_calls",
        columns: &["run_id", "call_id", "name", "started_at", "finished_at", "is_error"],
        rows: concat!(
            "tool_calls JOIN runs ON runs.id = tool_calls.run_id WHERE runs.user_id = ?1 AND ",
            kept!("runs.conversation_id")
        ),
        sealed: None,
        key: ["runs.id", "call_id"],
    },
    Section {
        name: "tool_tasks",
        columns: &["run_id", "call_id", "name", "server", "tool", "started_at", "ended_at"],
        rows: "tool_tasks WHERE user_id = ?1 AND NOT EXISTS (SELECT 1 FROM runs
             JOIN conversation_lifetimes ON conversation_lifetimes.conversation_id = runs.conversation_id
             WHERE runs.id = tool_tasks.run_id AND conversation_lifetimes.is_temporary = 1)",
        sealed: None,
        key: ["run_id", "call_id"],
    },
    Section {
        name: "approvals",
        columns: &["run_id", "call_id", "server", "tool", "decision", "decided_at"],
        // By the runs, which have an index for it.
        rows: concat!(
            "approvals JOIN runs ON runs.id = approvals.run_id WHERE runs.user_id = ?1 AND ",
            kept!("runs.conversation_id")
        ),
        sealed: None,
        key: ["runs.id", "call_id"],
    },
    Section {
        name: "record",
        columns: &["id", "at", "action", "subject", "run_id", "call_id", "outcome"],
        rows: "audit_events WHERE user_id = ?1",
        sealed: None,
        key: ["at", "id"],
    },
];

/// A row of a section.
#[derive(Clone, PartialEq, Debug)]
pub struct ExportedRow {
    /// Its key, after which the next page begins.
    pub key: (Value, Value),
    /// Its columns; times are RFC 3339 in UTC.
    pub fields: Map<String, Json>,
}

impl<D: Database> Store<D> {
    /// The rows of a person in a section, after a key, at most `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn export_rows(
        &self,
        user_id: Id,
        section: &Section,
        after: Option<(Value, Value)>,
        limit: u32,
    ) -> Result<Vec<ExportedRow>, StorageError> {
        const QUERY: &str = "export_rows";
        let Section { columns, rows, sealed, key: [first, second], .. } = section;
        let mut parameters: Vec<Value> = vec![user_id.into()];
        let place = if let Some((one, two)) = after {
            parameters.extend([one, two]);
            format!("AND ({first}, {second}) > (?2, ?3)")
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT {first}, {second}, {} FROM {rows} {place} ORDER BY {first}, {second} LIMIT {limit}",
            columns.join(", ")
        );
        let found = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener_if_usable(user_id, &found).await?;
        found
            .iter()
            .map(|row| {
                let column = |column| row.0.get(column).cloned();
                let missing = StorageError::Row { query: QUERY, column: 0, expected: "a key" };
                let key = column(0).zip(column(1)).ok_or(missing)?;
                let mut fields: Map<String, Json> = Map::new();
                for (name, value) in columns.iter().zip(row.0.iter().skip(2)) {
                    let value = match (sealed, value, if *second == ALONE { &key.0 } else { &key.1 }) {
                        (Some((table, column)), Value::Text(stored), Value::Text(row)) if column == name => {
                            opener.open(Place { table, row, column }, stored)?.into()
                        }
                        _ => shown(name, value),
                    };
                    fields.insert((*name).to_owned(), value);
                }
                Ok(ExportedRow { key, fields })
            })
            .collect()
    }
}

/// A value as the copy shows it.
fn shown(name: &str, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(millis) if name == "at" || name.ends_with("_at") => {
            Timestamp::from_millis(*millis).to_string().into()
        }
        Value::Integer(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}
