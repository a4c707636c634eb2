//! Identities that wait for a password: their address is that of an account here, and only its password proves that both are the same person.

use domain::{Id, User};

use crate::{Database, Statement, StorageError, Store, identities::Identity, provider_sessions::ProviderSession};

/// The passwords that may be tried for one link. Whoever wants to try more signs in at the provider again.
pub const MAX_ATTEMPTS: i64 = 5;

/// A link that waits, with one more attempt counted.
#[derive(Clone, Debug)]
pub struct WaitingLink {
    /// The account.
    pub user: User,
    /// Its password's hash.
    pub password_hash: Option<String>,
    /// The session at the provider.
    pub session: ProviderSession,
}

impl<D: Database> Store<D> {
    /// Keeps an identity until its person has entered the account's password.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn keep_identity_link(
        &self,
        token_hash: &str,
        user_id: Id,
        identity: Identity<'_>,
        email: &str,
        session: &ProviderSession,
        lifetime_ms: i64,
    ) -> Result<(), StorageError> {
        let sql = "INSERT INTO identity_links
                       (token_hash, user_id, issuer, subject, email, roles, sid, hint, attempts, created_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, now_ms(), now_ms() + ?9)";
        let parameters = [
            token_hash.into(),
            user_id.into(),
            identity.issuer.into(),
            identity.subject.into(),
            email.into(),
            identity.roles.join(" ").into(),
            session.sid.as_deref().into(),
            session.hint.as_deref().into(),
            lifetime_ms.into(),
        ];
        self.database.query(Statement::new("keep_identity_link", sql, parameters)).await?;
        Ok(())
    }

    /// Counts an attempt to enter the password, and returns what it is to be compared with. `None`: there is no such link, it has expired or been
    /// confirmed, or there were [`MAX_ATTEMPTS`].
    ///
    /// # Errors
    /// As [`Self::keep_identity_link`].
    pub async fn try_identity_link(&self, token_hash: &str) -> Result<Option<WaitingLink>, StorageError> {
        const QUERY: &str = "try_identity_link";
        let sql = format!(
            "UPDATE identity_links SET attempts = attempts + 1
             WHERE token_hash = ?1 AND confirmed_at IS NULL AND expires_at > now_ms() AND attempts < {MAX_ATTEMPTS}
             RETURNING user_id, issuer, subject, sid, hint,
                 (SELECT password_hash FROM users WHERE users.id = identity_links.user_id)"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [token_hash.into()]).durably()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let user_id = columns.id()?;
        let session = ProviderSession::read(&mut columns)?;
        let password_hash = columns.optional_text()?.map(str::to_owned);
        Ok(self.user(user_id).await?.map(|user| WaitingLink { user, password_hash, session }))
    }

    /// The password was right: from now on the identity opens the account, in place of another one of the same provider. The account as it is then;
    /// `None`: the link has expired or been confirmed, or its account is suspended.
    ///
    /// # Errors
    /// As [`Self::keep_identity_link`].
    pub async fn confirm_identity_link(&self, token_hash: &str, user: &User) -> Result<Option<User>, StorageError> {
        // If the account has changed since the password's hash was read, the password may be another one now.
        let sql = "UPDATE identity_links SET confirmed_at = now_ms()
                   WHERE token_hash = ?1 AND confirmed_at IS NULL AND expires_at > now_ms() AND EXISTS (
                       SELECT 1 FROM users WHERE users.id = identity_links.user_id AND users.suspended_at IS NULL
                           AND COALESCE(users.access_version, 0) = ?2)
                   RETURNING user_id";
        let parameters = [token_hash.into(), user.access_version.into()];
        let statement = Statement::new("confirm_identity_link", sql, parameters).durably();
        if self.database.query(statement).await?.is_empty() { Ok(None) } else { self.user(user.id).await }
    }
}
