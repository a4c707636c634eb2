//! Identities that wait for a password: their address is that of an account here, and only its password proves that both are the same person.

use domain::{Id, User};
use vault::Place;

use crate::{
    Database, Statement, StorageError, Store,
    identities::Identity,
    provider_sessions::ProviderSession,
    users::{GROUP_ROLES, WITH_GROUPS, columns, read_users},
};

/// A link that waits. The account and its password are of one moment.
#[derive(Clone, Debug)]
pub struct WaitingLink {
    /// The account.
    pub user: User,
    /// Its password's hash.
    pub password_hash: Option<String>,
    /// The session at the provider.
    pub session: ProviderSession,
}

/// Where the ID token of a link is.
const fn hint_of(token_hash: &str) -> Place<'_> {
    Place { table: "identity_links", row: token_hash, column: "hint" }
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
                       (token_hash, user_id, issuer, subject, email, roles, sid, hint, created_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, now_ms(), now_ms() + ?9)";
        let hint = self.sealed_hint(user_id, hint_of(token_hash), session).await?;
        let parameters = [
            token_hash.into(),
            user_id.into(),
            identity.issuer.into(),
            identity.subject.into(),
            email.into(),
            identity.roles.join(" ").into(),
            session.sid.as_deref().into(),
            hint,
            lifetime_ms.into(),
        ];
        self.database.query(Statement::new("keep_identity_link", sql, parameters)).await?;
        Ok(())
    }

    /// What waits for a password. `None`: there is no such link, or it has expired, been confirmed, or been ended by a log-out at the provider.
    ///
    /// # Errors
    /// As [`Self::keep_identity_link`].
    pub async fn identity_link(&self, token_hash: &str) -> Result<Option<WaitingLink>, StorageError> {
        const QUERY: &str = "identity_link";
        let sql = format!(
            "SELECT {}, {GROUP_ROLES}, users.password_hash, identity_links.issuer, identity_links.subject,
                 identity_links.sid, identity_links.hint
             FROM identity_links JOIN users ON users.id = identity_links.user_id {WITH_GROUPS}
             WHERE identity_links.token_hash = ?1 AND identity_links.confirmed_at IS NULL
                 AND identity_links.expires_at > now_ms()",
            columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [token_hash.into()])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let opener = self.opener_if_usable(row.columns(QUERY).id()?, &rows).await?;
        let links = read_users(QUERY, &rows, |columns| {
            let password_hash = columns.optional_text()?.map(str::to_owned);
            Ok((password_hash, ProviderSession::read(columns, hint_of(token_hash), &opener)?))
        })?;
        Ok(links.into_iter().next().map(|(user, (password_hash, session))| WaitingLink {
            user,
            password_hash,
            session,
        }))
    }

    /// The password was right: from now on the identity opens the account, in place of another one of the same provider. The account as it is then;
    /// `None`: the link has expired or been confirmed, or its account is suspended.
    ///
    /// # Errors
    /// As [`Self::keep_identity_link`].
    pub async fn confirm_identity_link(&self, token_hash: &str, user: &User) -> Result<Option<User>, StorageError> {
        // If the account has changed since the password's hash was read, the password may be another one now.
        let waiting = self.waiting_for_change();
        let sql = format!(
            "UPDATE identity_links SET confirmed_at = now_ms(), sid = NULL, hint = NULL
             WHERE token_hash = ?1 AND confirmed_at IS NULL AND expires_at > now_ms() AND EXISTS (
                 SELECT 1 FROM users WHERE users.id = identity_links.user_id AND users.suspended_at IS NULL
                     AND COALESCE(users.access_version, 0) = ?2 {waiting})
             RETURNING user_id"
        );
        let parameters = [token_hash.into(), user.access_version.into()];
        let statement = Statement::new("confirm_identity_link", sql, parameters).durably();
        if self.database.query(statement).await?.is_empty() { Ok(None) } else { self.user(user.id).await }
    }
}
