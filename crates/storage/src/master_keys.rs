//! Master keys: those of the configuration, else one made on first use and kept in the database. They wrap data keys (`data_keys.rs`).
//!
//! The first configured key wraps; without one, the newest that was made here. All of them open. Nothing is logged here: the
//! platform and `/ready` say what an installation without a configured key means.

use std::{fmt, sync::Arc};

use domain::{Id, Timestamp};
use vault::{Keys, MAX_KEYS, VaultError};
use zeroize::Zeroizing;

use crate::{Database, Statement, StorageError, Store, Value, installation_secrets::OWN_SECRETS, keys::KeyRotation};

/// The purpose of the first of these keys in `generated_keys`. Later ones add a slash and their id.
const MASTER: &str = "master";

/// Of two rotations within this time, the second is a repetition of the first.
const REPETITION_MS: i64 = 10 * 1000;

/// How long a key that was replaced stays in any case: no statement takes as long.
const SETTLED_MS: i64 = 60 * 60 * 1000;

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

    /// Whether the component was given it, set or not.
    pub(crate) const fn is_granted(&self) -> bool {
        matches!(self.0, Source::Granted(_))
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

/// The id of a key.
pub(crate) fn id_of(key: &str) -> Result<String, StorageError> {
    Ok(Keys::parse(key)?.id().to_owned())
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

/// Where there is what a master key itself sealed: `master_sealed.rs`, and what earlier releases sealed so.
const SEALED_WITH_MASTER: [(&str, &str); 7] = [
    ("tool_secrets", "sealed"),
    ("second_factors", "sealed"),
    ("tool_connections", "authority"),
    ("tool_connections", "access_token"),
    ("tool_connections", "refresh_token"),
    ("model_providers", "sealed"),
    ("webhooks", "sealed"),
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
    /// How many secrets it seals itself: of providers of models, of webhooks, and of earlier releases. Without it, they count as not entered.
    pub secrets: i64,
    /// How many keys of the installation itself it seals. Without it, nobody can log in.
    pub own: i64,
}

/// What came of rotating a master key that was made here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MasterKeyRotated {
    /// The id of the new one.
    Rotated(String),
    /// It was done a moment ago.
    JustNow,
    /// There is none yet.
    Unneeded,
    /// The keys are in the configuration, so they are rotated there.
    Configured,
    /// What earlier ones wrapped is not all wrapped again yet.
    TooMany,
}

impl<D: Database> Store<D> {
    /// All master keys: those that this component has, the one that wraps first, then those that are missing. One that was made here and that nothing
    /// needs any more is left out: nobody has to do anything about it.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn master_keys(&self) -> Result<Vec<MasterKeyUse>, StorageError> {
        const QUERY: &str = "master_keys_in_use";
        // What it sealed itself begins with `v1.`, the key's id and another dot.
        let sealed = |(table, column): &(&str, &str)| {
            format!(
                " UNION ALL SELECT substr({column}, 4, 16), 0, 1, 0 FROM {table} WHERE substr({column}, 1, 3) = 'v1.'"
            )
        };
        let sealed: String = SEALED_WITH_MASTER.iter().map(sealed).collect();
        let own = |(table, _, column, _): &(&str, &str, &str, &str)| {
            format!(
                " UNION ALL SELECT substr({column}, 4, 16), 0, 0, 1 FROM {table} WHERE substr({column}, 1, 3) = 'm1:'"
            )
        };
        let own: String = OWN_SECRETS.iter().map(own).collect();
        let sql = format!(
            "SELECT master_key, CAST(SUM(people) AS bigint), CAST(SUM(secrets) AS bigint), CAST(SUM(own) AS bigint)
             FROM (SELECT master_key, 1 AS people, 0 AS secrets, 0 AS own FROM data_keys WHERE wrapped <> ''
                   UNION ALL SELECT former_master_key, 1, 0, 0 FROM data_keys WHERE former_id IS NOT NULL
                   UNION ALL SELECT master_key, 0, 0, 1 FROM installation_keys WHERE wrapped <> ''{own}{sealed}) AS used
             GROUP BY master_key ORDER BY master_key"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut uses = Vec::new();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            uses.push((columns.text()?.to_owned(), columns.integer()?, columns.integer()?, columns.integer()?));
        }
        let generated = self.generated_rows().await?;
        let masters = self.keyring.masters(&generated.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>())?;
        let made: Vec<(String, Timestamp)> =
            generated.iter().filter_map(|(at, key)| Some((id_of(key).ok()?, Timestamp::from_millis(*at)))).collect();
        let mut all = Vec::new();
        for (place, id) in masters.iter().flat_map(|masters| masters.ids()).enumerate() {
            let at = uses.iter().position(|(used, ..)| used == id);
            let (_, uses, secrets, own) = at.map_or_else(Default::default, |at| uses.swap_remove(at));
            let created_at = made.iter().find(|(made, _)| made == id).map(|(_, at)| *at);
            let wraps = place == 0;
            if wraps || created_at.is_none() || uses > 0 || secrets > 0 || own > 0 {
                all.push(MasterKeyUse { id: id.to_owned(), created_at, is_known: true, wraps, uses, secrets, own });
            }
        }
        let missing = |(id, uses, secrets, own)| MasterKeyUse {
            id,
            created_at: None,
            is_known: false,
            wraps: false,
            uses,
            secrets,
            own,
        };
        all.extend(uses.into_iter().map(missing));
        Ok(all)
    }

    /// Makes a new master key here, which wraps from now on, and records it; what the ones before wrapped is wrapped again in the background. Of two that
    /// do so at once, one does.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn rotate_generated_master_key(
        &self,
        rotation: &KeyRotation<'_>,
    ) -> Result<MasterKeyRotated, StorageError> {
        if !self.keyring.master().is_empty() {
            return Ok(MasterKeyRotated::Configured);
        }
        let keys = self.master_keys().await?;
        // Whoever asks was not given the configuration (`cargo dev keys`).
        if keys.iter().any(|key| !key.is_known && (key.uses > 0 || key.own > 0)) {
            return Ok(MasterKeyRotated::Configured);
        }
        if keys.is_empty() {
            return Ok(MasterKeyRotated::Unneeded);
        }
        self.forget_master_keys().await?;
        if self.generated_rows().await?.len() >= MAX_KEYS {
            return Ok(MasterKeyRotated::TooMany);
        }
        let new = Keys::generate()?;
        let id = id_of(&new)?;
        let sql = format!(
            "INSERT INTO master_key_rotations (purpose, key, at_least_ms, audit_id, user_id, detail, rotated_at)
             SELECT ?1, ?2, {REPETITION_MS}, ?3, ?4, ?5, now_ms()
             WHERE NOT EXISTS (SELECT 1 FROM generated_keys WHERE {IS_MASTER} AND created_at > now_ms() - {REPETITION_MS})"
        );
        let audit_id = Id::new();
        let parameters = [
            format!("{MASTER}/{id}").into(),
            new.as_str().into(),
            audit_id.into(),
            rotation.user_id.into(),
            rotation.detail.into(),
        ];
        self.database.query(Statement::new("rotate_master_key", sql, parameters).durably().repeatably()).await?;
        self.keyring.masters(&self.generated_master_keys().await?)?;
        Ok(if self.is_recorded(audit_id).await? { MasterKeyRotated::Rotated(id) } else { MasterKeyRotated::JustNow })
    }

    /// Deletes master keys that were made here, that nothing needs and that wrap nothing any more. The one before the newest stays for an hour: whoever
    /// read the keys before the newest was made has then stored what it wrapped.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn forget_master_keys(&self) -> Result<(), StorageError> {
        const QUERY: &str = "made_master_keys";
        let sql = format!(
            "SELECT purpose, key, created_at, now_ms() FROM generated_keys WHERE {IS_MASTER} ORDER BY created_at DESC, purpose"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let (mut values, mut places) = (Vec::<Value>::new(), Vec::new());
        // When the next one was made.
        let mut followed_at = None;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (purpose, key) = (columns.text()?, columns.text()?);
            let (made_at, now) = (columns.integer()?, columns.integer()?);
            if followed_at.is_some_and(|at: i64| at < now.saturating_sub(SETTLED_MS)) {
                places.push(format!("(?{}, ?{})", values.len() + 1, values.len() + 2));
                values.extend([purpose.into(), id_of(key)?.into()]);
            }
            followed_at = Some(made_at);
        }
        if places.is_empty() {
            return Ok(());
        }
        let secrets = SEALED_WITH_MASTER.map(|(table, column)| {
            format!(" AND NOT EXISTS (SELECT 1 FROM {table} WHERE substr({column}, 1, 20) = 'v1.' || old.id || '.')")
        });
        let sql = format!(
            "WITH old (purpose, id) AS (VALUES {})
             DELETE FROM generated_keys WHERE purpose IN (
                 SELECT old.purpose FROM old
                 WHERE NOT EXISTS (SELECT 1 FROM data_keys WHERE data_keys.master_key = old.id AND data_keys.wrapped <> '')
                   AND NOT EXISTS (SELECT 1 FROM data_keys WHERE data_keys.former_master_key = old.id)
                   AND NOT EXISTS (SELECT 1 FROM installation_keys WHERE installation_keys.master_key = old.id){})",
            places.join(", "),
            secrets.concat()
        );
        self.database.query(Statement::new("forget_master_keys", sql, values).durably().repeatably()).await?;
        Ok(())
    }
}
