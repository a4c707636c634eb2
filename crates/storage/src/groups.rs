//! Groups of accounts, which give their members roles. The database voids the tokens of those for whom something changes.

use domain::{Id, Timestamp, User};

use crate::{
    Database, Row, Statement, StorageError, Store,
    database::after_page,
    users::{columns, read_users},
};

/// Groups of an installation.
pub const MAX_GROUPS: usize = 500;
/// Groups of one person: a token names all their roles.
pub const MAX_GROUPS_OF_USER: usize = 16;

/// A group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its id.
    pub id: Id,
    /// Its name, unique.
    pub name: String,
    /// The names of the roles that it gives.
    pub roles: Vec<String>,
    /// How many members it has.
    pub members: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What came of making or changing a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupSaved {
    /// This is how it is now.
    Saved(Group),
    /// Another has this name.
    NameTaken,
    /// There are [`MAX_GROUPS`] already.
    TooMany,
    /// There is no such group.
    NotFound,
}

const COLUMNS: &str = "user_groups.id, user_groups.name, user_groups.roles,
    (SELECT COUNT(*) FROM user_group_members WHERE user_group_members.group_id = user_groups.id), user_groups.created_at";

fn read(query: &'static str, row: &Row) -> Result<Group, StorageError> {
    let mut columns = row.columns(query);
    Ok(Group {
        id: columns.id()?,
        name: columns.text()?.to_owned(),
        roles: columns.text()?.split(' ').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        members: u64::try_from(columns.integer()?).unwrap_or_default(),
        created_at: columns.timestamp()?,
    })
}

impl<D: Database> Store<D> {
    /// All groups, by name.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn groups(&self) -> Result<Vec<Group>, StorageError> {
        const QUERY: &str = "groups";
        let sql = format!("SELECT {COLUMNS} FROM user_groups ORDER BY user_groups.name LIMIT {MAX_GROUPS}");
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// The group with this id.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn group(&self, id: Id) -> Result<Option<Group>, StorageError> {
        const QUERY: &str = "group";
        let sql = format!("SELECT {COLUMNS} FROM user_groups WHERE user_groups.id = ?1");
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        rows.first().map(|row| read(QUERY, row)).transpose()
    }

    /// Makes a group.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn create_group(&self, name: &str, roles: &[String]) -> Result<GroupSaved, StorageError> {
        let id = Id::new();
        let sql = format!(
            "INSERT INTO user_groups (id, name, roles, created_at) SELECT ?1, ?2, ?3, now_ms()
             WHERE (SELECT COUNT(*) FROM user_groups) < {MAX_GROUPS} ON CONFLICT (name) DO NOTHING RETURNING id"
        );
        let parameters = [id.into(), name.into(), roles.join(" ").into()];
        let made = self.database.query(Statement::new("create_group", sql, parameters).durably()).await?;
        if made.is_empty() {
            return Ok(if self.has_group_named(name).await? { GroupSaved::NameTaken } else { GroupSaved::TooMany });
        }
        Ok(self.group(id).await?.map_or(GroupSaved::NotFound, GroupSaved::Saved))
    }

    async fn has_group_named(&self, name: &str) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM user_groups WHERE name = ?1";
        Ok(!self.database.query(Statement::new("has_group_named", sql, [name.into()])).await?.is_empty())
    }

    /// Gives a group another name and other roles.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn update_group(&self, id: Id, name: &str, roles: &[String]) -> Result<GroupSaved, StorageError> {
        let sql = "UPDATE user_groups SET name = ?2, roles = ?3 WHERE id = ?1
                   AND NOT EXISTS (SELECT 1 FROM user_groups AS other WHERE other.name = ?2 AND other.id <> ?1) RETURNING id";
        let parameters = [id.into(), name.into(), roles.join(" ").into()];
        let statement = Statement::new("update_group", sql, parameters).durably().repeatably();
        let updated = self.database.query(statement).await?;
        let group = self.group(id).await?;
        Ok(match group {
            Some(_) if updated.is_empty() => GroupSaved::NameTaken,
            Some(group) => GroupSaved::Saved(group),
            None => GroupSaved::NotFound,
        })
    }

    /// Deletes a group. Its members are no longer in it.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn delete_group(&self, id: Id) -> Result<(), StorageError> {
        let sql = "DELETE FROM user_groups WHERE id = ?1";
        self.database.query(Statement::new("delete_group", sql, [id.into()]).durably().repeatably()).await?;
        Ok(())
    }

    /// Members of a group, the newest accounts first, before the one at which the page before ended. Their other groups are not told.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn group_members(&self, id: Id, before: Option<Id>, limit: u32) -> Result<Vec<User>, StorageError> {
        const QUERY: &str = "group_members";
        let mut parameters = vec![id.into()];
        let place = after_page("user_id", before, &mut parameters);
        // The page first: PostgreSQL would rather walk through all accounts beside it.
        let sql = format!(
            "SELECT {}, NULL FROM (SELECT user_id FROM user_group_members WHERE group_id = ?1 {place}
                 ORDER BY user_id DESC LIMIT {limit}) AS page
             JOIN users ON users.id = page.user_id ORDER BY page.user_id DESC",
            columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        Ok(read_users(QUERY, &rows, |_| Ok(()))?.into_iter().map(|(user, ())| user).collect())
    }

    /// Whether an account is in a group.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn is_group_member(&self, id: Id, user_id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM user_group_members WHERE group_id = ?1 AND user_id = ?2";
        let statement = Statement::new("is_group_member", sql, [id.into(), user_id.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Takes an account into a group. `false`: there is no such account or group, or it is in [`MAX_GROUPS_OF_USER`] already.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn add_group_member(&self, id: Id, user_id: Id) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO group_joins (user_id, group_id, joined_at) SELECT users.id, user_groups.id, now_ms()
             FROM users, user_groups WHERE users.id = ?2 AND user_groups.id = ?1
               AND (SELECT COUNT(*) FROM user_group_members WHERE user_id = ?2 AND group_id <> ?1) < {MAX_GROUPS_OF_USER} RETURNING user_id"
        );
        let statement = Statement::new("add_group_member", sql, [id.into(), user_id.into()]).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Takes an account out of a group.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn remove_group_member(&self, id: Id, user_id: Id) -> Result<(), StorageError> {
        let sql = "DELETE FROM user_group_members WHERE group_id = ?1 AND user_id = ?2";
        let statement = Statement::new("remove_group_member", sql, [id.into(), user_id.into()]);
        self.database.query(statement.durably().repeatably()).await?;
        Ok(())
    }
}
