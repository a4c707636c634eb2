//! The encrypted secrets that people enter for tools. Nothing is decrypted here.

use domain::Id;

use crate::{Database, Row, Statement, StorageError, Store};

/// The secrets of one person. They are read and decrypted together, and nobody has more accounts with tools.
pub const MAX_SECRETS: usize = 200;

/// A stored secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolSecret {
    /// The server whose tools receive it.
    pub server: String,
    /// Its name on this server.
    pub name: String,
    /// The encrypted value.
    pub sealed: String,
}

impl<D: Database> Store<D> {
    /// A person's secrets for one server.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn tool_secrets_of(&self, user_id: Id, server: &str) -> Result<Vec<ToolSecret>, StorageError> {
        const QUERY: &str = "tool_secrets_of";
        let sql = format!(
            "SELECT server, name, sealed FROM tool_secrets WHERE user_id = ?1 AND server = ?2
             ORDER BY name LIMIT {MAX_SECRETS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into(), server.into()])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// All of a person's secrets.
    ///
    /// # Errors
    /// As [`Self::tool_secrets_of`].
    pub async fn tool_secrets(&self, user_id: Id) -> Result<Vec<ToolSecret>, StorageError> {
        const QUERY: &str = "tool_secrets";
        let sql = format!(
            "SELECT server, name, sealed FROM tool_secrets WHERE user_id = ?1 ORDER BY server, name LIMIT {MAX_SECRETS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// Stores a person's secret, instead of the previous one of this name. `false`: there are [`MAX_SECRETS`] already.
    ///
    /// # Errors
    /// As [`Self::tool_secrets_of`].
    pub async fn set_tool_secret(&self, user_id: Id, secret: &ToolSecret) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO tool_secrets (user_id, server, name, sealed, updated_at) SELECT ?1, ?2, ?3, ?4, now_ms()
             WHERE EXISTS (SELECT 1 FROM tool_secrets WHERE user_id = ?1 AND server = ?2 AND name = ?3)
                OR (SELECT COUNT(*) FROM tool_secrets WHERE user_id = ?1) < {MAX_SECRETS}
             ON CONFLICT (user_id, server, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at
             RETURNING name"
        );
        let ToolSecret { server, name, sealed } = secret;
        let parameters = [user_id.into(), server.as_str().into(), name.as_str().into(), sealed.as_str().into()];
        let statement = Statement::new("set_tool_secret", sql, parameters).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Deletes a person's secret.
    ///
    /// # Errors
    /// As [`Self::tool_secrets_of`].
    pub async fn delete_tool_secret(&self, user_id: Id, server: &str, name: &str) -> Result<(), StorageError> {
        let sql = "DELETE FROM tool_secrets WHERE user_id = ?1 AND server = ?2 AND name = ?3";
        let statement = Statement::new("delete_tool_secret", sql, [user_id.into(), server.into(), name.into()]);
        self.database.query(statement.durably().repeatably()).await?;
        Ok(())
    }
}

fn read(query: &'static str, row: &Row) -> Result<ToolSecret, StorageError> {
    let mut columns = row.columns(query);
    Ok(ToolSecret {
        server: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        sealed: columns.text()?.to_owned(),
    })
}
