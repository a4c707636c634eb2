//! Conversations and their list.

use domain::{Conversation, ConversationSettings, Id, Timestamp};
use vault::Place;

use crate::{
    Database, Row, Statement, StorageError, Store, Value, conversation_settings,
    database::Columns,
    retention::{TEMPORARY, TEMPORARY_IDLE_MS, lifetime_columns, read_lifetime},
    runs::{ABANDONED, ACTIVE},
    sealed_texts::{Opener, seal},
};

/// The columns of a conversation. `owner` is the parameter with its owner.
fn selected_columns(owner: &str) -> String {
    format!("{}, {}", columns_of_list(Some(owner)), conversation_settings::columns("conversations"))
}

/// As [`selected_columns`], without the settings, which may be long. `owner`: if the rules about how long conversations are kept are looked at.
fn columns_of_list(owner: Option<&str>) -> String {
    format!(
        "conversations.id, title, conversations.model, conversations.created_at, conversations.updated_at,
         (SELECT runs.id FROM runs WHERE runs.conversation_id = conversations.id AND runs.state IN {ACTIVE} AND NOT {ABANDONED}),
         {}",
        lifetime_columns(owner)
    )
}

/// Where a conversation's title is.
pub(crate) const fn title_of(id: &str) -> Place<'_> {
    Place { table: "conversations", row: id, column: "title" }
}

fn read(query: &'static str, row: &Row, opener: &Opener) -> Result<Conversation, StorageError> {
    let (mut conversation, mut columns) = read_of_list(query, row, opener)?;
    conversation.settings_id = columns.optional_id()?;
    conversation.settings = conversation_settings::read(conversation.settings_id, columns.optional_text()?, opener)?;
    Ok(conversation)
}

/// Reads what [`columns_of_list`] selects, and returns the columns behind it.
fn read_of_list<'a>(
    query: &'static str,
    row: &'a Row,
    opener: &Opener,
) -> Result<(Conversation, Columns<'a>), StorageError> {
    let mut columns = row.columns(query);
    let id = columns.id()?;
    let mut conversation = Conversation {
        id,
        title: opener.open(title_of(&id.to_string()), columns.text()?)?,
        model: columns.optional_text()?.map(str::to_owned),
        created_at: columns.timestamp()?,
        updated_at: columns.timestamp()?,
        active_run_id: columns.optional_id()?,
        retention_days: None,
        is_temporary: false,
        expires_at: None,
        settings_id: None,
        settings: ConversationSettings::default(),
    };
    read_lifetime(&mut columns, &mut conversation)?;
    Ok((conversation, columns))
}

impl<D: Database> Store<D> {
    /// Creates a conversation.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn create_conversation(
        &self,
        user_id: Id,
        title: &str,
        model: Option<&str>,
    ) -> Result<Conversation, StorageError> {
        const QUERY: &str = "create_conversation";
        let sql = format!(
            "INSERT INTO conversations (id, user_id, title, model, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, now_ms(), now_ms()) RETURNING {}",
            selected_columns("?2")
        );
        let id = Id::new();
        let sealed = seal(&*self.data_key(user_id).await?, title_of(&id.to_string()), title)?;
        let parameters = [id.into(), user_id.into(), sealed, model.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener(user_id, &rows).await?;
        read(QUERY, rows.first().unwrap_or(&Row(Vec::new())), &opener)
    }

    /// Begins a temporary chat: it is in no list and no copy, gets no title, and goes [`TEMPORARY_IDLE_MS`] after its last use.
    /// `None`: it was deleted in this moment.
    ///
    /// # Errors
    /// As [`Self::create_conversation`].
    pub async fn begin_temporary_conversation(
        &self,
        user_id: Id,
        model: Option<&str>,
    ) -> Result<Option<Conversation>, StorageError> {
        let sql = format!(
            "INSERT INTO temporary_conversations (id, user_id, model, idle_ms, created_at)
             VALUES (?1, ?2, CAST(?3 AS text), {TEMPORARY_IDLE_MS}, now_ms())"
        );
        let id = Id::new();
        let parameters = [id.into(), user_id.into(), model.into()];
        self.database.query(Statement::new("begin_temporary_conversation", sql, parameters)).await?;
        self.conversation(user_id, id).await
    }

    /// One conversation of the owner.
    ///
    /// # Errors
    /// As [`Self::create_conversation`].
    pub async fn conversation(&self, user_id: Id, id: Id) -> Result<Option<Conversation>, StorageError> {
        const QUERY: &str = "conversation";
        let sql = format!("SELECT {} FROM conversations WHERE id = ?1 AND user_id = ?2", selected_columns("?2"));
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()])).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.first().map(|row| read(QUERY, row, &opener)).transpose()
    }

    /// The owner's conversations but temporary ones, most recent activity first, after the given place in that order. `has_rules`: whether there are
    /// rules about how long they are kept; looking for the owner's is half the cost of a page.
    ///
    /// # Errors
    /// As [`Self::create_conversation`].
    pub async fn conversations(
        &self,
        user_id: Id,
        after: Option<(Timestamp, Id)>,
        limit: u32,
        has_rules: bool,
    ) -> Result<Vec<Conversation>, StorageError> {
        const QUERY: &str = "conversations";
        let mut parameters = vec![user_id.into(), i64::from(limit).into()];
        let place = match after {
            Some((updated_at, id)) => {
                parameters.extend([updated_at.as_millis().into(), id.into()]);
                "AND (updated_at, id) < (?3, ?4)"
            }
            None => "",
        };
        let sql = format!(
            "SELECT {} FROM conversations WHERE user_id = ?1 {place} AND NOT {TEMPORARY}
             ORDER BY conversations.updated_at DESC, conversations.id DESC LIMIT ?2",
            columns_of_list(has_rules.then_some("?1"))
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.iter().map(|row| Ok(read_of_list(QUERY, row, &opener)?.0)).collect()
    }

    /// The owner's conversations but temporary ones in the order in which they were begun, after one of them: an order that nothing changes while somebody reads.
    ///
    /// # Errors
    /// As [`Self::create_conversation`].
    pub async fn conversations_as_begun(
        &self,
        user_id: Id,
        after: Option<Id>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StorageError> {
        const QUERY: &str = "conversations_as_begun";
        let mut parameters = vec![user_id.into()];
        let place = match after {
            Some(id) => {
                parameters.push(id.into());
                "AND conversations.id > ?2"
            }
            None => "",
        };
        let sql = format!(
            "SELECT {} FROM conversations WHERE user_id = ?1 {place} AND NOT {TEMPORARY} ORDER BY conversations.id LIMIT {limit}",
            columns_of_list(Some("?1"))
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.iter().map(|row| Ok(read_of_list(QUERY, row, &opener)?.0)).collect()
    }

    /// Changes the title, the model, both or neither, and begins its time anew. `None`: the conversation does not exist or belongs to another person.
    ///
    /// # Errors
    /// As [`Self::create_conversation`].
    pub async fn update_conversation(
        &self,
        user_id: Id,
        id: Id,
        title: Option<&str>,
        model: Option<&str>,
    ) -> Result<Option<Conversation>, StorageError> {
        const QUERY: &str = "update_conversation";
        let sql = format!(
            "UPDATE conversations SET title = COALESCE(?3, title), model = COALESCE(?4, model), updated_at = now_ms()
             WHERE id = ?1 AND user_id = ?2 RETURNING {}",
            selected_columns("?2")
        );
        let sealed = match title {
            Some(title) => seal(&*self.data_key(user_id).await?, title_of(&id.to_string()), title)?,
            None => Value::Null,
        };
        let parameters = [id.into(), user_id.into(), sealed, model.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.first().map(|row| read(QUERY, row, &opener)).transpose()
    }

    /// Deletes a conversation and everything in it. `false`: it does not exist or belongs to another person.
    ///
    /// # Errors
    /// As [`Self::create_conversation`].
    pub async fn delete_conversation(&self, user_id: Id, id: Id) -> Result<bool, StorageError> {
        let sql = "DELETE FROM conversations WHERE id = ?1 AND user_id = ?2 RETURNING id";
        let statement = Statement::new("delete_conversation", sql, [id.into(), user_id.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }
}
