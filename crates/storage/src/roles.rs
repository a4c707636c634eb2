//! The installation's own roles. What their permissions mean is not known here.

use crate::{Database, Row, Statement, StorageError, Store};

/// A role as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRole {
    /// Its name.
    pub name: String,
    /// Its permissions, separated by spaces.
    pub permissions: String,
}

impl<D: Database> Store<D> {
    /// The installation's own roles, by name.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn roles(&self) -> Result<Vec<StoredRole>, StorageError> {
        const QUERY: &str = "roles";
        let sql = "SELECT name, permissions FROM roles ORDER BY name";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok(StoredRole { name: columns.text()?.to_owned(), permissions: columns.text()?.to_owned() })
        };
        rows.iter().map(read).collect()
    }

    /// Makes a role, or gives it other permissions. `false`: there are `max` already.
    ///
    /// # Errors
    /// As [`Self::roles`].
    pub async fn set_role(&self, name: &str, permissions: &str, max: usize) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO roles (name, permissions, created_at) SELECT ?1, ?2, now_ms()
             WHERE EXISTS (SELECT 1 FROM roles WHERE name = ?1) OR (SELECT COUNT(*) FROM roles) < {max}
             ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions RETURNING name"
        );
        let statement = Statement::new("set_role", sql, [name.into(), permissions.into()]).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Deletes a role that nobody has. Returns how many accounts, groups, identities at providers and open invitations have it: with any, it is not deleted. Otherwise a later role
    /// of the same name would be theirs.
    ///
    /// # Errors
    /// As [`Self::roles`].
    pub async fn delete_role(&self, name: &str) -> Result<u64, StorageError> {
        const QUERY: &str = "uses_of_role";
        let uses = "(SELECT COUNT(*) FROM users WHERE access_role = ?1)
            + (SELECT COUNT(*) FROM user_groups WHERE ' ' || roles || ' ' LIKE '% ' || ?1 || ' %')
            + (SELECT COUNT(*) FROM user_identities WHERE ' ' || roles || ' ' LIKE '% ' || ?1 || ' %')
            + (SELECT COUNT(*) FROM invitations WHERE role = ?1 AND accepted_at IS NULL AND revoked_at IS NULL
                AND expires_at > now_ms())";
        let sql = format!("DELETE FROM roles WHERE name = ?1 AND {uses} = 0");
        self.database.query(Statement::new("delete_role", sql, [name.into()]).durably().repeatably()).await?;
        let sql = format!("SELECT {uses} FROM roles WHERE name = ?1");
        let rows = self.database.query(Statement::new(QUERY, sql, [name.into()])).await?;
        let uses = rows.first().map(|row| row.columns(QUERY).integer()).transpose()?;
        Ok(uses.map_or(0, |uses| u64::try_from(uses).unwrap_or_default()))
    }
}
