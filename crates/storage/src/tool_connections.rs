//! What people have connected to MCP servers elsewhere, and their attempts to. Tokens come and go encrypted; nothing is decrypted here.
//!
//! Of all hosts, one refreshes a token and one asks for a list: both are claimed in one statement, by the database's clock.

use domain::{Id, Timestamp};

use crate::{Database, Row, Statement, StorageError, Store};

/// The connections of one person: more than an installation has servers.
pub const MAX_CONNECTIONS: usize = 64;

/// The names under which the parts of a connection are sealed ([`crate::secrets`]). No secret for a tool has a NUL in its name.
pub mod part {
    /// Where its tokens come from.
    pub const AUTHORITY: &str = "connection\0authority";
    /// The access token.
    pub const ACCESS: &str = "connection\0access";
    /// The refresh token.
    pub const REFRESH: &str = "connection\0refresh";
    /// An attempt to connect.
    pub const ATTEMPT: &str = "connection\0attempt";
}

const COLUMNS: &str =
    "server, url, authority, access_token, refresh_token, scope, version, now_ms() - refreshed_at,
    token_expires_at - CASE WHEN refreshed_at = 0 THEN connected_at ELSE refreshed_at END, token_expires_at - now_ms(),
    CASE WHEN refreshing_until = 0 THEN 0 WHEN refreshing_until > now_ms() THEN 1 ELSE 2 END, problem, listing_version, now_ms() - listed_at,
    connected_at";

/// A person's connection to a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolConnection {
    /// The server.
    pub server: String,
    /// Its address when it was connected.
    pub url: String,
    /// Where its tokens come from, encrypted.
    pub authority: String,
    /// The access token, encrypted.
    pub access_token: String,
    /// The refresh token, encrypted.
    pub refresh_token: Option<String>,
    /// The scopes that were asked for, and those that a call lacked; separated by spaces.
    pub scope: String,
    /// Grows with every new token.
    pub version: i64,
    /// How long ago the tokens were refreshed; very long if they never were.
    pub refreshed_ms_ago: i64,
    /// How long the access token is valid from its beginning. `None`: nobody knows.
    pub lifetime_ms: Option<i64>,
    /// For how long the access token is valid. `None`: nobody knows.
    pub valid_for_ms: Option<i64>,
    /// Whether somebody refreshes the tokens.
    pub refresh: Refresh,
    /// Why it must be connected again, if it must.
    pub problem: Option<ConnectionProblem>,
    /// Grows with every list that is stored ([`Store::connection_listings`]).
    pub listing_version: i64,
    /// How long ago a list was asked for.
    pub listed_ms_ago: i64,
    /// When it was connected.
    pub connected_at: Timestamp,
}

impl ToolConnection {
    /// Why it cannot be used as it is with the server at `url`. A name may be given to another server, and the tokens are none of its business.
    #[must_use]
    pub fn problem_at(&self, url: &str) -> Option<ConnectionProblem> {
        if self.url == url { self.problem } else { Some(ConnectionProblem::Lost) }
    }
}

/// Whether somebody refreshes the tokens of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresh {
    /// Nobody does.
    Idle,
    /// Somebody does.
    Running,
    /// Whoever did has not ended it in time.
    RanOut,
}

/// Why a connection must be made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionProblem {
    /// Its tokens are no longer taken.
    Lost,
    /// A call needs more than it allows; the rest still works.
    MoreAccess,
}

impl ConnectionProblem {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::MoreAccess => "more_access",
        }
    }
}

/// A new connection.
#[derive(Clone, Copy, Debug)]
pub struct NewConnection<'a> {
    /// The server.
    pub server: &'a str,
    /// Its address.
    pub url: &'a str,
    /// Where its tokens come from, encrypted.
    pub authority: &'a str,
    /// Its tokens.
    pub tokens: NewTokens<'a>,
    /// The scopes that it has.
    pub scope: &'a str,
}

/// New tokens, encrypted.
#[derive(Clone, Copy, Debug)]
pub struct NewTokens<'a> {
    /// The access token.
    pub access: &'a str,
    /// The refresh token. `None`: the previous one stays, if there is one.
    pub refresh: Option<&'a str>,
    /// For how long the access token is valid.
    pub valid_for_ms: Option<i64>,
}

/// A claim to refresh tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshClaim {
    /// The version of the tokens.
    pub version: i64,
    /// Its end by the database's clock, which no other claim of this version has that could be taken for it.
    until: i64,
}

/// An attempt to connect.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// The server.
    pub server: &'a str,
    /// The session in which it was begun.
    pub session_id: Id,
    /// The hash of what comes back with the code.
    pub state_hash: &'a str,
    /// The hash of the cookie of the browser that began.
    pub proof_hash: &'a str,
    /// What is needed then, encrypted.
    pub attempt: &'a str,
}

/// An attempt whose person has come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionAttempt {
    /// Whose it is.
    pub user_id: Id,
    /// What was kept of it, encrypted.
    pub attempt: String,
}

impl<D: Database> Store<D> {
    /// All connections of a person, by server.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn tool_connections(&self, user_id: Id) -> Result<Vec<ToolConnection>, StorageError> {
        const QUERY: &str = "tool_connections";
        let sql = format!(
            "SELECT {COLUMNS} FROM tool_connections WHERE user_id = ?1 ORDER BY server LIMIT {MAX_CONNECTIONS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// A person's connection to a server.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn tool_connection(&self, user_id: Id, server: &str) -> Result<Option<ToolConnection>, StorageError> {
        const QUERY: &str = "tool_connection";
        let sql = format!("SELECT {COLUMNS} FROM tool_connections WHERE user_id = ?1 AND server = ?2");
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into(), server.into()])).await?;
        rows.first().map(|row| read(QUERY, row)).transpose()
    }

    /// Stores a connection, instead of the person's previous one to this server. The previous list stays until there is a new one. `false`: there are
    /// [`MAX_CONNECTIONS`] already.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn set_tool_connection(&self, user_id: Id, new: &NewConnection<'_>) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO tool_connections (user_id, server, url, authority, access_token, refresh_token, scope, version, refreshed_at,
                 token_expires_at, refreshing_until, listing_version, listed_at, connected_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, now_ms(), 0, now_ms() + CAST(?8 AS bigint), 0, 0, 0, now_ms()
             WHERE EXISTS (SELECT 1 FROM tool_connections WHERE user_id = ?1 AND server = ?2)
                OR (SELECT COUNT(*) FROM tool_connections WHERE user_id = ?1) < {MAX_CONNECTIONS}
             ON CONFLICT (user_id, server) DO UPDATE SET url = excluded.url, authority = excluded.authority,
                 access_token = excluded.access_token, refresh_token = excluded.refresh_token, scope = excluded.scope,
                 version = tool_connections.version + 1, refreshed_at = 0, token_expires_at = excluded.token_expires_at, refreshing_until = 0, problem = NULL,
                 listed_at = 0, connected_at = excluded.connected_at
             RETURNING server"
        );
        let NewConnection { server, url, authority, tokens, scope } = *new;
        let parameters = [
            user_id.into(),
            server.into(),
            url.into(),
            authority.into(),
            tokens.access.into(),
            tokens.refresh.into(),
            scope.into(),
            tokens.valid_for_ms.into(),
        ];
        let statement = Statement::new("set_tool_connection", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Claims to refresh the tokens of this version, for `for_ms` milliseconds or until they are replaced. Of all who try, one gets the claim.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn claim_token_refresh(
        &self,
        user_id: Id,
        server: &str,
        version: i64,
        for_ms: i64,
    ) -> Result<Option<RefreshClaim>, StorageError> {
        const QUERY: &str = "claim_token_refresh";
        let sql = "UPDATE tool_connections SET refreshing_until = now_ms() + ?4
                   WHERE user_id = ?1 AND server = ?2 AND version = ?3 AND refreshing_until <= now_ms() RETURNING refreshing_until";
        let parameters = [user_id.into(), server.into(), version.into(), for_ms.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let until = rows.first().map(|row| row.columns(QUERY).integer()).transpose()?;
        Ok(until.map(|until| RefreshClaim { version, until }))
    }

    /// Replaces the tokens of a claim's version, also after the claim has run out: the old ones may be used up. `false`: they were replaced meanwhile,
    /// perhaps by these, or the connection is gone.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn set_refreshed_tokens(
        &self,
        user_id: Id,
        server: &str,
        claim: RefreshClaim,
        new: NewTokens<'_>,
    ) -> Result<bool, StorageError> {
        let sql = "UPDATE tool_connections SET access_token = ?4, refresh_token = COALESCE(?5, refresh_token), refreshed_at = now_ms(),
                       token_expires_at = now_ms() + CAST(?6 AS bigint), version = version + 1, refreshing_until = 0,
                       problem = CASE WHEN problem = 'lost' THEN NULL ELSE problem END
                   WHERE user_id = ?1 AND server = ?2 AND version = ?3 RETURNING server";
        let NewTokens { access, refresh, valid_for_ms } = new;
        let parameters =
            [user_id.into(), server.into(), claim.version.into(), access.into(), refresh.into(), valid_for_ms.into()];
        let statement = Statement::new("set_refreshed_tokens", sql, parameters).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Ends a claim and leaves the tokens. Somebody else's claim is left alone.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn end_token_refresh(&self, user_id: Id, server: &str, claim: RefreshClaim) -> Result<(), StorageError> {
        let sql = "UPDATE tool_connections SET refreshing_until = 0
                   WHERE user_id = ?1 AND server = ?2 AND version = ?3 AND refreshing_until = ?4";
        let parameters = [user_id.into(), server.into(), claim.version.into(), claim.until.into()];
        self.database.query(Statement::new("end_token_refresh", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Notes that the tokens of this version are not enough. `scope` is what is to be asked for when it is connected again, if it is more access. What is
    /// lost stays lost, and keeps its scopes.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn set_connection_problem(
        &self,
        user_id: Id,
        server: &str,
        version: i64,
        problem: ConnectionProblem,
        scope: &str,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE tool_connections SET problem = CASE WHEN problem = 'lost' THEN problem ELSE ?4 END,
                       scope = CASE WHEN ?4 = 'lost' OR problem = 'lost' THEN scope ELSE ?5 END
                   WHERE user_id = ?1 AND server = ?2 AND version = ?3";
        let parameters = [user_id.into(), server.into(), version.into(), problem.as_str().into(), scope.into()];
        self.database.query(Statement::new("set_connection_problem", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Claims to ask for a person's list that is older than `age_ms`. Of all who try, one gets `true`.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn claim_connection_listing(&self, user_id: Id, server: &str, age_ms: i64) -> Result<bool, StorageError> {
        let sql = "UPDATE tool_connections SET listed_at = now_ms()
                   WHERE user_id = ?1 AND server = ?2 AND listed_at <= now_ms() - ?3 RETURNING server";
        let parameters = [user_id.into(), server.into(), age_ms.into()];
        Ok(!self.database.query(Statement::new("claim_connection_listing", sql, parameters)).await?.is_empty())
    }

    /// Stores a person's list of a server, and what of it their model may be told. It counts as `age_ms` old: what could not be asked for is asked for
    /// again sooner. Nothing is stored if the server was connected anew since `connection` was read: the list may be that of another account.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn set_connection_listing(
        &self,
        user_id: Id,
        connection: &ToolConnection,
        listing: &str,
        offers: &str,
        age_ms: i64,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE tool_connections SET listing = ?3, offers = ?4, listed_at = now_ms() - ?5, listing_version = listing_version + 1
                   WHERE user_id = ?1 AND server = ?2 AND connected_at = ?6";
        let ToolConnection { server, connected_at, .. } = connection;
        let parameters = [
            user_id.into(),
            server.as_str().into(),
            listing.into(),
            offers.into(),
            age_ms.into(),
            connected_at.as_millis().into(),
        ];
        self.database.query(Statement::new("set_connection_listing", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// The lists that servers have for a person, as they were stored, by server.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn connection_listings(&self, user_id: Id) -> Result<Vec<(String, String)>, StorageError> {
        const QUERY: &str = "connection_listings";
        let sql = format!(
            "SELECT server, listing FROM tool_connections WHERE user_id = ?1 AND listing IS NOT NULL ORDER BY server LIMIT {MAX_CONNECTIONS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok((columns.text()?.to_owned(), columns.text()?.to_owned()))
        };
        rows.iter().map(read).collect()
    }

    /// Forgets a person's connection and returns it.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn delete_tool_connection(
        &self,
        user_id: Id,
        server: &str,
    ) -> Result<Option<ToolConnection>, StorageError> {
        const QUERY: &str = "delete_tool_connection";
        let sql = format!("DELETE FROM tool_connections WHERE user_id = ?1 AND server = ?2 RETURNING {COLUMNS}");
        let statement = Statement::new(QUERY, sql, [user_id.into(), server.into()]).durably();
        let rows = self.database.query(statement).await?;
        rows.first().map(|row| read(QUERY, row)).transpose()
    }

    /// Stores an attempt to connect, which can be taken for `for_ms` milliseconds, instead of the person's previous one at this server.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn begin_connection(&self, user_id: Id, new: &NewAttempt<'_>, for_ms: i64) -> Result<(), StorageError> {
        let sql = "INSERT INTO tool_connection_attempts (user_id, server, session_id, state_hash, proof_hash, attempt, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, now_ms() + ?7)
                   ON CONFLICT (user_id, server) DO UPDATE SET session_id = excluded.session_id, state_hash = excluded.state_hash,
                       proof_hash = excluded.proof_hash, attempt = excluded.attempt, expires_at = excluded.expires_at";
        let NewAttempt { server, session_id, state_hash, proof_hash, attempt } = *new;
        let parameters = [
            user_id.into(),
            server.into(),
            session_id.into(),
            state_hash.into(),
            proof_hash.into(),
            attempt.into(),
            for_ms.into(),
        ];
        self.database.query(Statement::new("begin_connection", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Takes an attempt, so that nobody can take it again. `None`: there is none of this server with these hashes, it is too old, or the session in which it was begun
    /// has ended.
    ///
    /// # Errors
    /// As [`Self::tool_connections`].
    pub async fn take_connection_attempt(
        &self,
        server: &str,
        state_hash: &str,
        proof_hash: &str,
    ) -> Result<Option<ConnectionAttempt>, StorageError> {
        const QUERY: &str = "take_connection_attempt";
        let sql =
            "DELETE FROM tool_connection_attempts WHERE state_hash = ?1 AND proof_hash = ?2 AND server = ?3 AND expires_at > now_ms()
                       AND EXISTS (SELECT 1 FROM sessions WHERE sessions.id = tool_connection_attempts.session_id
                           AND revoked_at IS NULL AND sessions.expires_at > now_ms())
                   RETURNING user_id, attempt";
        let rows = self
            .database
            .query(Statement::new(QUERY, sql, [state_hash.into(), proof_hash.into(), server.into()]))
            .await?;
        rows.first()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                let user_id = columns.id()?;
                Ok(ConnectionAttempt { user_id, attempt: columns.text()?.to_owned() })
            })
            .transpose()
    }
}

fn read(query: &'static str, row: &Row) -> Result<ToolConnection, StorageError> {
    let mut columns = row.columns(query);
    Ok(ToolConnection {
        server: columns.text()?.to_owned(),
        url: columns.text()?.to_owned(),
        authority: columns.text()?.to_owned(),
        access_token: columns.text()?.to_owned(),
        refresh_token: columns.optional_text()?.map(str::to_owned),
        scope: columns.text()?.to_owned(),
        version: columns.integer()?,
        refreshed_ms_ago: columns.integer()?,
        lifetime_ms: columns.optional_integer()?,
        valid_for_ms: columns.optional_integer()?,
        refresh: match columns.integer()? {
            0 => Refresh::Idle,
            1 => Refresh::Running,
            _ => Refresh::RanOut,
        },
        problem: columns.optional_text()?.map(|problem| {
            if problem == ConnectionProblem::MoreAccess.as_str() {
                ConnectionProblem::MoreAccess
            } else {
                ConnectionProblem::Lost
            }
        }),
        listing_version: columns.integer()?,
        listed_ms_ago: columns.integer()?,
        connected_at: columns.timestamp()?,
    })
}
