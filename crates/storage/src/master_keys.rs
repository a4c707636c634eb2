//! Master keys: those of the configuration, else one made on first use and kept in the database. They wrap data keys (`data_keys.rs`).
//!
//! The first configured key wraps; without one, the newest that was made here. All of them open. Nothing is logged here: the
//! platform and `/ready` say what an installation without a configured key means.

use std::{fmt, sync::Arc};

use domain::Timestamp;
use vault::{Keys, VaultError};
use zeroize::Zeroizing;

use crate::{Database, Statement, StorageError, Store};

/// The purpose of the first of these keys in `generated_keys`. Later ones add a slash and their id.
const MASTER: &str = "master";

/// A row of `generated_keys` as one text without spaces. It can be sorted by time.
pub(crate) const GENERATED: &str = "CAST(created_at AS text) || ':' || key";

/// The SQL condition for a master key in `generated_keys`, which has few rows.
pub(crate) const IS_MASTER: &str = "(purpose = 'master' OR substr(purpose, 1, 7) = 'master/')";

/// The variable `master_key`.
#[derive(Clone)]
pub struct MasterKey(Source);

#[derive(Clone)]
enum Source {
    /// The component may not read or write people's texts.
    NotGranted,
    /// As it is configured; may be empty.
    Granted(Zeroizing<String>),
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// As it is configured; empty: the key is made on first use.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Source::Granted(Zeroizing::new(text)))
    }

    /// For a component that gets no key: it can neither read nor write people's texts.
    #[must_use]
    pub const fn not_granted() -> Self {
        Self(Source::NotGranted)
    }

    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<VaultError> {
        match &self.0 {
            Source::Granted(text) if !self.is_empty() => Keys::parse(text).err(),
            _ => None,
        }
    }

    /// Whether none is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Source::NotGranted => true,
            Source::Granted(text) => text.trim().is_empty(),
        }
    }

    /// The configured keys, then those that were made here. `None`: there are none at all.
    pub(crate) fn with_generated(&self, generated: &[String]) -> Result<Option<Keys>, StorageError> {
        let Source::Granted(text) = &self.0 else { return Err(StorageError::NoMasterKey) };
        // Read it first: what is wrong with it must not be hidden by a key that was made here.
        let mut keys = if self.is_empty() { None } else { Some(Keys::parse(text)?) };
        for key in generated {
            let made = Keys::parse(key)?;
            keys = Some(match keys {
                Some(keys) => Keys::and(keys, made),
                None => made,
            });
        }
        Ok(keys)
    }
}

/// The keys in texts of [`GENERATED`], the newest first.
pub(crate) fn parse_generated<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    sorted(texts).into_iter().map(|(_, key)| key).collect()
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(i64, String)> {
    let parse = |text: &'a str| {
        let (at, key) = text.split_once(':')?;
        Some((at.parse::<i64>().ok()?, key.to_owned()))
    };
    let mut keys: Vec<(i64, String)> = texts.filter_map(parse).collect();
    keys.sort_by(|one, other| other.cmp(one));
    keys
}

impl<D: Database> Store<D> {
    /// The master keys that were made here, the newest first.
    pub(crate) async fn generated_master_keys(&self) -> Result<Vec<String>, StorageError> {
        Ok(self.generated_rows().await?.into_iter().map(|(_, key)| key).collect())
    }

    async fn generated_rows(&self) -> Result<Vec<(i64, String)>, StorageError> {
        const QUERY: &str = "generated_master_keys";
        let sql = format!("SELECT {GENERATED} FROM generated_keys WHERE {IS_MASTER}");
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let texts = rows.iter().map(|row| row.columns(QUERY).text()).collect::<Result<Vec<_>, _>>()?;
        Ok(sorted(texts.into_iter()))
    }

    /// All master keys there are, to open what earlier releases sealed with them. `None`: there are none.
    pub(crate) async fn all_masters(&self) -> Result<Option<Arc<Keys>>, StorageError> {
        if let Some(masters) = self.keyring.all_masters() {
            return Ok(Some(masters));
        }
        let masters = self.keyring.masters(&self.generated_master_keys().await?)?;
        self.keyring.note_generated();
        Ok(masters)
    }

    /// The master keys, to wrap with. If there are none, one is made: of several hosts that do so at once, the first counts. Those that were made here are
    /// read anew, once for each new person: another host may have made a newer one, and nothing new is wrapped with the one before.
    pub(crate) async fn sealing_masters(&self) -> Result<Arc<Keys>, StorageError> {
        if let Some(known) = self.keyring.known_masters().filter(|_| !self.keyring.master().is_empty()) {
            return Ok(known);
        }
        if let Some(masters) = self.keyring.masters(&self.generated_master_keys().await?)? {
            return Ok(masters);
        }
        let sql = "INSERT INTO generated_keys (purpose, key, created_at) VALUES (?1, ?2, now_ms())
                   ON CONFLICT (purpose) DO NOTHING";
        let new = Keys::generate()?;
        let statement = Statement::new("add_generated_master_key", sql, [MASTER.into(), new.as_str().into()]);
        self.database.query(statement.durably().repeatably()).await?;
        let generated = self.generated_master_keys().await?;
        Ok(self.keyring.masters(&generated)?.ok_or(VaultError::NoKey)?)
    }
}

/// Where there is what a master key itself sealed: the keys of providers, and what earlier releases sealed so.
const SEALED_EARLIER: [(&str, &str); 6] = [
    ("tool_secrets", "sealed"),
    ("second_factors", "sealed"),
    ("tool_connections", "authority"),
    ("tool_connections", "access_token"),
    ("tool_connections", "refresh_token"),
    ("model_providers", "sealed"),
];

/// A master key as an administrator sees it. It contains no key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MasterKeyUse {
    /// Its id: part of its hash, so it may be shown.
    pub id: String,
    /// When it was made here. `None`: it is configured, or missing.
    pub created_at: Option<Timestamp>,
    /// Whether this component has it. Without it, what it wraps cannot be read.
    pub is_known: bool,
    /// Whether it wraps new keys.
    pub wraps: bool,
    /// How many keys of people it wraps. Without it, nothing of theirs can be read.
    pub uses: i64,
    /// How many secrets of earlier releases it seals. Without it, they count as not entered.
    pub secrets: i64,
}

impl<D: Database> Store<D> {
    /// All master keys: those that this component has, the one that wraps first, then those that are missing. One that was made here and that nothing
    /// needs any more is left out: nobody has to do anything about it.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn master_keys(&self) -> Result<Vec<MasterKeyUse>, StorageError> {
        const QUERY: &str = "master_keys_in_use";
        // What earlier releases sealed begins with `v1.`, the key's id and another dot.
        let sealed = |(table, column): &(&str, &str)| {
            format!(" UNION ALL SELECT substr({column}, 4, 16), 0, 1 FROM {table} WHERE substr({column}, 1, 3) = 'v1.'")
        };
        let sealed: String = SEALED_EARLIER.iter().map(sealed).collect();
        let sql = format!(
            "SELECT master_key, CAST(SUM(people) AS bigint), CAST(SUM(secrets) AS bigint)
             FROM (SELECT master_key, 1 AS people, 0 AS secrets FROM data_keys WHERE wrapped <> ''{sealed}) AS used
             GROUP BY master_key ORDER BY master_key"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut uses = Vec::new();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            uses.push((columns.text()?.to_owned(), columns.integer()?, columns.integer()?));
        }
        let generated = self.generated_rows().await?;
        let masters = self.keyring.masters(&generated.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>())?;
        let made: Vec<(String, Timestamp)> = generated
            .iter()
            .filter_map(|(at, key)| Some((Keys::parse(key).ok()?.id().to_owned(), Timestamp::from_millis(*at))))
            .collect();
        let mut all = Vec::new();
        for (place, id) in masters.iter().flat_map(|masters| masters.ids()).enumerate() {
            let at = uses.iter().position(|(used, ..)| used == id);
            let (_, uses, secrets) = at.map_or_else(Default::default, |at| uses.swap_remove(at));
            let created_at = made.iter().find(|(made, _)| made == id).map(|(_, at)| *at);
            let wraps = place == 0;
            if wraps || created_at.is_none() || uses > 0 || secrets > 0 {
                all.push(MasterKeyUse { id: id.to_owned(), created_at, is_known: true, wraps, uses, secrets });
            }
        }
        let missing =
            |(id, uses, secrets)| MasterKeyUse { id, created_at: None, is_known: false, wraps: false, uses, secrets };
        all.extend(uses.into_iter().map(missing));
        Ok(all)
    }

    /// Makes a new master key here, which wraps from now on; data keys are wrapped again in the background. Returns its id. `None`: a key is configured,
    /// so it is rotated there, by a new one before it.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn rotate_generated_master_key(&self) -> Result<Option<String>, StorageError> {
        if !self.keyring.master().is_empty() {
            return Ok(None);
        }
        // The first one is there, so that a new one is never taken for it.
        self.sealing_masters().await?;
        let new = Keys::generate()?;
        let id = Keys::parse(&new)?.id().to_owned();
        let sql = "INSERT INTO generated_keys (purpose, key, created_at) VALUES (?1, ?2, now_ms()) ON CONFLICT (purpose) DO NOTHING";
        let parameters = [format!("{MASTER}/{id}").into(), new.as_str().into()];
        self.database.query(Statement::new("rotate_master_key", sql, parameters).durably().repeatably()).await?;
        self.keyring.masters(&self.generated_master_keys().await?)?;
        Ok(Some(id))
    }
}
