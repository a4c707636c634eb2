//! Data keys: each person's texts are sealed with a key of theirs, which is stored wrapped by a master key (docs/adr/0039).
//!
//! This is the only place between stored and domain texts: the store's methods seal what they write with [`Store::data_key`], and open what they read with
//! [`Store::opener`]. Callers see neither keys nor sealed texts. `keyring.rs` keeps unwrapped keys for a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::{Arc, LazyLock},
};

use domain::Id;
use vault::{DataKey, VaultError, WrappedKey, may_be_sealed};

use crate::{
    Database, DatabaseError, Row, Statement, StorageError, Store, Value,
    database::places,
    master_keys::{GENERATED, IS_MASTER, parse_generated},
    sealed_texts::{NO_KEY, Opener},
};

/// Stands for the master key of a data key that was given up (docs/runbooks/keys.md).
const GIVEN_UP: &str = "lost";

/// How long after the migration an installation that had people seals nothing: by then, hosts of the earlier release, which take a sealed text for what
/// was said, must be gone (docs/deploy.md).
const WAITS_MS: i64 = 60 * 60 * 1000;

/// A person's data key, and what is sealed with it yet. What is sealed opens either way.
#[derive(Debug)]
pub(crate) struct PersonKey {
    key: DataKey,
    /// Whether texts and secrets are.
    pub(crate) seals: bool,
    /// Whether names and details are, which an earlier release kept in clear ([`crate::sealed_texts::seal_name`]).
    pub(crate) seals_names: bool,
}

impl Deref for PersonKey {
    type Target = DataKey;

    fn deref(&self) -> &DataKey {
        &self.key
    }
}

/// A row of `data_keys` as one text, and whether texts are sealed yet.
static STORED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "data_keys.id || ' ' || data_keys.wrapped || ' ' || data_keys.master_key || ' ' || COALESCE(data_keys.lost, '') || ' ' ||
         COALESCE(data_keys.former_id || ',' || data_keys.former_wrapped || ',' || data_keys.former_master_key ||
             CASE WHEN data_keys.created_at > now_ms() - {PUBLISHED_MS} THEN ',{PUBLISHED}' ELSE '' END, '') || ' ' ||
         CASE WHEN {} THEN '{WAITS}' WHEN {} THEN '{NAMES_WAIT}' ELSE '' END",
        waits(TEXTS_SINCE),
        waits(NAMES_SINCE)
    )
});

/// The rows of `sealing_progress` by which it is known since when texts are sealed, and since when names, details and private keys are.
const TEXTS_SINCE: &str = "conversations";
pub(crate) const NAMES_SINCE: &str = "audit_details";

/// The SQL condition that hosts may run which cannot open what is sealed since the migration that has this row in `sealing_progress`.
pub(crate) fn waits(name: &str) -> String {
    format!("EXISTS (SELECT 1 FROM sealing_progress WHERE name = '{name}' AND began_at > now_ms() - {WAITS_MS})")
}

/// How long a key that replaces another one only opens: longer than instances keep keys, so that each of them knows both before the new one seals.
const PUBLISHED_MS: i64 = 2 * 60 * 1000;
/// Says in [`STORED`] that it does.
const PUBLISHED: &str = "published";
/// Says in [`STORED`] that texts are not sealed yet, nor names.
const WAITS: &str = "waits";
/// Says there that names are not sealed yet.
const NAMES_WAIT: &str = "names-wait";

/// The master keys that were made here, at the end of [`STORED`].
static WITH_GENERATED: LazyLock<String> = LazyLock::new(|| {
    format!("|| COALESCE((SELECT string_agg(' ' || {GENERATED}, '') FROM generated_keys WHERE {IS_MASTER}), '')")
});

/// What [`Store::stored_key`] selects, as it is read.
struct StoredKey {
    key: WrappedKey,
    lost: Vec<String>,
    /// The key that this one replaces, until everything is sealed anew.
    former: Option<WrappedKey>,
    /// Whether the former one still seals.
    is_published: bool,
    seals: bool,
    seals_names: bool,
    generated: Vec<String>,
}

impl StoredKey {
    /// Reads the text of [`Store::stored_key`].
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let [id, wrapped, master_key] = [parts.next()?, parts.next()?, parts.next()?].map(str::to_owned);
        let lost = parts.next()?.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let mut former_parts = parts.next()?.split(',').map(str::to_owned);
        let former = match (former_parts.next(), former_parts.next(), former_parts.next()) {
            (Some(id), Some(wrapped), Some(master_key)) => Some(WrappedKey { id, wrapped, master_key }),
            _ => None,
        };
        let is_published = former_parts.next().is_some();
        let waits = parts.next()?;
        let (seals, seals_names) = (waits != WAITS, waits.is_empty());
        let key = WrappedKey { id, wrapped, master_key };
        Some(Self { key, lost, former, is_published, seals, seals_names, generated: parse_generated(parts) })
    }
}

impl<D: Database> Store<D> {
    /// The SQL of a person's wrapped key as one text, so that statements that are about a person bring it along. Without a configured master key it
    /// brings those that were made here, too.
    pub(crate) fn stored_key(&self, user_id: &str) -> String {
        format!("(SELECT {} FROM data_keys WHERE data_keys.user_id = {user_id})", self.stored())
    }

    fn stored(&self) -> String {
        let generated = if self.keyring.master().is_empty() { WITH_GENERATED.as_str() } else { "" };
        format!("{} {generated}", *STORED)
    }

    /// A person's key, to seal with. The first call of all makes it: of several at once, at any host, one makes it, and all return the same.
    pub(crate) async fn data_key(&self, user_id: Id) -> Result<Arc<PersonKey>, StorageError> {
        match self.existing_data_key(user_id).await? {
            Some(key) => Ok(key),
            None => self.new_data_key(user_id).await,
        }
    }

    async fn existing_data_key(&self, user_id: Id) -> Result<Option<Arc<PersonKey>>, StorageError> {
        const QUERY: &str = "data_key";
        if let Some(key) = self.keyring.of_user(user_id) {
            return Ok(Some(key));
        }
        let sql = format!("SELECT {}", self.stored_key("?1"));
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        match rows.first().map(|row| row.columns(QUERY).optional_text()).transpose()?.flatten() {
            Some(stored) if !is_given_up(stored) => self.unwrapped(user_id, None, stored).await.map(Some),
            // Only a new key can say of a text that its key is lost.
            Some(_) => self.new_data_key(user_id).await.map(Some),
            None => Ok(None),
        }
    }

    async fn new_data_key(&self, user_id: Id) -> Result<Arc<PersonKey>, StorageError> {
        const QUERY: &str = "new_data_key";
        let new = self.sealing_masters().await?.new_data_key(&user_id.to_string())?;
        // One that was given up is replaced; any other that is there stays.
        let sql = format!(
            "INSERT INTO data_keys (user_id, id, wrapped, master_key, created_at) VALUES (?1, ?2, ?3, ?4, now_ms())
             ON CONFLICT (user_id) DO UPDATE SET
                 id = CASE WHEN data_keys.master_key = '{GIVEN_UP}' THEN excluded.id ELSE data_keys.id END,
                 wrapped = CASE WHEN data_keys.master_key = '{GIVEN_UP}' THEN excluded.wrapped ELSE data_keys.wrapped END,
                 master_key = CASE WHEN data_keys.master_key = '{GIVEN_UP}' THEN excluded.master_key ELSE data_keys.master_key END
             RETURNING {}",
            *STORED
        );
        let parameters = [user_id.into(), new.id.into(), new.wrapped.into(), new.master_key.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably().repeatably()).await?;
        let stored = rows.first().unwrap_or(&Row(Vec::new())).columns(QUERY).text()?.to_owned();
        self.unwrapped(user_id, None, &stored).await
    }

    /// Unwraps what [`Self::stored_key`] selected, and keeps it.
    async fn unwrapped(&self, user_id: Id, run_id: Option<Id>, stored: &str) -> Result<Arc<PersonKey>, StorageError> {
        let malformed = StorageError::Row { query: "data_key", column: 0, expected: "a wrapped key" };
        let StoredKey { key, lost, former, is_published, seals, seals_names, generated } =
            StoredKey::parse(stored).ok_or(malformed)?;
        if key.wrapped.is_empty() {
            self.keyring.forget(user_id);
            return Err(StorageError::KeyDestroyed);
        }
        let is_same = |kept: &Arc<PersonKey>| {
            (kept.id(), kept.is_published()) == (key.id.as_str(), is_published)
                && (kept.seals, kept.seals_names) == (seals, seals_names)
        };
        let kept = self.keyring.of_user(user_id).filter(is_same);
        let unwrapped = match kept {
            Some(kept) => kept,
            None => {
                let unwrapped = self.unwrap_with_any(&user_id.to_string(), &key, &generated).await?;
                let mut key = unwrapped.knowing_lost(lost.iter().map(String::as_str));
                if let Some(former) = former {
                    let former = self.unwrap_with_any(&user_id.to_string(), &former, &generated).await?;
                    key = key.replacing(former, is_published);
                }
                Arc::new(PersonKey { key, seals, seals_names })
            }
        };
        self.keyring.keep(user_id, run_id, &unwrapped);
        Ok(unwrapped)
    }

    /// Unwraps the data key of a person, or of whoever else it was made for.
    pub(crate) async fn unwrap_with_any(
        &self,
        owner: &str,
        key: &WrappedKey,
        generated: &[String],
    ) -> Result<DataKey, StorageError> {
        let known = match self.keyring.known_masters() {
            Some(masters) => Some(masters),
            None => self.keyring.masters(generated)?,
        };
        match known.map(|masters| masters.data_key(owner, key)) {
            // It may have been made since, or before others were configured.
            None | Some(Err(VaultError::UnknownKey(_))) => {}
            Some(unwrapped) => return opened(unwrapped),
        }
        let generated = self.generated_master_keys().await?;
        let missing = || StorageError::MasterKeyMissing(key.master_key.clone());
        match self.keyring.masters(&generated)?.ok_or_else(missing)?.data_key(owner, key) {
            Err(VaultError::UnknownKey(_)) => Err(missing()),
            unwrapped => opened(unwrapped),
        }
    }

    /// Opens the texts of a person's rows. It needs their key only if one of the texts may be sealed.
    pub(crate) async fn opener(&self, user_id: Id, rows: &[Row]) -> Result<Opener, StorageError> {
        Ok(Opener::new(if has_sealed(rows) { self.existing_data_key(user_id).await? } else { None }))
    }

    /// As [`Self::opener`], for lists that must be read without the key, too: who must do something about a leak or a loss needs the ids in them.
    pub(crate) async fn opener_if_usable(&self, user_id: Id, rows: &[Row]) -> Result<Opener, StorageError> {
        match self.opener(user_id, rows).await {
            Err(error) => unusable(error).map(|()| NO_KEY),
            opener => opener,
        }
    }

    /// A person's key, to seal with. `None`: it cannot be used.
    pub(crate) async fn data_key_if_usable(&self, user_id: Id) -> Result<Option<Arc<PersonKey>>, StorageError> {
        match self.data_key(user_id).await {
            Ok(key) => Ok(Some(key)),
            Err(error) => unusable(error).map(|()| None),
        }
    }

    /// As [`Self::opener`], for rows of several people, in one statement. Whose key cannot be used is left out.
    pub(crate) async fn openers(
        &self,
        user_ids: impl Iterator<Item = Id>,
        rows: &[Row],
    ) -> Result<BTreeMap<Id, Opener>, StorageError> {
        if !has_sealed(rows) {
            return Ok(BTreeMap::new());
        }
        let keys = self.existing_data_keys(user_ids.collect()).await?;
        Ok(keys.into_iter().filter_map(|(user_id, key)| Some((user_id, Opener::new(Some(key.ok()?))))).collect())
    }

    /// As [`Self::opener`], for the person of a run.
    pub(crate) async fn opener_of_run(&self, run_id: Id, rows: &[Row]) -> Result<Opener, StorageError> {
        Ok(Opener::new(if has_sealed(rows) {
            self.data_keys_of_runs([run_id]).await?.remove(&run_id).transpose()?
        } else {
            None
        }))
    }

    /// Takes what a claim brought along: the run's person and [`Self::stored_key`].
    pub(crate) async fn take_key(
        &self,
        user_id: Id,
        run_id: Id,
        stored: Option<&str>,
    ) -> Result<Arc<PersonKey>, StorageError> {
        match stored {
            Some(stored) if !is_given_up(stored) => self.unwrapped(user_id, Some(run_id), stored).await,
            _ => {
                let key = self.new_data_key(user_id).await?;
                self.keyring.keep(user_id, Some(run_id), &key);
                Ok(key)
            }
        }
    }

    /// The keys of the people of runs. A run that is gone has none. Executors have claimed their runs, so the instance knows these keys already, and
    /// asks once a minute for all of which it has forgotten. A key that cannot be used is an error of its own.
    pub(crate) async fn data_keys_of_runs(
        &self,
        run_ids: impl IntoIterator<Item = Id>,
    ) -> Result<BTreeMap<Id, Result<Arc<PersonKey>, StorageError>>, StorageError> {
        const QUERY: &str = "data_keys_of_runs";
        let (mut keys, mut unknown) = (BTreeMap::new(), Vec::new());
        for run_id in run_ids {
            match self.keyring.of_run(run_id) {
                Some(key) => drop(keys.insert(run_id, Ok(key))),
                None => unknown.push(Value::from(run_id)),
            }
        }
        if unknown.is_empty() {
            return Ok(keys);
        }
        // Few different lengths, so that the database can keep them as prepared statements.
        unknown.resize(unknown.len().next_power_of_two(), Value::Null);
        let places = places(1..=unknown.len());
        let sql = format!(
            "SELECT runs.id, runs.user_id, {} FROM runs WHERE runs.id IN ({})",
            self.stored_key("runs.user_id"),
            places
        );
        let rows = self.database.query(Statement::new(QUERY, sql, unknown)).await?;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (run_id, user_id, stored) = (columns.id()?, columns.id()?, columns.optional_text()?);
            let key = match self.take_key(user_id, run_id, stored).await {
                Err(error @ StorageError::Database(_)) => return Err(error),
                // The key of one person must not end the runs of others.
                key => key,
            };
            keys.insert(run_id, key);
        }
        Ok(keys)
    }

    /// Whether names and details are sealed yet.
    pub(crate) async fn seals_names(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "seals_names";
        if self.keyring.seals_names() {
            return Ok(true);
        }
        let sql = format!("SELECT 1 WHERE NOT {}", waits(NAMES_SINCE));
        let seals = !self.database.query(Statement::new(QUERY, sql, [])).await?.is_empty();
        if seals {
            self.keyring.note_seals_names();
        }
        Ok(seals)
    }

    /// The keys of several people, to read with: those that there are, in one statement. A key that cannot be used is an error of its own.
    pub(crate) async fn existing_data_keys(
        &self,
        user_ids: BTreeSet<Id>,
    ) -> Result<BTreeMap<Id, Result<Arc<PersonKey>, StorageError>>, StorageError> {
        const QUERY: &str = "data_keys_of_people";
        let (mut keys, mut unknown) = (BTreeMap::new(), Vec::new());
        for user_id in user_ids {
            match self.keyring.of_user(user_id) {
                Some(key) => drop(keys.insert(user_id, Ok(key))),
                None => unknown.push(Value::from(user_id)),
            }
        }
        if unknown.is_empty() {
            return Ok(keys);
        }
        unknown.resize(unknown.len().next_power_of_two(), Value::Null);
        let places = places(1..=unknown.len());
        let sql = format!(
            "SELECT data_keys.user_id, {} FROM data_keys WHERE data_keys.user_id IN ({})",
            self.stored(),
            places
        );
        let rows = self.database.query(Statement::new(QUERY, sql, unknown)).await?;
        // Master keys that were looked for in vain are not looked for again.
        let mut missing = BTreeSet::new();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (user_id, stored) = (columns.id()?, columns.text()?);
            let master_key = stored.split(' ').nth(2).unwrap_or_default();
            let key = match master_key {
                GIVEN_UP => Err(StorageError::KeyDestroyed),
                _ if missing.contains(master_key) => Err(StorageError::MasterKeyMissing(master_key.to_owned())),
                _ => self.unwrapped(user_id, None, stored).await,
            };
            match key {
                Err(error @ StorageError::Database(_)) => return Err(error),
                Err(StorageError::MasterKeyMissing(id)) => {
                    missing.insert(id.clone());
                    keys.insert(user_id, Err(StorageError::MasterKeyMissing(id)));
                }
                key => drop(keys.insert(user_id, key)),
            }
        }
        Ok(keys)
    }

    /// Destroys a person's data key: nothing that was sealed with it can be read again, here or in any copy of the database that is made from now on, and
    /// nothing new can be sealed for them. Instances forget the key within a minute. `false`: there was none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn destroy_data_key(&self, user_id: Id) -> Result<bool, StorageError> {
        let sql =
            "UPDATE data_keys SET wrapped = '', master_key = '', former_id = NULL, former_wrapped = NULL, former_master_key = NULL
             WHERE user_id = ?1 AND wrapped <> '' RETURNING user_id";
        let statement = Statement::new("destroy_data_key", sql, [user_id.into()]).durably();
        let destroyed = !self.database.query(statement).await?.is_empty();
        self.keyring.forget(user_id);
        Ok(destroyed)
    }
}

/// A data key that was changed outside is told from a text that was.
fn opened(unwrapped: Result<DataKey, VaultError>) -> Result<DataKey, StorageError> {
    match unwrapped {
        Err(VaultError::Unopenable) => Err(StorageError::KeyDamaged),
        unwrapped => Ok(unwrapped?),
    }
}

/// Passes on what is not about a key that cannot be used.
pub(crate) fn unusable(error: StorageError) -> Result<(), StorageError> {
    match error {
        StorageError::MasterKeyMissing(_)
        | StorageError::NoMasterKey
        | StorageError::KeyDestroyed
        | StorageError::KeyDamaged
        | StorageError::Vault(_)
        | StorageError::Row { .. }
        | StorageError::Database(DatabaseError::Orphaned { .. }) => Ok(()),
        error => Err(error),
    }
}

/// Whether what [`Store::stored_key`] selected is a key that was given up.
fn is_given_up(stored: &str) -> bool {
    StoredKey::parse(stored).is_some_and(|stored| stored.key.master_key == GIVEN_UP)
}

fn has_sealed(rows: &[Row]) -> bool {
    rows.iter().flat_map(|row| &row.0).any(|value| matches!(value, Value::Text(text) if may_be_sealed(text)))
}
