//! Assistants: settings under a name, somebody's own or shared with groups (docs/adr/0047). Whoever chooses one gets a copy of its settings, so nothing here
//! is read while a run is executed. Must not decide who may share: callers do.

use std::collections::BTreeMap;

use domain::{AssistantContents, ConversationSettings, Id, Timestamp};
use sha2::{Digest as _, Sha256};
use vault::Place;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::after_page,
    sealed_texts::{NO_KEY, Opener},
    tool_listings::{BETWEEN_ENTRIES, BETWEEN_NAMES},
};

/// Assistants of one person: more than anybody finds again in a list.
pub const MAX_ASSISTANTS_OF_USER: usize = 100;

/// What is told in place of the name of one that cannot be read any more.
const UNREADABLE: &str = "(unreadable)";

/// An assistant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assistant {
    /// Its id.
    pub id: Id,
    /// Its owner.
    pub owner_id: Id,
    /// The owner's name; may be empty.
    pub owner_name: String,
    /// What it is.
    pub contents: AssistantContents,
    /// Whether that can be read. Nobody can use one that cannot; it can be changed as a whole, and deleted.
    pub is_readable: bool,
    /// The groups whose members may use it.
    pub groups: Vec<SharedGroup>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed; another time after each change.
    pub updated_at: Timestamp,
}

/// A group that something is or can be shared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedGroup {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
}

/// Whose assistants somebody sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// Who it is. They see their own, and those that are shared with a group of theirs by somebody who is not suspended.
    pub user_id: Id,
    /// Whether they see and change all that are shared with any group.
    pub manages_shared: bool,
}

/// What came of making or changing an assistant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AssistantSaved {
    /// This is how it is now.
    Saved(Box<Assistant>),
    /// Its owner has another one of this name.
    NameTaken,
    /// Its owner has [`MAX_ASSISTANTS_OF_USER`] already.
    TooMany,
    /// Somebody else has changed it since it was read, or deleted it.
    ChangedMeanwhile,
}

/// Why a name means no assistant, in words for whoever said it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotNamed {
    /// Nobody has one.
    #[error(
        "You have no assistant of this name, and none is shared with you. The page Assistants lists those you can use."
    )]
    Unknown,
    /// Several are shared with the person.
    #[error(
        "Several assistants of this name are shared with you. Ask an owner to choose another name, or make one of your own: yours is found first."
    )]
    Ambiguous,
}

/// Where the contents of an assistant are.
const fn place(id: &str) -> Place<'_> {
    Place { table: "assistants", row: id, column: "contents" }
}

/// The columns of [`read`].
fn columns() -> String {
    format!(
        "assistants.id, assistants.user_id, (SELECT users.name FROM users WHERE users.id = assistants.user_id), assistants.contents,
         (SELECT string_agg(user_groups.id || '{BETWEEN_NAMES}' || user_groups.name, '{BETWEEN_ENTRIES}') FROM assistant_groups
          JOIN user_groups ON user_groups.id = assistant_groups.group_id WHERE assistant_groups.assistant_id = assistants.id),
         assistants.created_at, assistants.updated_at"
    )
}

fn read(query: &'static str, row: &Row, openers: &BTreeMap<Id, Opener>) -> Result<Assistant, StorageError> {
    let mut columns = row.columns(query);
    let (id, owner_id) = (columns.id()?, columns.id()?);
    let owner_name = columns.optional_text()?.unwrap_or_default().to_owned();
    let opener = openers.get(&owner_id).unwrap_or(&NO_KEY);
    let json = opener.open(place(&id.to_string()), columns.text()?)?;
    let read = serde_json::from_str(&json).ok();
    let is_readable = read.is_some();
    let contents = read.unwrap_or_else(|| AssistantContents {
        name: UNREADABLE.to_owned(),
        settings: ConversationSettings::unreadable().model,
        ..AssistantContents::default()
    });
    let groups = columns.optional_text()?.unwrap_or_default().split(BETWEEN_ENTRIES);
    let groups = groups.filter_map(|group| group.split_once(BETWEEN_NAMES));
    let mut groups: Vec<SharedGroup> =
        groups.filter_map(|(id, name)| Some(SharedGroup { id: id.parse().ok()?, name: name.to_owned() })).collect();
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    let (created_at, updated_at) = (columns.timestamp()?, columns.timestamp()?);
    Ok(Assistant { id, owner_id, owner_name, contents, is_readable, groups, created_at, updated_at })
}

/// What is stored of a name, so that it is found, and there is one of each of an owner: small and capital letters are the same.
fn name_hash(name: &str) -> String {
    let digest = Sha256::digest(format!("assistant:{}", name.trim().to_lowercase()));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Viewer {
    /// The SQL of the ids that they see. `user` is the parameter with their id. Each part has an index.
    fn sees(self, user: &str) -> String {
        let shared = match self.manages_shared {
            true => "SELECT assistant_id FROM assistant_groups".to_owned(),
            false => format!(
                "SELECT assistant_groups.assistant_id FROM user_group_members
                 JOIN assistant_groups ON assistant_groups.group_id = user_group_members.group_id
                 JOIN assistants AS shared ON shared.id = assistant_groups.assistant_id
                 JOIN users AS owner ON owner.id = shared.user_id AND owner.suspended_at IS NULL
                 WHERE user_group_members.user_id = {user}"
            ),
        };
        format!("assistants.id IN (SELECT own.id FROM assistants AS own WHERE own.user_id = {user} UNION {shared})")
    }

    /// Whether they may change an assistant that they see.
    #[must_use]
    pub fn may_change(self, assistant: &Assistant) -> bool {
        self.manages_shared || assistant.owner_id == self.user_id
    }
}

impl<D: Database> Store<D> {
    async fn assistants_where(
        &self,
        query: &'static str,
        condition: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Assistant>, StorageError> {
        let sql = format!("SELECT {} FROM assistants WHERE {condition}", columns());
        let rows = self.database.query(Statement::new(query, sql, parameters)).await?;
        let owners = rows.iter().map(|row| {
            let mut columns = row.columns(query);
            columns.id()?;
            columns.id()
        });
        let owners = owners.collect::<Result<Vec<_>, _>>()?;
        let openers = self.openers(owners.into_iter(), &rows).await?;
        rows.iter().map(|row| read(query, row, &openers)).collect()
    }

    /// The assistants that somebody sees, the newest first, before the one at which the page before ended.
    ///
    /// # Errors
    /// Those of the database and of keys, as in all of these.
    pub async fn assistants(
        &self,
        viewer: Viewer,
        before: Option<Id>,
        limit: u32,
    ) -> Result<Vec<Assistant>, StorageError> {
        let mut parameters = vec![viewer.user_id.into()];
        let place = after_page("assistants.id", before, &mut parameters);
        let condition = format!("{} {place} ORDER BY assistants.id DESC LIMIT {limit}", viewer.sees("?1"));
        self.assistants_where("assistants", &condition, parameters).await
    }

    /// An assistant that somebody sees.
    ///
    /// # Errors
    /// As [`Self::assistants`].
    pub async fn assistant(&self, viewer: Viewer, id: Id) -> Result<Option<Assistant>, StorageError> {
        let condition = format!("assistants.id = ?2 AND {}", viewer.sees("?1"));
        let parameters = vec![viewer.user_id.into(), id.into()];
        Ok(self.assistants_where("assistant", &condition, parameters).await?.pop())
    }

    /// The assistant that a person means by a name: their own, else the one that is shared with a group of theirs.
    ///
    /// # Errors
    /// As [`Self::assistants`].
    pub async fn assistant_by_name(
        &self,
        user_id: Id,
        name: &str,
    ) -> Result<Result<Assistant, NotNamed>, StorageError> {
        let viewer = Viewer { user_id, manages_shared: false };
        // Of each owner at most one; the person's own, which may be unreadable, and two of others, are enough to know.
        let condition = format!(
            "assistants.name_hash = ?2 AND {}
             ORDER BY CASE WHEN assistants.user_id = ?1 THEN 0 ELSE 1 END, assistants.id LIMIT 3",
            viewer.sees("?1")
        );
        let parameters = vec![user_id.into(), name_hash(name).into()];
        let found = self.assistants_where("assistant_by_name", &condition, parameters).await?;
        let mut found = found.into_iter().filter(|assistant| assistant.is_readable);
        Ok(match (found.next(), found.next()) {
            (Some(own), _) if own.owner_id == user_id => Ok(own),
            (Some(_), Some(_)) => Err(NotNamed::Ambiguous),
            (Some(shared), None) => Ok(shared),
            (None, _) => Err(NotNamed::Unknown),
        })
    }

    /// Makes an assistant of a person, shared with these groups.
    ///
    /// # Errors
    /// As [`Self::assistants`].
    pub async fn create_assistant(
        &self,
        owner_id: Id,
        contents: &AssistantContents,
        groups: &[Id],
    ) -> Result<AssistantSaved, StorageError> {
        let sql = format!(
            "INSERT INTO assistant_changes (id, user_id, name_hash, contents, group_ids, former_at, at_most, changed_at)
             SELECT CAST(?1 AS text), users.id, CAST(?3 AS text), CAST(?4 AS text), CAST(?5 AS text), CAST(NULL AS bigint),
                 {MAX_ASSISTANTS_OF_USER}, now_ms()
             FROM users WHERE users.id = ?2
               AND NOT EXISTS (SELECT 1 FROM assistants WHERE assistants.name_hash = ?3 AND assistants.user_id = ?2) RETURNING id"
        );
        let id = Id::new();
        let parameters = self.change(id, owner_id, contents, groups).await?;
        self.database.query(Statement::new("create_assistant", sql, parameters).durably().repeatably()).await?;
        Ok(match self.own_assistant(owner_id, id).await? {
            Some(made) => AssistantSaved::Saved(Box::new(made)),
            None if self.has_assistant_named(owner_id, &contents.name).await? => AssistantSaved::NameTaken,
            None => AssistantSaved::TooMany,
        })
    }

    /// Changes an assistant, if it is still as it was read.
    ///
    /// # Errors
    /// As [`Self::assistants`].
    pub async fn update_assistant(
        &self,
        former: &Assistant,
        contents: &AssistantContents,
        groups: &[Id],
    ) -> Result<AssistantSaved, StorageError> {
        let sql = "INSERT INTO assistant_changes (id, user_id, name_hash, contents, group_ids, former_at, changed_at)
             SELECT assistants.id, assistants.user_id, CAST(?3 AS text), CAST(?4 AS text), CAST(?5 AS text), assistants.updated_at,
                 CASE WHEN now_ms() > assistants.updated_at THEN now_ms() ELSE assistants.updated_at + 1 END
             FROM assistants WHERE assistants.id = ?1 AND assistants.user_id = ?2 AND assistants.updated_at = CAST(?6 AS bigint)
               AND NOT EXISTS (SELECT 1 FROM assistants AS other
                   WHERE other.name_hash = ?3 AND other.user_id = ?2 AND other.id <> ?1) RETURNING id";
        let mut parameters = self.change(former.id, former.owner_id, contents, groups).await?;
        parameters.push(former.updated_at.as_millis().into());
        let changed = self.database.query(Statement::new("update_assistant", sql, parameters).durably()).await?;
        Ok(match self.own_assistant(former.owner_id, former.id).await? {
            Some(now) if !changed.is_empty() => AssistantSaved::Saved(Box::new(now)),
            Some(now) if now.updated_at == former.updated_at => AssistantSaved::NameTaken,
            _ => AssistantSaved::ChangedMeanwhile,
        })
    }

    /// The parameters `?1` to `?5` of a change.
    async fn change(
        &self,
        id: Id,
        owner_id: Id,
        contents: &AssistantContents,
        groups: &[Id],
    ) -> Result<Vec<Value>, StorageError> {
        // No earlier release reads this table, so it is sealed also while others of it may run.
        let sealed = self.data_key(owner_id).await?.seal(place(&id.to_string()), &serde_json::to_string(contents)?)?;
        Ok(vec![
            id.into(),
            owner_id.into(),
            name_hash(&contents.name).into(),
            Value::Text(sealed),
            serde_json::to_string(groups)?.into(),
        ])
    }

    async fn own_assistant(&self, owner_id: Id, id: Id) -> Result<Option<Assistant>, StorageError> {
        self.assistant(Viewer { user_id: owner_id, manages_shared: false }, id).await
    }

    async fn has_assistant_named(&self, owner_id: Id, name: &str) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM assistants WHERE name_hash = ?1 AND user_id = ?2";
        let parameters = [name_hash(name).into(), owner_id.into()];
        Ok(!self.database.query(Statement::new("has_assistant_named", sql, parameters)).await?.is_empty())
    }

    /// Deletes an assistant that somebody may change. Conversations that were begun with it keep their settings. `false`: they see none, or may not.
    ///
    /// # Errors
    /// As [`Self::assistants`].
    pub async fn delete_assistant(&self, viewer: Viewer, id: Id) -> Result<bool, StorageError> {
        let shared = match viewer.manages_shared {
            true => "OR EXISTS (SELECT 1 FROM assistant_groups WHERE assistant_groups.assistant_id = assistants.id)",
            false => "",
        };
        let sql = format!("DELETE FROM assistants WHERE id = ?1 AND (user_id = ?2 {shared}) RETURNING id");
        let statement = Statement::new("delete_assistant", sql, [id.into(), viewer.user_id.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// The groups that a person is in, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn groups_of_user(&self, user_id: Id) -> Result<Vec<SharedGroup>, StorageError> {
        const QUERY: &str = "groups_of_user";
        let sql = "SELECT user_groups.id, user_groups.name FROM user_group_members
                   JOIN user_groups ON user_groups.id = user_group_members.group_id
                   WHERE user_group_members.user_id = ?1 ORDER BY user_groups.name";
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(SharedGroup { id: columns.id()?, name: columns.text()?.to_owned() })
            })
            .collect()
    }
}
