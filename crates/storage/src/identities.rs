//! Who people are at the providers that they sign in with, and the accounts that this opens.

use domain::{Id, Timestamp, User};

use crate::{Database, Statement, StorageError, Store, invitations::counts, users::Opening};

/// Somebody as a provider names them.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Who they are there.
    pub subject: &'a str,
    /// The names of the roles that their groups there give.
    pub roles: &'a [String],
}

/// An identity that opens an account, as its person sees it. One account has at most one of each provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkedIdentity {
    /// The provider.
    pub issuer: String,
    /// The newest address that the provider has verified.
    pub email: String,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When somebody last signed in with it.
    pub used_at: Timestamp,
}

impl<D: Database> Store<D> {
    /// The identities that open an account, by provider. There are no more than providers were ever configured.
    ///
    /// # Errors
    /// As [`Self::use_identity`].
    pub async fn identities(&self, user_id: Id) -> Result<Vec<LinkedIdentity>, StorageError> {
        const QUERY: &str = "identities";
        let sql = "SELECT issuer, email, created_at, used_at FROM user_identities WHERE user_id = ?1 ORDER BY issuer";
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(LinkedIdentity {
                    issuer: columns.text()?.to_owned(),
                    email: columns.text()?.to_owned(),
                    created_at: columns.timestamp()?,
                    used_at: columns.timestamp()?,
                })
            })
            .collect()
    }

    /// Takes an identity off an account that was read as `user` and has a password. Its sessions end except this one, and roles that it gave.
    /// `false`: there is none of this provider, or the account has changed since.
    ///
    /// # Errors
    /// As [`Self::use_identity`].
    pub async fn remove_identity(
        &self,
        user: &User,
        issuer: &str,
        kept_session: Option<Id>,
    ) -> Result<bool, StorageError> {
        const QUERY: &str = "remove_identity";
        // On PostgreSQL the trigger asks about the account again, once it has locked it.
        let sql = "INSERT INTO identity_removals (user_id, issuer, access_version, kept_session, removed_at)
             SELECT user_identities.user_id, user_identities.issuer, CAST(?3 AS bigint), ?4, now_ms()
             FROM user_identities JOIN users ON users.id = user_identities.user_id
             WHERE user_identities.user_id = ?1 AND user_identities.issuer = ?2
                 AND COALESCE(users.access_version, 0) = ?3 AND users.password_hash IS NOT NULL
             RETURNING user_id";
        let parameters = [user.id.into(), issuer.into(), user.access_version.into(), kept_session.into()];
        Ok(!self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?.is_empty())
    }

    /// The account that an identity opens, after its roles and its verified address were noted. The roles count once a session
    /// of the identity begins. `None`: it opens none yet.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn use_identity(
        &self,
        identity: Identity<'_>,
        verified_email: Option<&str>,
    ) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "use_identity";
        // The account is locked first, as where a link is confirmed.
        let waiting = self.waiting_for_change();
        let sql = format!(
            "UPDATE user_identities SET roles = ?3, email = COALESCE(?4, email), used_at = now_ms()
             WHERE issuer = ?1 AND subject = ?2
               AND EXISTS (SELECT 1 FROM users WHERE users.id = user_identities.user_id {waiting})
             RETURNING user_id"
        );
        let parameters =
            [identity.issuer.into(), identity.subject.into(), identity.roles.join(" ").into(), verified_email.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably().repeatably()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.user(row.columns(QUERY).id()?).await
    }

    /// The roles that an account's identities give, whether a session of theirs is open or not: its person has them as soon as they sign in.
    ///
    /// # Errors
    /// As [`Self::use_identity`].
    pub async fn identity_roles(&self, user_id: Id) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "identity_roles";
        let sql = "SELECT roles FROM user_identities WHERE user_id = ?1";
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let mut roles = Vec::new();
        for row in &rows {
            roles.extend(row.columns(QUERY).text()?.split_whitespace().map(str::to_owned));
        }
        Ok(roles)
    }

    /// Makes an account without a password, which this identity opens. The very first becomes the administrator, who is not invited becomes a
    /// member. `None`: the address or the identity is taken, or nothing entitles to an account.
    ///
    /// # Errors
    /// As [`Self::use_identity`].
    pub async fn create_user_with_identity(
        &self,
        identity: Identity<'_>,
        email: &str,
        name: &str,
        opening: Opening<'_>,
    ) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "open_account_with_identity";
        let (only_first, invitation_hash) = opening.conditions();
        // On PostgreSQL the triggers decide again, when their turn has come.
        let sql = format!(
            "INSERT INTO identity_openings
                 (id, email, name, access_role, only_first, invitation_hash, issuer, subject, roles, created_at)
             SELECT ?1, ?2, ?3,
                 CASE WHEN NOT EXISTS (SELECT 1 FROM users) THEN 'admin'
                     ELSE COALESCE((SELECT role FROM invitations WHERE token_hash = ?5), 'member') END,
                 CAST(?4 AS bigint), ?5, ?6, ?7, ?8, now_ms()
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = ?2)
               AND NOT EXISTS (SELECT 1 FROM user_identities WHERE issuer = ?6 AND subject = ?7)
               AND (NOT EXISTS (SELECT 1 FROM users)
                   OR (CAST(?4 AS bigint) = 0 AND (?5 IS NULL OR EXISTS (
                       SELECT 1 FROM invitations WHERE token_hash = ?5 AND accepted_at IS NULL AND revoked_at IS NULL
                           AND expires_at > now_ms() AND {}))))
             RETURNING id",
            counts("invitations")
        );
        let parameters = [
            Id::new().into(),
            email.into(),
            name.into(),
            only_first.into(),
            invitation_hash.into(),
            identity.issuer.into(),
            identity.subject.into(),
            identity.roles.join(" ").into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.user(row.columns(QUERY).id()?).await
    }
}
