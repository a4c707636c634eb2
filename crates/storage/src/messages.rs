//! Messages: a person's message queues a run, and a run writes messages.

use std::sync::LazyLock;

use domain::{Cost, Id, Message, MessageRole, ResponseFormat, Run, RunState, ToolCall, ToolResult};
use vault::Place;

use crate::{
    Database, DatabaseError, Row, Statement, StorageError, Store, Value,
    budgets::{self, Budget},
    conversations::title_of,
    database::{Columns, storable},
    files,
    rate_limits::{Asked, Bucket, Quota, RETRY_AFTER_US, STATES, asked, quotas},
    retention::TEMPORARY,
    runs,
    sealed_texts::{Opener, seal},
};

/// A message that a run writes.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The message's id.
    pub id: Id,
    /// Assistant or tool.
    pub role: MessageRole,
    /// The text.
    pub content: String,
    /// The calls that the model requested.
    pub tool_calls: Vec<ToolCall>,
    /// For a tool's message: which call it answers, and how the call went.
    pub tool_result: Option<ToolResult>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// The model's reasoning before this message.
    pub reasoning: Option<String>,
    /// See [`Message::echo`].
    pub echo: Option<String>,
    /// Who wrote it, if it is a model's.
    pub author: Option<Author>,
}

/// The provider that answered in a run, and what the run has cost so far. They are stored with the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The provider's name.
    pub provider: String,
    /// What all tokens of the run cost, if it is known.
    pub cost: Option<Cost>,
}

/// The longest result of a tool that is stored. The model sees less.
const MAX_RESULT_CHARS: usize = 1_000_000;

impl NewMessage {
    /// What a model said.
    #[must_use]
    pub fn answer(content: String, reasoning: String, finish_reason: &str) -> Self {
        Self {
            id: Id::new(),
            role: MessageRole::Assistant,
            content,
            tool_calls: Vec::new(),
            tool_result: None,
            finish_reason: Some(finish_reason.to_owned()),
            reasoning: Some(reasoning).filter(|reasoning| !reasoning.is_empty()),
            echo: None,
            author: None,
        }
    }

    /// What a tool's call came to.
    #[must_use]
    pub fn result(content: &str, result: ToolResult) -> Self {
        Self {
            id: Id::new(),
            role: MessageRole::Tool,
            content: content.chars().take(MAX_RESULT_CHARS).collect(),
            tool_calls: Vec::new(),
            tool_result: Some(result),
            finish_reason: None,
            reasoning: None,
            echo: None,
            author: None,
        }
    }
}

/// A person's message to be stored.
#[derive(Clone, Default, Debug)]
pub struct IncomingMessage<'a> {
    /// The text.
    pub content: &'a str,
    /// The title for a conversation that has none.
    pub title: &'a str,
    /// The model for a conversation that names none.
    pub default_model: &'a str,
    /// The model for this message alone, whatever the conversation names.
    pub model: Option<&'a str>,
    /// The form that the answer must have.
    pub response_format: Option<&'a ResponseFormat>,
    /// The files that are attached, each once.
    pub files: &'a [Id],
    /// A second request with the same key stores nothing.
    pub idempotency_key: Option<&'a str>,
    /// The API key that sends it, if one does: its budget counts too.
    pub api_key_id: Option<Id>,
    /// The limits that a message takes from. What was stored before takes nothing.
    pub limits: &'a [Bucket],
}

/// The result of sending a message.
#[derive(Clone, Debug)]
pub enum Appended {
    /// The message is stored and a run is queued. What is left of each limit.
    Stored(Message, Run, Vec<Quota>),
    /// The message was stored before, with the same key.
    Existing(Message, Run),
    /// The conversation has an active run.
    RunActive,
    /// A limit is reached. What is left of each.
    Limited(Vec<Quota>),
    /// This budget is used up.
    OverBudget(Budget),
    /// The conversation does not exist or belongs to another person.
    NotFound,
    /// One of the files does not exist, belongs to another person, or is not whole.
    NoSuchFile,
}

/// A page of messages.
#[derive(Clone, Debug)]
pub struct MessagePage {
    /// The messages, in the order of the page.
    pub messages: Vec<Message>,
    /// The position after which the next page begins, if there is one.
    pub next: Option<i64>,
}

/// The columns of a message of the conversation ?1, but for its reasoning.
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "messages.id, messages.conversation_id, messages.run_id, messages.position, messages.role,
         messages.content, messages.tool_calls, messages.finish_reason, messages.tool_call_id, messages.tool_error,
         messages.duration_ms, messages.title, messages.echo, {}, messages.created_at",
        files::OF_MESSAGE
    )
});

/// The value of `finish_reason` for the result of a failed call. Releases before migration 0009 write and read it, and may still run beside this one.
pub(crate) const FAILED_CALL: &str = "tool_error";

/// Where the form is that the answer to a message must have.
const fn format_of(message_id: &str) -> Place<'_> {
    Place { table: "response_formats", row: message_id, column: "format" }
}

/// The SQL of that form, of the message that a run answers.
pub(crate) const FORMAT_OF_RUN: &str =
    "(SELECT response_formats.format FROM response_formats WHERE response_formats.message_id = runs.message_id)";

/// Opens what [`FORMAT_OF_RUN`] selects. What cannot be read fits no answer.
pub(crate) fn read_format(
    message_id: Id,
    stored: Option<&str>,
    opener: &Opener,
) -> Result<Option<ResponseFormat>, StorageError> {
    let Some(stored) = stored else { return Ok(None) };
    let json = opener.open(format_of(&message_id.to_string()), stored)?;
    Ok(Some(serde_json::from_str(&json).unwrap_or_else(|_| ResponseFormat::unreadable())))
}

/// Where a column of a message is.
pub(crate) const fn place<'a>(id: &'a str, column: &'a str) -> Place<'a> {
    Place { table: "messages", row: id, column }
}

fn read(query: &'static str, row: &Row, opener: &Opener) -> Result<Message, StorageError> {
    let mut columns = row.columns(query);
    let (id, conversation_id, run_id) = (columns.id()?, columns.id()?, columns.id()?);
    let position = columns.integer()?;
    let role = columns.read("a message's role", MessageRole::parse)?;
    let row_id = id.to_string();
    let open = |column, stored| opener.open_optional(place(&row_id, column), stored);
    let content = opener.open(place(&row_id, "content"), columns.text()?)?;
    let tool_calls = match open("tool_calls", columns.optional_text()?)? {
        // What cannot be read is left out: the rest of the conversation goes on.
        Some(json) if !json.is_empty() => serde_json::from_str(&json).unwrap_or_default(),
        _ => Vec::new(),
    };
    let finish_reason = columns.optional_text()?;
    Ok(Message {
        id,
        conversation_id,
        run_id,
        position,
        role,
        content,
        tool_calls,
        tool_result: read_tool_result(&mut columns, finish_reason, &row_id, opener)?,
        // Only a model's message has a finish reason.
        finish_reason: finish_reason.filter(|_| role != MessageRole::Tool).map(str::to_owned),
        echo: open("echo", columns.optional_text()?)?.filter(|echo| !echo.is_empty()),
        files: files::read_of_message(columns.optional_text()?, opener)?,
        created_at: columns.timestamp()?,
        reasoning: open("reasoning", columns.optional_text()?)?,
    })
}

fn read_tool_result(
    columns: &mut Columns<'_>,
    finish_reason: Option<&str>,
    row_id: &str,
    opener: &Opener,
) -> Result<Option<ToolResult>, StorageError> {
    let call_id = columns.optional_text()?.map(str::to_owned);
    let is_error = columns.optional_integer()?.map_or(finish_reason == Some(FAILED_CALL), |is_error| is_error == 1);
    let duration_ms = columns.optional_integer()?.and_then(|duration_ms| u64::try_from(duration_ms).ok());
    let title = opener.open_optional(place(row_id, "title"), columns.optional_text()?)?;
    Ok(call_id.map(|call_id| ToolResult { call_id, is_error, duration_ms, title }))
}

/// The SQL for a page of messages in an order. Each row ends with the position of the conversation's last message in that order.
fn message_page(order: &str, beyond: &str, last: &str) -> String {
    format!(
        "SELECT {}, reasoning, last FROM (
             SELECT messages.*, SUM(size + COALESCE(octet_length(reasoning), 0)) OVER (ORDER BY position {order}) AS running,
                 (SELECT {last}(position) FROM messages WHERE conversation_id = ?1) AS last
             FROM messages JOIN conversations ON conversations.id = messages.conversation_id
             WHERE conversation_id = ?1 AND user_id = ?2 AND position {beyond} ?3 ORDER BY position {order} LIMIT ?4
         ) AS messages
         WHERE running - size - COALESCE(octet_length(reasoning), 0) < CAST(?5 AS bigint) ORDER BY position {order}",
        *COLUMNS
    )
}

impl<D: Database> Store<D> {
    /// Stores a person's message and queues the run that answers it. Either both happen or neither.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn append_message(
        &self,
        user_id: Id,
        conversation_id: Id,
        incoming: &IncomingMessage<'_>,
    ) -> Result<Appended, StorageError> {
        let appended = match self.try_append(user_id, conversation_id, incoming).await {
            // It was deleted in this moment, by its time or by hand, and its person is still there.
            Err(StorageError::Database(DatabaseError::Orphaned { .. })) if self.user(user_id).await?.is_some() => {
                return Ok(Appended::NotFound);
            }
            appended => appended?,
        };
        if let Some(appended) = appended {
            return Ok(appended);
        }
        self.end_abandoned(user_id, conversation_id).await?;
        Ok(self.try_append(user_id, conversation_id, incoming).await?.unwrap_or(Appended::RunActive))
    }

    /// `None`: what refused the message is an abandoned run, or was gone when it was looked for, as a reservation that was settled meanwhile.
    async fn try_append(
        &self,
        user_id: Id,
        conversation_id: Id,
        incoming: &IncomingMessage<'_>,
    ) -> Result<Option<Appended>, StorageError> {
        const QUERY: &str = "send_message";
        let (message_id, run_id) = (Id::new(), Id::new());
        let key = self.data_key(user_id).await?;
        let mut parameters = vec![
            conversation_id.into(),
            user_id.into(),
            message_id.into(),
            run_id.into(),
            incoming.default_model.into(),
            seal(&key, place(&message_id.to_string(), "content"), incoming.content)?,
            seal(&key, title_of(&conversation_id.to_string()), incoming.title)?,
            incoming.idempotency_key.into(),
            (incoming.content.len() as u64).into(),
            incoming.api_key_id.into(),
            incoming.model.into(),
            match incoming.response_format {
                // No earlier release reads this table, so it is sealed also while others of it may run.
                Some(format) => {
                    let format = serde_json::to_string(format)?;
                    Value::Text(key.seal(format_of(&message_id.to_string()), &format)?)
                }
                None => Value::Null,
            },
        ];
        let Asked { table, parameters: more, limits } = asked(incoming.limits, parameters.len() + 1);
        parameters.push(limits);
        parameters.extend(more);
        // Most messages have no files, and their statement knows nothing of any.
        let (command, file_column, file_value, have_files) = match files::attached(incoming.files, &mut parameters)? {
            Some((value, condition)) => ("messages_with_files", ", file_ids", value, condition),
            None => ("configured_messages", "", String::new(), String::new()),
        };
        let sql = format!(
            "WITH {table}
             INSERT INTO {command} (message_id, conversation_id, user_id, run_id, model, position, content, title,
                 idempotency_key, size, created_at, api_key_id, response_format, limits, now_us, retry_after_us, states{file_column})
             SELECT ?3, id, user_id, ?4, COALESCE(CAST(?11 AS text), model, ?5),
                 (SELECT COALESCE(MAX(position), 0) + 1 FROM messages WHERE conversation_id = ?1), ?6,
                 CASE WHEN {TEMPORARY} THEN '' ELSE CAST(?7 AS text) END, ?8, ?9, now_ms(),
                 ?10, CAST(?12 AS text), ?13, now_ms() * 1000, {RETRY_AFTER_US}, {STATES}{file_value}
             FROM conversations WHERE id = ?1 AND user_id = ?2 {have_files}
               AND NOT EXISTS (SELECT 1 FROM runs WHERE conversation_id = ?1 AND state IN {})
               AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = ?1 AND idempotency_key = ?8)
               AND NOT EXISTS (SELECT 1 FROM budgets WHERE taken >= amount AND {})
             RETURNING position, model, created_at, retry_after_us, states",
            runs::ACTIVE,
            budgets::counts("?2", "?10"),
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably().repeatably()).await?;
        let Some(row) = rows.first() else {
            return self.why_not_sent(user_id, conversation_id, message_id, incoming).await;
        };
        let mut columns = row.columns(QUERY);
        let (position, model, created_at) = (columns.integer()?, columns.text()?.to_owned(), columns.timestamp()?);
        let is_limited = columns.integer()? > 0;
        let left = quotas(incoming.limits, columns.optional_text()?.unwrap_or_default());
        if is_limited {
            return Ok(Some(Appended::Limited(left)));
        }
        let message = Message {
            id: message_id,
            conversation_id,
            run_id,
            position,
            role: MessageRole::User,
            content: storable(incoming.content.to_owned()),
            tool_calls: Vec::new(),
            tool_result: None,
            finish_reason: None,
            reasoning: None,
            echo: None,
            files: self.attached_files(user_id, conversation_id, message_id, incoming.files).await?,
            created_at,
        };
        let run = Run {
            id: run_id,
            conversation_id,
            message_id,
            state: RunState::Queued,
            model,
            created_at,
            updated_at: created_at,
            failure: None,
            usage: None,
            provider: None,
            cost: None,
        };
        Ok(Some(Appended::Stored(message, run, left)))
    }

    async fn why_not_sent(
        &self,
        user_id: Id,
        conversation_id: Id,
        message_id: Id,
        incoming: &IncomingMessage<'_>,
    ) -> Result<Option<Appended>, StorageError> {
        if let Some(existing) = self.message_sent_before(user_id, conversation_id, message_id, incoming).await? {
            return Ok(Some(existing));
        }
        match self.conversation(user_id, conversation_id).await? {
            None => Ok(Some(Appended::NotFound)),
            Some(_) if self.attachable_files(user_id, incoming.files).await? < incoming.files.len() => {
                Ok(Some(Appended::NoSuchFile))
            }
            Some(conversation) if conversation.active_run_id.is_some() => Ok(Some(Appended::RunActive)),
            Some(_) => Ok(self.used_up_budget(user_id, incoming.api_key_id).await?.map(Appended::OverBudget)),
        }
    }

    /// A budget of which nothing is left for a person, with this key.
    ///
    /// # Errors
    /// As [`Self::append_message`].
    pub async fn used_up_budget(&self, user_id: Id, api_key_id: Option<Id>) -> Result<Option<Budget>, StorageError> {
        Ok(self.budgets_of(user_id, api_key_id).await?.into_iter().find(|budget| budget.left == 0))
    }

    async fn message_sent_before(
        &self,
        user_id: Id,
        conversation_id: Id,
        message_id: Id,
        incoming: &IncomingMessage<'_>,
    ) -> Result<Option<Appended>, StorageError> {
        const QUERY: &str = "message_sent_before";
        let sql = format!(
            "SELECT {}, NULL FROM messages JOIN conversations ON conversations.id = messages.conversation_id
             WHERE messages.conversation_id = ?1 AND (idempotency_key = ?2 OR messages.id = ?4) AND conversations.user_id = ?3",
            *COLUMNS
        );
        let key = incoming.idempotency_key;
        let parameters = [conversation_id.into(), key.into(), user_id.into(), message_id.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let message = read(QUERY, row, &self.opener(user_id, &rows).await?)?;
        let stored_just_now = message.id == message_id;
        let run = self.run(user_id, message.run_id).await?;
        Ok(run.map(|run| match stored_just_now {
            true => Appended::Stored(message, run, Vec::new()),
            false => Appended::Existing(message, run),
        }))
    }

    /// The owner's messages in order, after a position: at most `limit` messages and about `max_bytes` of text. A single longer message is returned
    /// alone. For a conversation of another person, the page is empty.
    ///
    /// # Errors
    /// As [`Self::append_message`].
    pub async fn messages(
        &self,
        user_id: Id,
        conversation_id: Id,
        after: i64,
        limit: u32,
        max_bytes: u64,
    ) -> Result<MessagePage, StorageError> {
        let statement = Statement::new(
            "messages",
            message_page("ASC", ">", "MAX"),
            [conversation_id.into(), user_id.into(), after.into(), i64::from(limit).into(), max_bytes.into()],
        );
        self.message_page(user_id, statement).await
    }

    /// Like [`Self::messages`], but newest first, before a position.
    ///
    /// # Errors
    /// As [`Self::append_message`].
    pub async fn newest_messages(
        &self,
        user_id: Id,
        conversation_id: Id,
        before: i64,
        limit: u32,
        max_bytes: u64,
    ) -> Result<MessagePage, StorageError> {
        let statement = Statement::new(
            "newest_messages",
            message_page("DESC", "<", "MIN"),
            [conversation_id.into(), user_id.into(), before.into(), i64::from(limit).into(), max_bytes.into()],
        );
        self.message_page(user_id, statement).await
    }

    async fn message_page(&self, user_id: Id, statement: Statement) -> Result<MessagePage, StorageError> {
        let query = statement.name;
        let rows = self.database.query(statement).await?;
        let opener = self.opener(user_id, &rows).await?;
        let messages = rows.iter().map(|row| read(query, row, &opener)).collect::<Result<Vec<_>, _>>()?;
        let last = match rows.last().and_then(|row| row.0.last()) {
            Some(Value::Integer(last)) => Some(*last),
            _ => None,
        };
        let read = messages.last().map(|message| message.position);
        Ok(MessagePage { messages, next: read.filter(|position| last != Some(*position)) })
    }

    /// The messages for a run's prompt, in order: the message that it answers, everything that it has written so far, and before those the newest
    /// messages, up to about `max_bytes` of text and `limit` messages.
    ///
    /// Earlier unfinished answers to the same message are left out, because this run writes a new one. Reasoning can be much longer than the answer.
    /// Only reasoning before calls is included: no server wants more back.
    ///
    /// # Errors
    /// As [`Self::append_message`].
    pub async fn context(&self, run: &Run, limit: u32, max_bytes: u64) -> Result<Vec<Message>, StorageError> {
        const QUERY: &str = "context";
        let sql = format!(
            "SELECT {}, CASE WHEN tool_calls IS NOT NULL THEN reasoning END FROM (
                 SELECT messages.*, SUM(size) OVER (ORDER BY position DESC) AS running,
                     (SELECT position FROM messages WHERE id = ?3) AS asked
                 FROM messages WHERE conversation_id = ?1 ORDER BY position DESC LIMIT ?4
             ) AS messages
             WHERE (running - size < CAST(?5 AS bigint) OR position >= asked)
               AND NOT (position > asked AND run_id <> ?2 AND COALESCE(finish_reason, '') IN ('error', 'cancelled'))
             ORDER BY position",
            *COLUMNS
        );
        let parameters = [
            run.conversation_id.into(),
            run.id.into(),
            run.message_id.into(),
            i64::from(limit).into(),
            max_bytes.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener_of_run(run.id, &rows).await?;
        rows.iter().map(|row| read(QUERY, row, &opener)).collect()
    }
}
