//! Sessions: families of refresh tokens. Only the newest token of a family works, and for a moment the one before it.

use domain::{Id, Timestamp, User};

use crate::{
    Database, Dialect, Row, Statement, StorageError, Store, Value, database::after_page, grants::client_name_of,
    sealed_texts::NO_KEY,
};

/// The stored hashes of a refresh token.
#[derive(Clone, Debug)]
pub struct TokenHashes {
    /// The hash of the whole secret.
    pub token: String,
    /// The hash of the part that all tokens of a session share.
    pub family: String,
}

/// The lifetimes of refresh tokens.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A session that is not refreshed for this long ends.
    pub session_ms: i64,
    /// How long a used token still works. A response may be lost, and several requests may refresh at once.
    pub grace_ms: i64,
}

/// How long a session is kept after its time is over: longer than a browser keeps its cookie, so that who comes back late is told why.
const KEPT_OVER_MS: i64 = 8 * 24 * 60 * 60 * 1000;
/// Sessions that go at once. Whoever looks, which is every instance of `auth` once a minute, goes on until there are no more.
const FORGOTTEN_AT_ONCE: u32 = 100;

/// The result of presenting a refresh token.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// Its successor is now the newest token, or already was.
    Rotated {
        /// Whose it is.
        user: User,
        /// The place of that successor among those that were given.
        successor: usize,
    },
    /// The token was used too long ago. It may have been stolen, so the session has ended.
    Reused,
    /// The session had ended before.
    Ended,
    /// The session was not refreshed in time.
    Expired,
    /// There is no such session, or the token does not belong to it.
    Unknown,
}

/// A session that has not ended, as administrators see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenSession {
    /// Its id.
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// Their address.
    pub email: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub used_at: Timestamp,
    /// When it ends, unless it is refreshed before.
    pub expires_at: Timestamp,
    /// The program whose session it is; `None`: a browser's.
    pub client_name: Option<String>,
}

/// The SQL condition for a token that belongs to the row's session. Rows of earlier releases have no family; for them, the session's id must be
/// enough.
pub(crate) const OF_FAMILY: &str = "(token_hash = ?2 OR previous_hash = ?2 OR family_hash = ?3 OR family_hash IS NULL)";

impl<D: Database> Store<D> {
    /// Creates a session for an account that was read as `user`. `false`: the account has changed since. Checking a password takes long, and meanwhile
    /// the password may be reset or the account suspended: that ends the sessions that exist, so none may come after it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn create_session(
        &self,
        session_id: Id,
        user: &User,
        token: &TokenHashes,
        lifetime_ms: i64,
    ) -> Result<bool, StorageError> {
        let waiting = self.waiting_with_others();
        let sql = format!(
            "INSERT INTO sessions (id, user_id, token_hash, family_hash, created_at, expires_at)
             SELECT ?1, users.id, ?3, ?4, now_ms(), now_ms() + ?5 FROM users
             WHERE users.id = ?2 AND COALESCE(users.access_version, 0) = ?6 AND users.suspended_at IS NULL {waiting} RETURNING id"
        );
        let TokenHashes { token, family } = token;
        let parameters = [
            session_id.into(),
            user.id.into(),
            token.as_str().into(),
            family.as_str().into(),
            lifetime_ms.into(),
            user.access_version.into(),
        ];
        Ok(!self.database.query(Statement::new("create_session", sql, parameters)).await?.is_empty())
    }

    /// Replaces a refresh token with its successor, the first of these, or ends the session if the token was used too long ago. It is one statement, so
    /// concurrent requests at any host get the same result. The other successors are those of keys that signed before: a token that was replaced
    /// with one of them a moment ago still gives that one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rotate_session(
        &self,
        session_id: Id,
        token: &TokenHashes,
        successor_hashes: &[String],
        lifetimes: Lifetimes,
    ) -> Result<Rotation, StorageError> {
        const QUERY: &str = "rotate_session";
        let (Some(successor), others) = (successor_hashes.first(), successor_hashes.get(1..).unwrap_or_default())
        else {
            return Ok(Rotation::Unknown);
        };
        let others_at: String = (0..others.len()).map(|index| format!(", ?{}", index + 7)).collect();
        // The successor must still be the newest: another release may have stored another token.
        let good = format!(
            "token_hash = ?2 OR (previous_hash = ?2 AND token_hash IN (?4{others_at}) AND rotated_at > now_ms() - ?6)"
        );
        let sql = format!(
            "UPDATE sessions SET
                 revoked_at = CASE WHEN {good} THEN NULL ELSE now_ms() END,
                 expires_at = CASE WHEN {good} THEN now_ms() + ?5 ELSE expires_at END,
                 rotated_at = CASE WHEN token_hash = ?2 THEN now_ms() ELSE rotated_at END,
                 family_hash = CASE WHEN {good} THEN ?3 ELSE family_hash END,
                 previous_hash = CASE WHEN {good} THEN ?2 ELSE previous_hash END,
                 token_hash = CASE WHEN token_hash = ?2 THEN ?4 ELSE token_hash END
             WHERE id = ?1 AND revoked_at IS NULL AND expires_at > now_ms() AND {OF_FAMILY}
             RETURNING user_id, revoked_at, token_hash"
        );
        let mut parameters = vec![
            session_id.into(),
            token.token.as_str().into(),
            token.family.as_str().into(),
            successor.as_str().into(),
            lifetimes.session_ms.into(),
            lifetimes.grace_ms.into(),
        ];
        parameters.extend(others.iter().map(|hash| hash.as_str().into()));
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        let Some(row) = rows.first() else { return self.why_not(session_id, token).await };
        let mut columns = row.columns(QUERY);
        let user_id = columns.id()?;
        if columns.optional_integer()?.is_some() {
            return Ok(Rotation::Reused);
        }
        let token_hash = columns.text()?;
        let successor = successor_hashes.iter().position(|hash| hash == token_hash).unwrap_or_default();
        Ok(self.user(user_id).await?.map_or(Rotation::Unknown, |user| Rotation::Rotated { user, successor }))
    }

    /// Why a token was not replaced.
    async fn why_not(&self, session_id: Id, token: &TokenHashes) -> Result<Rotation, StorageError> {
        const QUERY: &str = "why_not_rotated";
        let sql = format!("SELECT revoked_at FROM sessions WHERE id = ?1 AND {OF_FAMILY}");
        let parameters = [session_id.into(), token.token.as_str().into(), token.family.as_str().into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let Some(row) = rows.first() else { return Ok(Rotation::Unknown) };
        let revoked = row.columns(QUERY).optional_integer()?.is_some();
        Ok(if revoked { Rotation::Ended } else { Rotation::Expired })
    }

    /// Ends a session, with any of its tokens, and returns whose it was. A session that has ended is not changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_session(&self, session_id: Id, token: &TokenHashes) -> Result<Option<Id>, StorageError> {
        const QUERY: &str = "end_session";
        let sql = format!(
            "UPDATE sessions SET revoked_at = now_ms() WHERE id = ?1 AND revoked_at IS NULL AND {OF_FAMILY} RETURNING user_id"
        );
        let parameters = [session_id.into(), token.token.as_str().into(), token.family.as_str().into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably().repeatably()).await?;
        rows.first().map(|row| row.columns(QUERY).id()).transpose()
    }

    /// Deletes a few of the sessions, of anybody, whose time was over long ago. `false`: there are no more of them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_old_sessions(&self) -> Result<bool, StorageError> {
        // Two that do this at once do not wait for each other.
        let skip = if self.database.dialect() == Dialect::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < now_ms() - {KEPT_OVER_MS}
                 ORDER BY expires_at LIMIT {FORGOTTEN_AT_ONCE} {skip}) RETURNING 1"
        );
        let rows = self.database.query(Statement::new("forget_old_sessions", sql, []).repeatably()).await?;
        Ok(!rows.is_empty())
    }

    /// Sessions that have not ended, the newest first, before the one at which the page before ended: of one person, or of all.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn open_sessions(
        &self,
        user_id: Option<Id>,
        before: Option<Id>,
        limit: u32,
    ) -> Result<Vec<OpenSession>, StorageError> {
        const QUERY: &str = "open_sessions";
        let mut parameters: Vec<Value> = user_id.map(Value::from).into_iter().collect();
        let whose = if user_id.is_some() { "AND sessions.user_id = ?1" } else { "" };
        let place = after_page("sessions.id", before, &mut parameters);
        let sql = format!(
            "SELECT sessions.id, users.id, users.email, sessions.created_at,
                 COALESCE(sessions.rotated_at, sessions.created_at), sessions.expires_at, sessions.client_name
             FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE sessions.revoked_at IS NULL AND sessions.expires_at > now_ms() {whose} {place}
             ORDER BY sessions.id DESC LIMIT {limit}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok(OpenSession {
                id: columns.id()?,
                user_id: columns.id()?,
                email: columns.text()?.to_owned(),
                created_at: columns.timestamp()?,
                used_at: columns.timestamp()?,
                expires_at: columns.timestamp()?,
                client_name: columns.optional_text()?.map(str::to_owned),
            })
        };
        let mut sessions = rows.iter().map(read).collect::<Result<Vec<OpenSession>, StorageError>>()?;
        let openers = self.openers(sessions.iter().map(|session| session.user_id), &rows).await?;
        for session in &mut sessions {
            let opener = openers.get(&session.user_id).unwrap_or(&NO_KEY);
            let id = session.id.to_string();
            session.client_name = opener.open_optional(client_name_of(&id), session.client_name.as_deref())?;
        }
        Ok(sessions)
    }

    /// Ends somebody's session. Whose it was; `None`: there is no such session, or it has ended.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn end_session_of_anybody(&self, session_id: Id) -> Result<Option<Id>, StorageError> {
        const QUERY: &str = "end_session_of_anybody";
        let sql = "UPDATE sessions SET revoked_at = now_ms() WHERE id = ?1 AND revoked_at IS NULL RETURNING user_id";
        let rows = self.database.query(Statement::new(QUERY, sql, [session_id.into()]).durably()).await?;
        rows.first().map(|row| row.columns(QUERY).id()).transpose()
    }
}
