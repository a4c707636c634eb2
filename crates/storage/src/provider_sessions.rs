//! Sessions that began at a provider: how they begin, what the log-out needs to know of them, and how the provider ends them.

use domain::{Id, User};
use vault::Place;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::Columns,
    sealed_texts::{Opener, seal_name},
    sessions::{OF_FAMILY, TokenHashes},
};

/// A session at a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderSession {
    /// The provider.
    pub issuer: String,
    /// Who the person is there.
    pub subject: String,
    /// The session's name there, if the provider says one.
    pub sid: Option<String>,
    /// The ID token, which the provider wants back at the log-out.
    pub hint: Option<String>,
}

impl ProviderSession {
    /// From the columns `issuer`, `subject`, `sid` and `hint`, which is at this place.
    pub(crate) fn read(columns: &mut Columns<'_>, place: Place<'_>, opener: &Opener) -> Result<Self, StorageError> {
        Ok(Self {
            issuer: columns.text()?.to_owned(),
            subject: columns.text()?.to_owned(),
            sid: columns.optional_text()?.map(str::to_owned),
            // What cannot be opened is none: the provider then asks the person whom to log out.
            hint: opener.open_optional(place, columns.optional_text()?)?.filter(|hint| !hint.is_empty()),
        })
    }
}

/// Where the ID token of a session is.
const fn hint_of(session_id: &str) -> Place<'_> {
    Place { table: "provider_sessions", row: session_id, column: "hint" }
}

/// A log-out that a provider announces.
#[derive(Clone, Copy, Debug)]
pub struct ProviderLogout<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// The id of its log-out token, which counts once.
    pub token_id: &'a str,
    /// Whose sessions end.
    pub subject: Option<&'a str>,
    /// Which of them; `None`: all.
    pub sid: Option<&'a str>,
}

impl<D: Database> Store<D> {
    /// Creates a session that begins at a provider, as [`Self::create_session`] does. `false`: the account has changed since, or the provider
    /// has ended its session meanwhile.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn create_provider_session(
        &self,
        session_id: Id,
        user: &User,
        token: &TokenHashes,
        session: &ProviderSession,
        lifetime_ms: i64,
    ) -> Result<bool, StorageError> {
        let waiting = self.waiting_with_others();
        let sql = format!(
            "INSERT INTO provider_session_openings
                 (id, user_id, token_hash, family_hash, created_at, expires_at, issuer, subject, sid, hint)
             SELECT ?1, users.id, ?3, ?4, now_ms(), now_ms() + ?5, ?7, ?8, ?9, ?10 FROM users
             WHERE users.id = ?2 AND COALESCE(users.access_version, 0) = ?6 AND users.suspended_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM provider_logouts WHERE issuer = ?7 AND sid = ?9)
             {waiting} RETURNING id"
        );
        let hint = self.sealed_hint(user.id, hint_of(&session_id.to_string()), session).await?;
        let parameters = [
            session_id.into(),
            user.id.into(),
            token.token.as_str().into(),
            token.family.as_str().into(),
            lifetime_ms.into(),
            user.access_version.into(),
            session.issuer.as_str().into(),
            session.subject.as_str().into(),
            session.sid.as_deref().into(),
            hint,
        ];
        Ok(!self.database.query(Statement::new("create_provider_session", sql, parameters)).await?.is_empty())
    }

    /// The session at the provider, of a session that has not ended, with any of its tokens. `None`: it did not begin at a provider.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn provider_session(
        &self,
        session_id: Id,
        token: &TokenHashes,
    ) -> Result<Option<ProviderSession>, StorageError> {
        const QUERY: &str = "provider_session";
        let sql = format!(
            "SELECT sessions.user_id, provider_sessions.issuer, provider_sessions.subject, provider_sessions.sid, provider_sessions.hint
             FROM provider_sessions JOIN sessions ON sessions.id = provider_sessions.session_id
             WHERE provider_sessions.session_id = ?1 AND sessions.revoked_at IS NULL AND {OF_FAMILY}"
        );
        let parameters = [session_id.into(), token.token.as_str().into(), token.family.as_str().into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        self.read_provider_session(QUERY, session_id, &rows).await
    }

    /// The ID token as it is stored. Without a key for it there is none, and nobody is kept from logging in.
    pub(crate) async fn sealed_hint(
        &self,
        user_id: Id,
        place: Place<'_>,
        session: &ProviderSession,
    ) -> Result<Value, StorageError> {
        let Some(hint) = session.hint.as_deref() else { return Ok(Value::Null) };
        self.data_key_if_usable(user_id).await?.map_or(Ok(Value::Null), |key| seal_name(&key, place, hint))
    }

    /// From a row with the person before the columns of [`ProviderSession::read`].
    async fn read_provider_session(
        &self,
        query: &'static str,
        session_id: Id,
        rows: &[Row],
    ) -> Result<Option<ProviderSession>, StorageError> {
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(query);
        let opener = self.opener_if_usable(columns.id()?, rows).await?;
        ProviderSession::read(&mut columns, hint_of(&session_id.to_string()), &opener).map(Some)
    }

    /// The session at the provider, of a session whose token was verified. `None`: it has ended, or did not begin at a provider.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn provider_session_of(&self, session_id: Id) -> Result<Option<ProviderSession>, StorageError> {
        const QUERY: &str = "provider_session_of";
        let sql = "SELECT sessions.user_id, issuer, subject, sid, hint
                   FROM provider_sessions JOIN sessions ON sessions.id = provider_sessions.session_id WHERE session_id = ?1";
        let rows = self.database.query(Statement::new(QUERY, sql, [session_id.into()])).await?;
        self.read_provider_session(QUERY, session_id, &rows).await
    }

    /// Ends the sessions that a provider names, on all hosts. `false`: this log-out token has been used.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn log_out_by_provider(
        &self,
        logout: ProviderLogout<'_>,
        remembered_ms: i64,
    ) -> Result<bool, StorageError> {
        // On PostgreSQL the trigger decides again about a token that comes twice at once.
        let sql = "INSERT INTO logouts_by_provider (issuer, token_id, subject, sid, received_at, expires_at)
                   SELECT ?1, ?2, ?3, ?4, now_ms(), now_ms() + ?5
                   WHERE NOT EXISTS (SELECT 1 FROM provider_logouts WHERE issuer = ?1 AND token_id = ?2) RETURNING token_id";
        let parameters = [
            logout.issuer.into(),
            logout.token_id.into(),
            logout.subject.into(),
            logout.sid.into(),
            remembered_ms.into(),
        ];
        let statement = Statement::new("log_out_by_provider", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }
}
