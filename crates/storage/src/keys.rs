//! The keys that can be rotated, of every purpose, as administrators see them: never with their private halves.

use domain::Timestamp;

use crate::{Database, Statement, StorageError, Store};

/// A day, in which rotations are counted.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Retired keys that are listed, besides all others.
const MAX_LISTED: usize = 100;

/// What a key is for. A further purpose is a variant here, its rows in [`Store::keys`], and its rotation in `crates/web/src/keys.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPurpose {
    /// Signs the tokens of people and programs.
    Tokens,
    /// Signs the tokens by which components prove to each other who calls.
    Inside,
}

impl KeyPurpose {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Tokens, Self::Inside];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Inside => "inside",
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
    /// It signs.
    Current,
    /// What it signed verifies, or what it will sign: a new key is published before it signs.
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

/// A key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// What for.
    pub purpose: KeyPurpose,
    /// `kid`.
    pub id: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Since when it signs, or will.
    pub signs_from: Timestamp,
    /// Until when what it signed verifies.
    pub verifies_until: Option<Timestamp>,
    /// Whether its private half is in the configuration, not in the database.
    pub is_configured: bool,
    /// At the moment of reading.
    pub state: KeyState,
}

impl KeyRecord {
    /// When the key is to be rotated, if it is not replaced yet and keys are rotated at all (0 days: never).
    #[must_use]
    pub fn due_at(&self, rotation_days: u32) -> Option<Timestamp> {
        let is_newest = self.state == KeyState::Current && self.verifies_until.is_none();
        let due = self.signs_from.as_millis().saturating_add(i64::from(rotation_days).saturating_mul(DAY_MS));
        (is_newest && rotation_days > 0).then(|| Timestamp::from_millis(due))
    }
}

impl<D: Database> Store<D> {
    /// All keys, by purpose, the newest first, and the time by the database's clock.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keys(&self) -> Result<(Vec<KeyRecord>, Timestamp), StorageError> {
        const QUERY: &str = "keys";
        let sql = format!(
            "SELECT now_ms(), 'tokens' AS purpose, id, created_at, COALESCE(signs_from, created_at) AS signs_from, verifies_until, retired_at,
                 CASE WHEN private_key IS NULL AND retired_at IS NULL THEN 1 ELSE 0 END
             FROM signing_keys
             UNION ALL SELECT now_ms(), 'inside', id, created_at, created_at, verifies_until, NULL, 0 FROM inside_keys
             ORDER BY purpose DESC, signs_from DESC, id LIMIT {MAX_LISTED}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let (mut keys, mut now) = (Vec::with_capacity(rows.len()), Timestamp::now());
        let mut has_current = false;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            now = columns.timestamp()?;
            let purpose = columns.text()?;
            let purpose = KeyPurpose::named(purpose).ok_or(StorageError::Row {
                query: QUERY,
                column: 1,
                expected: "the purpose of a key",
            })?;
            let (id, created_at, signs_from) = (columns.text()?.to_owned(), columns.timestamp()?, columns.timestamp()?);
            let verifies_until = columns.optional_integer()?.map(Timestamp::from_millis);
            let is_retired = columns.optional_integer()?.is_some() || verifies_until.is_some_and(|until| until <= now);
            let is_configured = columns.flag()?;
            // Of the keys that sign already, the newest does; each component inside has its own.
            let signs = match purpose {
                KeyPurpose::Tokens => signs_from <= now && !has_current,
                KeyPurpose::Inside => verifies_until.is_none(),
            };
            let state = match (is_retired, signs) {
                (true, _) => KeyState::Retired,
                (false, true) => KeyState::Current,
                (false, false) => KeyState::Verifies,
            };
            has_current |= state == KeyState::Current;
            keys.push(KeyRecord { purpose, id, created_at, signs_from, verifies_until, is_configured, state });
        }
        Ok((keys, now))
    }
}
