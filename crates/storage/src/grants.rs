//! Grants: sessions of programs that people let in (OAuth 2.1). They are rows of `sessions`, so they end like these: one by one, with a suspension,
//! with a new password. `sessions.rs` refreshes them.

use domain::{Id, Timestamp, User};
use vault::Place;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::{Columns, after_page},
    sealed_texts::seal_name,
    sessions::TokenHashes,
};

/// How long a grant that has ended is kept: longer than any of its tokens is valid, so that every instance learns of its end.
const KEPT_ENDED_MS: i64 = 24 * 60 * 60 * 1000;

/// What a program is let in for, and what its code is bound to.
#[derive(Clone, Copy, Debug)]
pub struct NewGrant<'a> {
    /// What the program calls itself: the address of its metadata document, or its registration.
    pub client_id: &'a str,
    /// Its name, as the person saw it.
    pub client_name: &'a str,
    /// Where the code was sent.
    pub redirect_uri: &'a str,
    /// PKCE, RFC 7636 section 4.2.
    pub code_challenge: &'a str,
    /// The path that its tokens open.
    pub resource: &'a str,
    /// Permissions, separated by spaces.
    pub scopes: &'a str,
}

/// What must come with a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeBinding<'a> {
    /// As in [`NewGrant`], like the rest.
    pub client_id: &'a str,
    /// Where the code was sent. It need not come again (OAuth 2.1, section 10.2): the verifier proves that the program is the one that asked.
    pub redirect_uri: Option<&'a str>,
    /// What the sent verifier gives.
    pub code_challenge: &'a str,
    /// The path that the tokens are to open; `None`: the one that was granted.
    pub resource: Option<&'a str>,
}

/// What a program may do, and with which tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantTerms {
    /// As in [`NewGrant`], like the rest.
    pub client_id: String,
    /// The path that its tokens open.
    pub resource: String,
    /// Permissions, separated by spaces.
    pub scopes: String,
}

/// A grant, as its person sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Its id.
    pub id: Id,
    /// As in [`NewGrant`], like the next two.
    pub client_name: String,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// Permissions, separated by spaces.
    pub scopes: String,
    /// When the person let the program in.
    pub created_at: Timestamp,
    /// When the program was last given tokens.
    pub used_at: Timestamp,
    /// When it ends, unless it is used before.
    pub expires_at: Timestamp,
}

/// Where the name of a grant's program is.
pub(crate) const fn client_name_of(id: &str) -> Place<'_> {
    Place { table: "sessions", row: id, column: "client_name" }
}

fn read_terms(columns: &mut Columns<'_>) -> Result<GrantTerms, StorageError> {
    Ok(GrantTerms {
        client_id: columns.text()?.to_owned(),
        resource: columns.text()?.to_owned(),
        scopes: columns.text()?.to_owned(),
    })
}

impl<D: Database> Store<D> {
    /// Creates a grant with its code for an account that was read with this version of its access. `false`: the account has changed since.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn create_grant(
        &self,
        session_id: Id,
        (user_id, access_version): (Id, i64),
        code: &TokenHashes,
        grant: NewGrant<'_>,
        code_lifetime_ms: i64,
    ) -> Result<bool, StorageError> {
        let waiting = self.waiting_with_others();
        let sql = format!(
            "INSERT INTO sessions (id, user_id, token_hash, family_hash, created_at, expires_at,
                 client_id, client_name, redirect_uri, code_challenge, resource, scopes)
             SELECT ?1, users.id, ?3, ?4, now_ms(), now_ms() + ?5, ?7, ?8, ?9, ?10, ?11, ?12 FROM users
             WHERE users.id = ?2 AND COALESCE(users.access_version, 0) = ?6 AND users.suspended_at IS NULL {waiting} RETURNING id"
        );
        let place = session_id.to_string();
        let client_name = seal_name(&*self.data_key(user_id).await?, client_name_of(&place), grant.client_name)?;
        let parameters = [
            session_id.into(),
            user_id.into(),
            code.token.as_str().into(),
            code.family.as_str().into(),
            code_lifetime_ms.into(),
            access_version.into(),
            grant.client_id.into(),
            client_name,
            grant.redirect_uri.into(),
            grant.code_challenge.into(),
            grant.resource.into(),
            grant.scopes.into(),
        ];
        Ok(!self.database.query(Statement::new("create_grant", sql, parameters).durably()).await?.is_empty())
    }

    /// Deletes the grants of an account that ended long ago.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_ended_grants(&self, user_id: Id) -> Result<(), StorageError> {
        let sql = format!(
            "DELETE FROM sessions WHERE user_id = ?1 AND client_id IS NOT NULL
             AND (expires_at < now_ms() - {KEPT_ENDED_MS} OR revoked_at < now_ms() - {KEPT_ENDED_MS})"
        );
        self.database.query(Statement::new("forget_ended_grants", sql, [user_id.into()]).repeatably()).await?;
        Ok(())
    }

    /// Exchanges a code for the first refresh token, once. A code that comes again, or with something else than it is bound to, ends the grant: it
    /// may have been stolen (OAuth 2.1, section 4.1.3). Whose it is and what its program may do; `None`: nothing was given out.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn redeem_code(
        &self,
        session_id: Id,
        code: &TokenHashes,
        bound: CodeBinding<'_>,
        successor_hash: &str,
        lifetime_ms: i64,
    ) -> Result<Option<(User, GrantTerms)>, StorageError> {
        const QUERY: &str = "redeem_code";
        let good =
            "token_hash = ?2 AND rotated_at IS NULL AND client_id = ?6 AND redirect_uri = COALESCE(?7, redirect_uri)
            AND code_challenge = ?8 AND resource = COALESCE(?9, resource)";
        let sql = format!(
            "UPDATE sessions SET
                 revoked_at = CASE WHEN {good} THEN NULL ELSE now_ms() END,
                 expires_at = CASE WHEN {good} THEN now_ms() + ?5 ELSE expires_at END,
                 rotated_at = CASE WHEN {good} THEN now_ms() ELSE rotated_at END,
                 previous_hash = CASE WHEN {good} THEN ?2 ELSE previous_hash END,
                 token_hash = CASE WHEN {good} THEN ?4 ELSE token_hash END
             WHERE id = ?1 AND revoked_at IS NULL AND expires_at > now_ms() AND client_id IS NOT NULL AND family_hash = ?3
             RETURNING user_id, revoked_at, client_id, resource, scopes"
        );
        let parameters = [
            session_id.into(),
            code.token.as_str().into(),
            code.family.as_str().into(),
            successor_hash.into(),
            lifetime_ms.into(),
            bound.client_id.into(),
            bound.redirect_uri.into(),
            bound.code_challenge.into(),
            bound.resource.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let user_id = columns.id()?;
        if columns.optional_integer()?.is_some() {
            return Ok(None);
        }
        let terms = read_terms(&mut columns)?;
        Ok(self.user(user_id).await?.map(|user| (user, terms)))
    }

    /// What the program of a grant may do, for one of its tokens. `None`: there is no such grant, or the token is not one of its.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn grant_terms(&self, session_id: Id, token: &TokenHashes) -> Result<Option<GrantTerms>, StorageError> {
        const QUERY: &str = "grant_terms";
        let sql = "SELECT client_id, resource, scopes FROM sessions WHERE id = ?1 AND client_id IS NOT NULL AND family_hash = ?2";
        let parameters = [session_id.into(), token.family.as_str().into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.first().map(|row| read_terms(&mut row.columns(QUERY))).transpose()
    }

    /// The grants of a person that have not ended and whose codes were used, the newest first, before the one at which the page before ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn grants(&self, user_id: Id, before: Option<Id>, limit: u32) -> Result<Vec<Grant>, StorageError> {
        const QUERY: &str = "grants";
        let mut parameters: Vec<Value> = vec![user_id.into()];
        let place = after_page("id", before, &mut parameters);
        let sql = format!(
            "SELECT id, client_name, redirect_uri, scopes, created_at, rotated_at, expires_at FROM sessions
             WHERE user_id = ?1 AND client_id IS NOT NULL AND rotated_at IS NOT NULL AND revoked_at IS NULL
               AND expires_at > now_ms() {place}
             ORDER BY id DESC LIMIT {limit}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener_if_usable(user_id, &rows).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            let id = columns.id()?;
            Ok(Grant {
                id,
                client_name: opener.open(client_name_of(&id.to_string()), columns.text()?)?,
                redirect_uri: columns.text()?.to_owned(),
                scopes: columns.text()?.to_owned(),
                created_at: columns.timestamp()?,
                used_at: columns.timestamp()?,
                expires_at: columns.timestamp()?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Ends a grant of a person. `false`: there is no such one, or it has ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_grant(&self, user_id: Id, session_id: Id) -> Result<bool, StorageError> {
        let sql = "UPDATE sessions SET revoked_at = now_ms()
                   WHERE id = ?1 AND user_id = ?2 AND client_id IS NOT NULL AND revoked_at IS NULL RETURNING id";
        let statement = Statement::new("end_grant", sql, [session_id.into(), user_id.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }
}
