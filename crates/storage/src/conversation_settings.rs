//! Settings of conversations. A change makes a new row, because each run goes on with the settings that it was made with (docs/adr/0047).

use domain::{Conversation, ConversationSettings, Id};
use vault::Place;

use crate::{Database, Statement, StorageError, Store, Value, sealed_texts::Opener};

/// What came of changing settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettingsChanged {
    /// The conversation as it is now.
    Changed(Box<Conversation>),
    /// Somebody else has changed them since they were read.
    ChangedMeanwhile,
    /// The conversation does not exist or belongs to another person.
    NotFound,
}

/// Where the settings of a row are.
const fn place(id: &str) -> Place<'_> {
    Place { table: "conversation_settings", row: id, column: "settings" }
}

/// The columns of [`read`]: the id that a row of `table` names, and the settings.
pub(crate) fn columns(table: &str) -> String {
    format!(
        "{table}.settings_id, (SELECT conversation_settings.settings FROM conversation_settings WHERE conversation_settings.id = {table}.settings_id)"
    )
}

/// Opens the settings that were read. What cannot be read keeps tools out.
pub(crate) fn read(
    id: Option<Id>,
    stored: Option<&str>,
    opener: &Opener,
) -> Result<ConversationSettings, StorageError> {
    let Some(id) = id else { return Ok(ConversationSettings::default()) };
    let opened = stored.map(|stored| opener.open(place(&id.to_string()), stored)).transpose()?;
    let read = opened.and_then(|json| serde_json::from_str(&json).ok());
    Ok(read.unwrap_or_else(ConversationSettings::unreadable))
}

impl<D: Database> Store<D> {
    /// Replaces the settings of a conversation, if they are still those with the id `former`, for the runs that are made from now on. Default settings are
    /// none. `model` is changed with them, unless it is `None`.
    ///
    /// # Errors
    /// Those of the database and of keys.
    pub async fn set_conversation_settings(
        &self,
        user_id: Id,
        conversation_id: Id,
        former: Option<Id>,
        settings: &ConversationSettings,
        model: Option<&str>,
    ) -> Result<SettingsChanged, StorageError> {
        let sql = "INSERT INTO conversation_settings_changes (id, conversation_id, former_id, settings, model, changed_at)
                   SELECT CAST(?3 AS text), id, CAST(?4 AS text), CAST(?5 AS text), CAST(?6 AS text), now_ms() FROM conversations
                   WHERE id = ?1 AND user_id = ?2 AND settings_id IS NOT DISTINCT FROM CAST(?4 AS text) RETURNING id";
        let id = (*settings != ConversationSettings::default()).then(Id::new);
        let sealed = match id {
            // No earlier release reads this table, so it is sealed also while others of it may run.
            Some(id) => {
                let json = serde_json::to_string(settings)?;
                Value::Text(self.data_key(user_id).await?.seal(place(&id.to_string()), &json)?)
            }
            None => Value::Null,
        };
        let parameters = [
            conversation_id.into(),
            user_id.into(),
            id.unwrap_or_default().into(),
            former.into(),
            sealed,
            model.into(),
        ];
        let statement = Statement::new("set_conversation_settings", sql, parameters).durably().repeatably();
        self.database.query(statement).await?;
        // By what is stored now: the answer to the statement may have been lost, and it was sent again.
        Ok(match self.conversation(user_id, conversation_id).await? {
            None => SettingsChanged::NotFound,
            Some(conversation) if conversation.settings_id == id => SettingsChanged::Changed(Box::new(conversation)),
            Some(_) => SettingsChanged::ChangedMeanwhile,
        })
    }
}
