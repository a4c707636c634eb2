//! What administrators see of accounts and change about them. Nothing here asks whether they may.

use domain::{Id, User};

use crate::{
    Database, Statement, StorageError, Store,
    database::after_page,
    users::{GROUP_ROLES, ROLE, WITH_GROUPS, columns, read_users},
};

/// What is to change about an account.
#[derive(Clone, Copy, Default, Debug)]
pub struct AccountChange<'a> {
    /// The name of its own role from now on.
    pub role: Option<&'a str>,
    /// Whether it may not be used from now on.
    pub is_suspended: Option<bool>,
}

/// What came of changing an account.
#[derive(Clone, Debug)]
pub enum AccountChanged {
    /// It is changed.
    Changed(User),
    /// Somebody else changed it first.
    Stale,
    /// No person would be left who is an administrator: nobody can log in as a program.
    LastAdministrator,
}

impl<D: Database> Store<D> {
    /// Accounts, the newest first, before the one at which the page before ended: all, or those whose address or name contains a text.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn users(&self, containing: &str, before: Option<Id>, limit: u32) -> Result<Vec<User>, StorageError> {
        const QUERY: &str = "users";
        // SQLite knows small letters of ASCII only, so a name is also compared as it was typed.
        let mut parameters = vec![pattern(&containing.to_lowercase()).into(), pattern(containing).into()];
        let place = after_page("id", before, &mut parameters);
        let sql = format!(
            "SELECT {}, {GROUP_ROLES} FROM (
                 SELECT * FROM users
                 WHERE (lower(email) LIKE ?1 ESCAPE '\\' OR lower(name) LIKE ?1 ESCAPE '\\' OR name LIKE ?2 ESCAPE '\\') {place}
                 ORDER BY id DESC LIMIT {limit}
             ) AS users {WITH_GROUPS} ORDER BY users.id DESC",
            columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        Ok(read_users(QUERY, &rows, |_| Ok(()))?.into_iter().map(|(user, ())| user).collect())
    }

    /// Changes an account that was read as `user`; a suspension ends its sessions and stops its runs, all in one statement.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn change_account(&self, user: &User, change: AccountChange<'_>) -> Result<AccountChanged, StorageError> {
        const QUERY: &str = "change_account";
        let sql = format!(
            "UPDATE users SET
                 role = CASE WHEN CAST(?2 AS text) IS NULL THEN role WHEN ?2 = 'admin' THEN 'admin' ELSE 'user' END,
                 access_role = COALESCE(?2, access_role),
                 suspended_at = CASE CAST(?3 AS bigint) WHEN 1 THEN COALESCE(suspended_at, now_ms()) WHEN 0 THEN NULL
                     ELSE suspended_at END,
                 access_version = COALESCE(access_version, 0) + 1,
                 access_changed_at = now_ms()
             WHERE id = ?1 AND COALESCE(access_version, 0) = ?4
               AND ({ROLE} <> 'admin' OR suspended_at IS NOT NULL
                   OR COALESCE(?2, 'admin') = 'admin' AND COALESCE(CAST(?3 AS bigint), 0) = 0 OR EXISTS (
                   SELECT 1 FROM users AS other WHERE other.id <> ?1 AND other.role = 'admin' AND other.suspended_at IS NULL
                       AND other.kind IS NULL))
             RETURNING id"
        );
        let parameters =
            [user.id.into(), change.role.into(), change.is_suspended.map(i64::from).into(), user.access_version.into()];
        let changed = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        if !changed.is_empty() && change.is_suspended == Some(true) {
            self.keep_suspended(user.id).await?;
        }
        let now = self.user(user.id).await?;
        Ok(match now {
            Some(now) if !changed.is_empty() => AccountChanged::Changed(now),
            Some(now) if now.access_version == user.access_version => AccountChanged::LastAdministrator,
            _ => AccountChanged::Stale,
        })
    }
}

/// A pattern of `LIKE` that finds the text anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
