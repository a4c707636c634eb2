//! API keys, of which only hashes are kept, and the accounts that are programs' alone.

use domain::{Id, Timestamp, User};
use vault::Place;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::{after_page, places},
    invitations::Maker,
    limits::LimitKind,
    sealed_texts::{Opener, seal_name},
    users::{GROUP_ROLES, ROLE, WITH_GROUPS, columns, read_users},
};

/// Keys that an account can have at once: one for each of its programs, with room while they are changed.
pub const MAX_KEYS: u32 = 50;

/// The use of a key is stored when it is a minute later than the one stored before.
const USE_PRECISION_MS: u32 = 60_000;

/// A key to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewApiKey<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// The first characters, which are shown.
    pub prefix: &'a str,
    /// The hash of the whole key.
    pub hash: &'a str,
    /// Permissions, separated by spaces.
    pub scopes: &'a str,
    /// When it ends; `None`: when it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// A key, as its owner sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Its id.
    pub id: Id,
    /// As in [`NewApiKey`], like the next two.
    pub name: String,
    /// The first characters.
    pub prefix: String,
    /// Permissions, separated by spaces.
    pub scopes: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends or has ended.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

/// What somebody has who sends a key.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    /// The account for which the key acts.
    pub user: User,
    /// The key.
    pub key_id: Id,
    /// Its scopes, separated by spaces.
    pub scopes: String,
    /// Requests of it in a minute, if that is set for it; 0: no limit.
    pub requests_per_minute: Option<u32>,
    /// Whether this use is to be stored ([`Store::note_key_uses`]).
    pub should_record_use: bool,
}

/// An account that is a program's alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceAccount {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// Whether it may not be used.
    pub is_suspended: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "api_keys.id, api_keys.name, api_keys.prefix, api_keys.scopes, api_keys.created_at, api_keys.expires_at, api_keys.used_at";

/// Where a key's name is.
pub(crate) const fn name_of(id: &str) -> Place<'_> {
    Place { table: "api_keys", row: id, column: "name" }
}

fn read(query: &'static str, row: &Row, opener: &Opener) -> Result<ApiKey, StorageError> {
    let mut columns = row.columns(query);
    let id = columns.id()?;
    Ok(ApiKey {
        id,
        name: opener.open(name_of(&id.to_string()), columns.text()?)?,
        prefix: columns.text()?.to_owned(),
        scopes: columns.text()?.to_owned(),
        created_at: columns.timestamp()?,
        expires_at: columns.optional_integer()?.map(Timestamp::from_millis),
        used_at: columns.optional_integer()?.map(Timestamp::from_millis),
    })
}

/// The columns of [`read_account`].
fn account_columns() -> String {
    format!("users.id, users.name, {ROLE}, CASE WHEN users.suspended_at IS NULL THEN 0 ELSE 1 END, users.created_at")
}

fn read_account(query: &'static str, row: &Row) -> Result<ServiceAccount, StorageError> {
    let mut columns = row.columns(query);
    Ok(ServiceAccount {
        id: columns.id()?,
        name: columns.text()?.to_owned(),
        role: columns.text()?.to_owned(),
        is_suspended: columns.flag()?,
        created_at: columns.timestamp()?,
    })
}

impl<D: Database> Store<D> {
    /// Makes a key for an account. `None`: the account has [`MAX_KEYS`] keys or is gone, or the maker's access has changed meanwhile.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn create_api_key(
        &self,
        user_id: Id,
        key: NewApiKey<'_>,
        maker: Maker,
    ) -> Result<Option<ApiKey>, StorageError> {
        const QUERY: &str = "create_api_key";
        // It waits for another key, too: the trigger `limit_api_keys` counts then.
        let waiting = self.waiting_for_change();
        let sql = format!(
            "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, created_at, expires_at)
             SELECT ?1, users.id, ?3, ?4, ?5, ?6, now_ms(), CAST(?7 AS bigint) FROM users, users AS maker
             WHERE users.id = ?2 AND maker.id = ?8 AND maker.suspended_at IS NULL AND COALESCE(maker.access_version, 0) = ?9
               AND (SELECT COUNT(*) FROM api_keys WHERE user_id = ?2) < {MAX_KEYS} {waiting}
             RETURNING {COLUMNS}"
        );
        let id = Id::new();
        let name = seal_name(&*self.data_key(user_id).await?, name_of(&id.to_string()), key.name)?;
        let parameters = [
            id.into(),
            user_id.into(),
            name,
            key.prefix.into(),
            key.hash.into(),
            key.scopes.into(),
            key.expires_at.map(Timestamp::as_millis).into(),
            maker.user_id.into(),
            maker.access_version.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        let opener = self.opener_if_usable(user_id, &rows).await?;
        rows.first().map(|row| read(QUERY, row, &opener)).transpose()
    }

    /// The keys of an account, the newest first. There are at most [`MAX_KEYS`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn api_keys(&self, user_id: Id) -> Result<Vec<ApiKey>, StorageError> {
        const QUERY: &str = "api_keys";
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE user_id = ?1 ORDER BY id DESC LIMIT {MAX_KEYS}");
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let opener = self.opener_if_usable(user_id, &rows).await?;
        rows.iter().map(|row| read(QUERY, row, &opener)).collect()
    }

    /// Deletes a key of an account: nobody gets in with it any more. `false`: there is no such key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn revoke_api_key(&self, user_id: Id, key_id: Id) -> Result<bool, StorageError> {
        let sql = "DELETE FROM api_keys WHERE user_id = ?1 AND id = ?2 RETURNING id";
        let statement = Statement::new("revoke_api_key", sql, [user_id.into(), key_id.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Who has a key, by its hash. `None`: there is no such key, it has expired, or its account is suspended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn key_holder(&self, key_hash: &str) -> Result<Option<KeyHolder>, StorageError> {
        const QUERY: &str = "key_holder";
        let sql = format!(
            "SELECT {}, {GROUP_ROLES}, api_keys.id, api_keys.scopes,
                 (SELECT amount FROM limits WHERE subject = 'key:' || api_keys.id AND kind = '{}'),
                 CASE WHEN COALESCE(api_keys.used_at, 0) < now_ms() - {USE_PRECISION_MS} THEN 1 ELSE 0 END
             FROM api_keys JOIN users ON users.id = api_keys.user_id {WITH_GROUPS}
             WHERE api_keys.key_hash = ?1 AND users.suspended_at IS NULL
               AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now_ms())",
            columns(),
            LimitKind::SessionRequests.as_str()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [key_hash.into()])).await?;
        let found = read_users(QUERY, &rows, |columns| {
            let (key_id, scopes) = (columns.id()?, columns.text()?.to_owned());
            let per_minute = columns.optional_integer()?.map(|amount| u32::try_from(amount).unwrap_or(u32::MAX));
            Ok((key_id, scopes, per_minute, columns.flag()?))
        })?;
        Ok(found.into_iter().next().map(|(user, (key_id, scopes, requests_per_minute, should_record_use))| KeyHolder {
            user,
            key_id,
            scopes,
            requests_per_minute,
            should_record_use,
        }))
    }

    /// Stores that keys were used, unless that was stored a moment ago.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_key_uses(&self, key_ids: impl IntoIterator<Item = Id>) -> Result<(), StorageError> {
        let parameters: Vec<Value> = key_ids.into_iter().map(Value::from).collect();
        let places = places(1..=parameters.len());
        let sql = format!(
            "UPDATE api_keys SET used_at = now_ms() WHERE id IN ({}) AND COALESCE(used_at, 0) < now_ms() - {USE_PRECISION_MS}",
            places
        );
        self.database.query(Statement::new("note_key_uses", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Makes an account for a program: without a password, and with an address at which nobody can be (RFC 2606). `None`: there is one with this
    /// address, or the maker's access has changed meanwhile.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn create_service_account(
        &self,
        name: &str,
        email: &str,
        role: &str,
        maker: Maker,
    ) -> Result<Option<ServiceAccount>, StorageError> {
        const QUERY: &str = "create_service_account";
        let sql = format!(
            "INSERT INTO users (id, email, name, role, access_role, kind, created_at)
             SELECT ?1, ?2, ?3, CASE ?4 WHEN 'admin' THEN 'admin' ELSE 'user' END, ?4, 'service', now_ms() FROM users AS maker
             WHERE maker.id = ?5 AND maker.suspended_at IS NULL AND COALESCE(maker.access_version, 0) = ?6
             ON CONFLICT (email) DO NOTHING RETURNING {}",
            account_columns()
        );
        let parameters = [
            Id::new().into(),
            email.into(),
            name.into(),
            role.into(),
            maker.user_id.into(),
            maker.access_version.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        rows.first().map(|row| read_account(QUERY, row)).transpose()
    }

    /// Accounts of programs, the newest first, before the one at which the page before ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn service_accounts(&self, before: Option<Id>, limit: u32) -> Result<Vec<ServiceAccount>, StorageError> {
        const QUERY: &str = "service_accounts";
        let mut parameters: Vec<Value> = Vec::new();
        let place = after_page("users.id", before, &mut parameters);
        let sql = format!(
            "SELECT {} FROM users WHERE users.kind = 'service' {place} ORDER BY users.id DESC LIMIT {limit}",
            account_columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.iter().map(|row| read_account(QUERY, row)).collect()
    }

    /// The account of a program with this id. `None`: there is none, or the account is a person's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn service_account(&self, id: Id) -> Result<Option<ServiceAccount>, StorageError> {
        const QUERY: &str = "service_account";
        let sql = format!("SELECT {} FROM users WHERE users.id = ?1 AND users.kind = 'service'", account_columns());
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        rows.first().map(|row| read_account(QUERY, row)).transpose()
    }
}
