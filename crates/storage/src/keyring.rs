//! The keys that an instance has: master keys as far as they were needed, and unwrapped data keys for a while, so that a request needs no statement for them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cache::Cache;
use domain::Id;
use vault::Keys;

use crate::{StorageError, data_keys::PersonKey, installation_secrets::DetailsKeys, master_keys::MasterKey};

/// How long an instance keeps a key: a destroyed one opens nothing any more after this.
const KEPT: Duration = Duration::from_secs(60);
/// The most keys, and the most runs whose keys are known, that an instance keeps: more than it has people and runs at once.
const MAX_KEPT: usize = 128;

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
    /// Whether names and details are sealed by now.
    seals_names: bool,
    /// The configured ones alone.
    configured: Option<Arc<Keys>>,
    by_user: Cache<Id, Arc<PersonKey>>,
    by_run: Cache<Id, Arc<PersonKey>>,
    /// The installation's data keys, and since when.
    details_keys: Option<(DetailsKeys, Instant)>,
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
            known: Mutex::new(Known {
                masters: None,
                has_generated: false,
                seals_names: false,
                configured: None,
                by_user,
                by_run,
                details_keys: None,
            }),
            started: Instant::now(),
        }
    }

    pub(crate) const fn master(&self) -> &MasterKey {
        &self.master
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of_user(&self, user_id: Id) -> Option<Arc<PersonKey>> {
        self.known().by_user.get(&user_id, self.started.elapsed()).cloned()
    }

    pub(crate) fn of_run(&self, run_id: Id) -> Option<Arc<PersonKey>> {
        self.known().by_run.get(&run_id, self.started.elapsed()).cloned()
    }

    pub(crate) fn keep(&self, user_id: Id, run_id: Option<Id>, key: &Arc<PersonKey>) {
        let until = self.started.elapsed().saturating_add(KEPT);
        let mut known = self.known();
        known.by_user.insert(user_id, Arc::clone(key), until);
        if let Some(run_id) = run_id {
            known.by_run.insert(run_id, Arc::clone(key), until);
        }
    }

    /// Forgets what is known of a person.
    pub(crate) fn forget(&self, user_id: Id) {
        let mut known = self.known();
        let now = self.started.elapsed();
        if let Some(gone) = known.by_user.take(&user_id, now) {
            // Whichever runs have it: they are few, and the next statement finds their keys again.
            drop(gone);
            known.by_run = Cache::new(MAX_KEPT);
        }
    }

    /// The installation's data keys, if they were read lately.
    pub(crate) fn details_keys(&self) -> Option<DetailsKeys> {
        let known = self.known();
        known.details_keys.as_ref().filter(|(_, since)| since.elapsed() < KEPT).map(|(keys, _)| keys.clone())
    }

    pub(crate) fn keep_details_keys(&self, keys: &DetailsKeys) {
        self.known().details_keys = Some((keys.clone(), Instant::now()));
    }

    pub(crate) fn forget_details_keys(&self) {
        self.known().details_keys = None;
    }

    /// The configured master keys. `None`: none is.
    pub(crate) fn configured(&self) -> Result<Option<Arc<Keys>>, StorageError> {
        if self.master.is_empty() {
            return Ok(None);
        }
        if let Some(keys) = self.known().configured.clone() {
            return Ok(Some(keys));
        }
        let keys = self.master.with_generated(&[])?.map(Arc::new);
        self.known().configured.clone_from(&keys);
        Ok(keys)
    }

    /// The ids of the configured master keys, the one that wraps first. `None`: this component was not given them.
    pub(crate) fn configured_ids(&self) -> Option<Vec<String>> {
        let keys = self.configured().ok().flatten();
        let ids = keys.map(|keys| keys.ids().map(str::to_owned).collect());
        self.master.is_granted().then(|| ids.unwrap_or_default())
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

    /// Whether names and details are sealed by now, as far as it is known.
    pub(crate) fn seals_names(&self) -> bool {
        self.known().seals_names
    }

    /// Notes that they are: they are from then on.
    pub(crate) fn note_seals_names(&self) {
        self.known().seals_names = true;
    }

    /// The master keys, as far as they were needed.
    pub(crate) fn known_masters(&self) -> Option<Arc<Keys>> {
        self.known().masters.clone()
    }
}
