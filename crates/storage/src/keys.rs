//! The keys that can be rotated, of every purpose, as administrators see them: never with their private halves.

use domain::{Id, Timestamp};

use crate::{
    Database, Statement, StorageError, Store,
    master_keys::{IS_MASTER, id_of},
};

/// A day, in which rotations are counted.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Retired keys that are listed, besides all others.
const MAX_RETIRED: usize = 20;

/// What a key is for. A further purpose is a variant here, its rows in [`Store::keys`], and its rotation in `crates/web/src/keys.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPurpose {
    /// Signs the tokens of people and programs.
    Tokens,
    /// Signs the tokens by which components prove to each other who calls.
    Inside,
    /// Wraps the keys of people.
    Master,
}

impl KeyPurpose {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Tokens, Self::Inside, Self::Master];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Inside => "inside",
            Self::Master => "master",
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }
}

/// What a key is good for at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// It signs, or wraps.
    Current,
    /// What it signed verifies, or what it will sign: a new key is published before it signs. What it wrapped opens.
    Verifies,
    /// Neither.
    Retired,
}

impl KeyState {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Verifies => "verifies",
            Self::Retired => "retired",
        }
    }
}

/// A rotation: how, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct KeyRotation<'a> {
    /// What the keys before have signed ends at once.
    pub revokes: bool,
    /// Who rotates, for the record.
    pub user_id: Id,
    /// More, for the record.
    pub detail: Option<&'a str>,
}

/// A key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// What for.
    pub purpose: KeyPurpose,
    /// `kid`; of a master key, part of its hash.
    pub id: String,
    /// When it was stored. `None`: nobody knows, it is a configured master key.
    pub created_at: Option<Timestamp>,
    /// Since when it signs, or will.
    pub signs_from: Option<Timestamp>,
    /// Until when what it signed verifies.
    pub verifies_until: Option<Timestamp>,
    /// Whether its private half is in the configuration, not in the database.
    pub is_configured: bool,
    /// At the moment of reading.
    pub state: KeyState,
}

impl KeyRecord {
    /// When the key is to be rotated, if it is the one that signs, no other is coming, and keys are rotated at all (0 days: never). A configured one is as old
    /// as its first use here.
    #[must_use]
    pub fn due_at(&self, rotation_days: u32) -> Option<Timestamp> {
        let is_newest = self.state == KeyState::Current && (self.is_configured || self.verifies_until.is_none());
        let since = (if self.is_configured { self.created_at } else { self.signs_from })?;
        let due = since.as_millis().saturating_add(i64::from(rotation_days).saturating_mul(DAY_MS));
        (is_newest && rotation_days > 0).then(|| Timestamp::from_millis(due))
    }
}

impl<D: Database> Store<D> {
    /// All keys, by purpose, the newest first, and the time by the database's clock. Only a component that was given the configuration knows of master keys
    /// which one wraps.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keys(&self) -> Result<(Vec<KeyRecord>, Timestamp), StorageError> {
        const QUERY: &str = "keys";
        let of_tokens = "SELECT now_ms() AS now, 'tokens' AS purpose, id, created_at, COALESCE(signs_from, created_at) AS signs_from,
                 verifies_until, retired_at, CASE WHEN private_key IS NULL AND retired_at IS NULL THEN 1 ELSE 0 END AS is_configured
             FROM signing_keys";
        let sql = format!(
            "{of_tokens} WHERE retired_at IS NULL
             UNION ALL SELECT * FROM ({of_tokens} WHERE retired_at IS NOT NULL ORDER BY retired_at DESC, id LIMIT {MAX_RETIRED}) AS retired
             UNION ALL SELECT now_ms(), 'inside', id, created_at, created_at, verifies_until, NULL, 0 FROM inside_keys
             UNION ALL SELECT now_ms(), 'master', key, created_at, created_at, NULL, NULL, 0 FROM generated_keys WHERE {IS_MASTER}
             ORDER BY purpose DESC, signs_from DESC, id"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let (mut keys, mut now) = (Vec::with_capacity(rows.len()), Timestamp::now());
        let mut has_current_for_tokens = false;
        let configured = self.keyring.configured_ids();
        // The newest that was made here wraps only if none is configured.
        let mut may_be_current_master = configured.as_ref().is_some_and(Vec::is_empty);
        for row in &rows {
            let mut columns = row.columns(QUERY);
            now = columns.timestamp()?;
            let purpose = columns.text()?;
            let purpose = KeyPurpose::named(purpose).ok_or(StorageError::Row {
                query: QUERY,
                column: 1,
                expected: "the purpose of a key",
            })?;
            let id = match (purpose, columns.text()?) {
                (KeyPurpose::Master, key) => id_of(key)?,
                (_, id) => id.to_owned(),
            };
            let (created_at, signs_from) = (columns.timestamp()?, columns.timestamp()?);
            let verifies_until = columns.optional_integer()?.map(Timestamp::from_millis);
            let is_retired = columns.optional_integer()?.is_some() || verifies_until.is_some_and(|until| until <= now);
            let is_configured = columns.flag()?;
            // Of the keys that sign already, the newest does; each component inside has its own.
            let signs = match purpose {
                KeyPurpose::Tokens => signs_from <= now && !has_current_for_tokens,
                KeyPurpose::Inside => verifies_until.is_none(),
                KeyPurpose::Master => std::mem::take(&mut may_be_current_master),
            };
            let state = match (is_retired, signs) {
                (true, _) => KeyState::Retired,
                (false, true) => KeyState::Current,
                (false, false) => KeyState::Verifies,
            };
            has_current_for_tokens |= purpose == KeyPurpose::Tokens && state == KeyState::Current;
            let (created_at, signs_from) = (Some(created_at), Some(signs_from));
            keys.push(KeyRecord { purpose, id, created_at, signs_from, verifies_until, is_configured, state });
        }
        let states = std::iter::once(KeyState::Current).chain(std::iter::repeat(KeyState::Verifies));
        keys.extend(configured.into_iter().flatten().zip(states).map(|(id, state)| KeyRecord {
            purpose: KeyPurpose::Master,
            id,
            created_at: None,
            signs_from: None,
            verifies_until: None,
            is_configured: true,
            state,
        }));
        Ok((keys, now))
    }

    /// Whether a rotation was recorded with this id, and so was made: it is one statement with its record.
    pub(crate) async fn is_recorded(&self, audit_id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM audit_events WHERE id = ?1";
        Ok(!self.database.query(Statement::new("is_recorded", sql, [audit_id.into()])).await?.is_empty())
    }
}
