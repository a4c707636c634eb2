//! What people change about their own account: its name and its password.

use domain::{Id, User};

use crate::{
    Database, Statement, StorageError, Store,
    users::{GROUP_ROLES, WITH_GROUPS, columns, read_users},
};

impl<D: Database> Store<D> {
    /// The account with this id, and its password hash, if it has a password.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn user_with_password(&self, id: Id) -> Result<Option<(User, Option<String>)>, StorageError> {
        const QUERY: &str = "user_with_password";
        let sql = format!(
            "SELECT {}, {GROUP_ROLES}, users.password_hash FROM users {WITH_GROUPS} WHERE users.id = ?1",
            columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        let users = read_users(QUERY, &rows, |columns| Ok(columns.optional_text()?.map(str::to_owned)))?;
        Ok(users.into_iter().next())
    }

    /// Gives an account another name.
    ///
    /// # Errors
    /// As [`Self::user_with_password`].
    pub async fn rename_user(&self, id: Id, name: &str) -> Result<(), StorageError> {
        let sql = "UPDATE users SET name = ?2 WHERE id = ?1";
        let statement = Statement::new("rename_user", sql, [id.into(), name.into()]).durably().repeatably();
        self.database.query(statement).await?;
        Ok(())
    }

    /// Sets the password of an account that was read as `user`. All its sessions end, tokens are void, and links that would set another password are
    /// used up. `false`: the account has changed since.
    ///
    /// # Errors
    /// As [`Self::user_with_password`].
    pub async fn change_password(&self, user: &User, password_hash: &str) -> Result<bool, StorageError> {
        let sql = "UPDATE users SET password_hash = ?3, access_version = COALESCE(access_version, 0) + 1, access_changed_at = now_ms()
             WHERE id = ?1 AND COALESCE(access_version, 0) = ?2 AND suspended_at IS NULL RETURNING id";
        let parameters = [user.id.into(), user.access_version.into(), password_hash.into()];
        let statement = Statement::new("change_password", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }
}
