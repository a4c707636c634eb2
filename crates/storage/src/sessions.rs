//! Sessions: families of refresh tokens of which only the newest works.

use domain::{Id, User};

use crate::{Database, Statement, StorageError, Store};

/// What came of presenting a refresh token.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// It was the newest; another has taken its place.
    Rotated(User),
    /// It had been used before: whoever has it may have stolen it, so the session is over.
    Reused,
    /// There is no such session, or it is over.
    Unknown,
}

impl<D: Database> Store<D> {
    /// Begins a session.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn create_session(
        &self,
        session_id: Id,
        user_id: Id,
        token_hash: &str,
        lifetime_ms: i64,
    ) -> Result<(), StorageError> {
        let sql = "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at)
                   VALUES (?1, ?2, ?3, now_ms(), now_ms() + ?4)";
        let parameters = [session_id.into(), user_id.into(), token_hash.into(), lifetime_ms.into()];
        self.database.query(Statement::new("create_session", sql, parameters)).await?;
        Ok(())
    }

    /// Exchanges a refresh token for the next, or ends the session if it was used before.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn rotate_session(
        &self,
        session_id: Id,
        old_hash: &str,
        new_hash: &str,
        lifetime_ms: i64,
    ) -> Result<Rotation, StorageError> {
        const QUERY: &str = "rotate_session";
        let sql = "UPDATE sessions SET token_hash = ?3, expires_at = now_ms() + ?4
                   WHERE id = ?1 AND token_hash = ?2 AND revoked_at IS NULL AND expires_at > now_ms() RETURNING user_id";
        let parameters = [session_id.into(), old_hash.into(), new_hash.into(), lifetime_ms.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        if let Some(row) = rows.first() {
            let user = self.user(row.columns(QUERY).id()?).await?;
            return Ok(user.map_or(Rotation::Unknown, Rotation::Rotated));
        }
        let sql = "UPDATE sessions SET revoked_at = now_ms()
                   WHERE id = ?1 AND token_hash <> ?2 AND revoked_at IS NULL AND expires_at > now_ms() RETURNING id";
        let revoked = self
            .database
            .query(Statement::new("revoke_reused_session", sql, [session_id.into(), old_hash.into()]))
            .await?;
        Ok(if revoked.is_empty() { Rotation::Unknown } else { Rotation::Reused })
    }

    /// Ends a session, if the token is its newest. Ending what has ended changes nothing.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn end_session(&self, session_id: Id, token_hash: &str) -> Result<(), StorageError> {
        let sql = "UPDATE sessions SET revoked_at = now_ms() WHERE id = ?1 AND token_hash = ?2 AND revoked_at IS NULL";
        self.database
            .query(Statement::new("end_session", sql, [session_id.into(), token_hash.into()]).repeatably())
            .await?;
        Ok(())
    }
}
