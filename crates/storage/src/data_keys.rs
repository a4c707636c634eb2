//! Data keys: each person's texts are sealed with a key of theirs, which is stored wrapped by a master key (docs/adr/0039).
//!
//! This is the only place between stored and domain texts: the store's methods seal what they write with [`Store::data_key`], and open what they read with
//! [`Store::opener`]. Callers see neither keys nor sealed texts. An instance keeps unwrapped keys for a while, so that a request needs no statement for them.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cache::Cache;
use domain::Id;
use vault::{DataKey, Keys, Place, VaultError, WrappedKey, looks_sealed, may_be_sealed};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::storable,
    master_keys::{GENERATED, IS_MASTER, MasterKey, parse_generated},
};

/// How long an instance keeps a key: a destroyed one opens nothing any more after this.
const KEPT: Duration = Duration::from_secs(60);
/// The most keys, and the most runs whose keys are known, that an instance keeps: more than it has people and runs at once.
const MAX_KEPT: usize = 128;

/// What stands for a text whose key is lost, in columns that people read. Others, which hold JSON, are empty then.
const LOST: &str = "(This can no longer be read: the key that it was encrypted with is lost.)";
const IN_WORDS: [&str; 6] = ["content", "title", "reasoning", "error_message", "message", "result"];

/// Stands for the master key of a data key that was given up (docs/runbooks/keys.md).
const GIVEN_UP: &str = "lost";

/// How long after the migration an installation that had people seals nothing: by then, hosts of the earlier release, which take a sealed text for what
/// was said, must be gone (docs/deploy.md).
const WAITS_MS: i64 = 60 * 60 * 1000;

/// A person's data key, and whether texts are sealed with it yet. What is sealed opens either way.
#[derive(Debug)]
pub(crate) struct PersonKey {
    key: DataKey,
    pub(crate) seals: bool,
}

impl Deref for PersonKey {
    type Target = DataKey;

    fn deref(&self) -> &DataKey {
        &self.key
    }
}

/// The keys of an instance.
pub(crate) struct Keyring {
    master: MasterKey,
    known: Mutex<Known>,
    started: Instant,
}

struct Known {
    /// The configured master keys and those that were made here, as far as they were needed.
    masters: Option<Arc<Keys>>,
    /// Whether those that were made here are among them.
    has_generated: bool,
    by_user: Cache<Id, Arc<PersonKey>>,
    by_run: Cache<Id, Arc<PersonKey>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    pub(crate) fn new(master: MasterKey) -> Self {
        let (by_user, by_run) = (Cache::new(MAX_KEPT), Cache::new(MAX_KEPT));
        Self {
            master,
            known: Mutex::new(Known { masters: None, has_generated: false, by_user, by_run }),
            started: Instant::now(),
        }
    }

    pub(crate) const fn master(&self) -> &MasterKey {
        &self.master
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_user(&self, user_id: Id) -> Option<Arc<PersonKey>> {
        self.known().by_user.get(&user_id, self.started.elapsed()).cloned()
    }

    fn of_run(&self, run_id: Id) -> Option<Arc<PersonKey>> {
        self.known().by_run.get(&run_id, self.started.elapsed()).cloned()
    }

    fn keep(&self, user_id: Id, run_id: Option<Id>, key: &Arc<PersonKey>) {
        let until = self.started.elapsed().saturating_add(KEPT);
        let mut known = self.known();
        known.by_user.insert(user_id, Arc::clone(key), until);
        if let Some(run_id) = run_id {
            known.by_run.insert(run_id, Arc::clone(key), until);
        }
    }

    /// Forgets what is known of a person.
    fn forget(&self, user_id: Id) {
        let mut known = self.known();
        let now = self.started.elapsed();
        if let Some(gone) = known.by_user.take(&user_id, now) {
            // Whichever runs have it: they are few, and the next statement finds their keys again.
            drop(gone);
            known.by_run = Cache::new(MAX_KEPT);
        }
    }

    /// The master keys, together with these that were made here.
    pub(crate) fn masters(&self, generated: &[String]) -> Result<Option<Arc<Keys>>, StorageError> {
        let Some(keys) = self.master.with_generated(generated)? else { return Ok(None) };
        let keys = Arc::new(keys);
        self.known().masters = Some(Arc::clone(&keys));
        Ok(Some(keys))
    }

    /// The master keys, if all that there were at some time are known.
    pub(crate) fn all_masters(&self) -> Option<Arc<Keys>> {
        let known = self.known();
        known.masters.clone().filter(|_| known.has_generated)
    }

    /// Notes that all are known.
    pub(crate) fn note_generated(&self) {
        self.known().has_generated = true;
    }

    pub(crate) fn known_masters(&self) -> Option<Arc<Keys>> {
        self.known().masters.clone()
    }
}

/// Opens what was read of one person.
pub(crate) struct Opener(Option<Arc<PersonKey>>);

impl Opener {
    /// For what is never sealed.
    pub(crate) const fn unsealed() -> Self {
        Self(None)
    }

    /// The text that was stored at a place. What another key sealed, or one whose row is gone, counts as lost: it is never shown as it is stored.
    pub(crate) fn open(&self, place: Place<'_>, stored: &str) -> Result<String, StorageError> {
        let opened = match &self.0 {
            Some(key) if key.has_sealed(stored) => key.open(place, stored),
            Some(key) if key.has_lost(stored) => Err(VaultError::Lost),
            _ if looks_sealed(stored) => Err(VaultError::Lost),
            _ => return Ok(stored.to_owned()),
        };
        match opened {
            Err(VaultError::Lost) => Ok(if IN_WORDS.contains(&place.column) { LOST.to_owned() } else { String::new() }),
            opened => opened.map_err(|error| unreadable(place, error)),
        }
    }

    /// As [`Self::open`], of a column that may be null.
    pub(crate) fn open_optional(&self, place: Place<'_>, stored: Option<&str>) -> Result<Option<String>, StorageError> {
        stored.map(|stored| self.open(place, stored)).transpose()
    }
}

fn unreadable(place: Place<'_>, error: VaultError) -> StorageError {
    match error {
        VaultError::Unopenable => {
            StorageError::Unreadable { table: place.table.to_owned(), column: place.column.to_owned() }
        }
        other => other.into(),
    }
}

/// A text to be stored at a place.
pub(crate) fn seal(key: &PersonKey, place: Place<'_>, text: &str) -> Result<Value, StorageError> {
    if !key.seals {
        return Ok(text.into());
    }
    let sealed = match text.contains('\0') {
        true => key.seal(place, &storable(text.to_owned()))?,
        false => key.seal(place, text)?,
    };
    Ok(Value::Text(sealed))
}

/// As [`seal`], for a column that may be null.
pub(crate) fn seal_optional(key: &PersonKey, place: Place<'_>, text: Option<&str>) -> Result<Value, StorageError> {
    text.map_or(Ok(Value::Null), |text| seal(key, place, text))
}

/// A row of `data_keys` as one text, and whether texts are sealed yet.
static STORED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "data_keys.id || ' ' || data_keys.wrapped || ' ' || data_keys.master_key || ' ' || COALESCE(data_keys.lost, '') || ' ' ||
         CASE WHEN EXISTS (SELECT 1 FROM sealing_progress WHERE name = 'conversations' AND began_at > now_ms() - {WAITS_MS})
              THEN '{WAITS}' ELSE '' END"
    )
});

/// Says in [`STORED`] that texts are not sealed yet.
const WAITS: &str = "waits";

/// What [`Store::stored_key`] selects, as it is read.
struct StoredKey {
    key: WrappedKey,
    lost: Vec<String>,
    seals: bool,
    generated: Vec<String>,
}

impl StoredKey {
    /// Reads the text of [`Store::stored_key`].
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let [id, wrapped, master_key] = [parts.next()?, parts.next()?, parts.next()?].map(str::to_owned);
        let lost = parts.next()?.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let seals = parts.next()? != WAITS;
        Some(Self { key: WrappedKey { id, wrapped, master_key }, lost, seals, generated: parse_generated(parts) })
    }
}

impl<D: Database> Store<D> {
    /// The SQL of a person's wrapped key as one text, so that statements that are about a person bring it along. Without a configured master key it
    /// brings those that were made here, too.
    pub(crate) fn stored_key(&self, user_id: &str) -> String {
        let generated = if self.keyring.master.is_empty() {
            format!(
                "|| COALESCE((SELECT string_agg(' ' || {GENERATED}, '') FROM generated_keys WHERE {IS_MASTER}), '')"
            )
        } else {
            String::new()
        };
        format!("(SELECT {} {generated} FROM data_keys WHERE data_keys.user_id = {user_id})", *STORED)
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
        let StoredKey { key, lost, seals, generated } = StoredKey::parse(stored).ok_or(malformed)?;
        if key.wrapped.is_empty() {
            self.keyring.forget(user_id);
            return Err(StorageError::KeyDestroyed);
        }
        let kept = self.keyring.of_user(user_id).filter(|kept| kept.id() == key.id && kept.seals == seals);
        let unwrapped = match kept {
            Some(kept) => kept,
            None => {
                let unwrapped = self.unwrap_with_any(user_id, &key, &generated).await?;
                let key = unwrapped.knowing_lost(lost.iter().map(String::as_str));
                Arc::new(PersonKey { key, seals })
            }
        };
        self.keyring.keep(user_id, run_id, &unwrapped);
        Ok(unwrapped)
    }

    async fn unwrap_with_any(
        &self,
        user_id: Id,
        key: &WrappedKey,
        generated: &[String],
    ) -> Result<DataKey, StorageError> {
        let user_id = user_id.to_string();
        let known = match self.keyring.known_masters() {
            Some(masters) => Some(masters),
            None => self.keyring.masters(generated)?,
        };
        match known.map(|masters| masters.data_key(&user_id, key)) {
            // It may have been made since, or before others were configured.
            None | Some(Err(VaultError::UnknownKey(_))) => {}
            Some(unwrapped) => return Ok(unwrapped?),
        }
        let generated = self.generated_master_keys().await?;
        let missing = || StorageError::MasterKeyMissing(key.master_key.clone());
        match self.keyring.masters(&generated)?.ok_or_else(missing)?.data_key(&user_id, key) {
            Err(VaultError::UnknownKey(_)) => Err(missing()),
            unwrapped => Ok(unwrapped?),
        }
    }

    /// Opens the texts of a person's rows. It needs their key only if one of the texts may be sealed.
    pub(crate) async fn opener(&self, user_id: Id, rows: &[Row]) -> Result<Opener, StorageError> {
        Ok(Opener(if has_sealed(rows) { self.existing_data_key(user_id).await? } else { None }))
    }

    /// As [`Self::opener`], for the person of a run.
    pub(crate) async fn opener_of_run(&self, run_id: Id, rows: &[Row]) -> Result<Opener, StorageError> {
        Ok(Opener(if has_sealed(rows) {
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
        let places: Vec<String> = (1..=unknown.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "SELECT runs.id, runs.user_id, {} FROM runs WHERE runs.id IN ({})",
            self.stored_key("runs.user_id"),
            places.join(", ")
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

    /// Destroys a person's data key: nothing that was sealed with it can be read again, here or in any copy of the database that is made from now on, and
    /// nothing new can be sealed for them. Instances forget the key within a minute. `false`: there was none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn destroy_data_key(&self, user_id: Id) -> Result<bool, StorageError> {
        let sql =
            "UPDATE data_keys SET wrapped = '', master_key = '' WHERE user_id = ?1 AND wrapped <> '' RETURNING user_id";
        let statement = Statement::new("destroy_data_key", sql, [user_id.into()]).durably();
        let destroyed = !self.database.query(statement).await?.is_empty();
        self.keyring.forget(user_id);
        Ok(destroyed)
    }
}

/// Whether what [`Store::stored_key`] selected is a key that was given up.
fn is_given_up(stored: &str) -> bool {
    StoredKey::parse(stored).is_some_and(|stored| stored.key.master_key == GIVEN_UP)
}

fn has_sealed(rows: &[Row]) -> bool {
    rows.iter().flat_map(|row| &row.0).any(|value| matches!(value, Value::Text(text) if may_be_sealed(text)))
}
