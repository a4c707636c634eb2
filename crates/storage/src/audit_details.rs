//! Details of the record: sealed when they are written, opened when they are read. Only their text is sealed; the chain has the digest of what was said
//! (docs/adr/0040), so it can be checked by whoever has the keys, and nobody else learns what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use audit::verification::Detail;
use domain::Id;
use vault::{DataKey, Place, VaultError, looks_sealed};

use crate::{Database, DatabaseError, StorageError, Store, Value, data_keys::PersonKey, sealed_texts::seal_name};

/// Stands for a detail that cannot be read.
const UNREADABLE: &str = "(This detail cannot be read: the key that it was encrypted with is missing or gone.)";
/// Stands for a detail for which there was no key when it was recorded.
pub(crate) const NOT_KEPT: &str = "(The detail was not kept: there was no key to encrypt it with.)";

/// Where the detail of an event is.
pub(crate) const fn place(event_id: &str) -> Place<'_> {
    Place { table: "audit_details", row: event_id, column: "detail" }
}

/// Whether the details of an action outlive whoever did it: they say what was done to others, and nobody gets rid of them by being erased. `erasures.rs`
/// says the same in SQL.
pub(crate) fn outlives(action: &str) -> bool {
    ["user.", "group.", "role.", "service_account.", "invitation."].iter().any(|kind| action.starts_with(kind))
        || matches!(action, "session.end" | "policy.set")
}

impl<D: Database> Store<D> {
    /// A detail as it is stored. `None`: there is no key for it.
    pub(crate) async fn sealed_detail(
        &self,
        event_id: Id,
        (user_id, action): (Id, &str),
        detail: &str,
    ) -> Result<Option<Value>, StorageError> {
        let row = event_id.to_string();
        let own = match outlives(action) {
            true => None,
            false => match self.data_key(user_id).await {
                Ok(key) => Some(key),
                Err(error) => unusable(error).map(|()| None)?,
            },
        };
        if let Some(key) = own {
            return seal_name(&key, place(&row), detail).map(Some);
        }
        match self.details_key().await {
            Ok(key) if self.seals_names().await? => Ok(Some(Value::Text(key.seal(place(&row), detail)?))),
            Ok(_) => Ok(Some(detail.into())),
            Err(error) => unusable(error).map(|()| None),
        }
    }

    /// Opens details of events of these people.
    pub(crate) async fn detail_opener(
        &self,
        details: impl Iterator<Item = (Id, &str)>,
    ) -> Result<DetailOpener, StorageError> {
        let sealed: BTreeSet<Id> =
            details.filter(|(_, detail)| looks_sealed(detail)).map(|(user_id, _)| user_id).collect();
        if sealed.is_empty() {
            return Ok(DetailOpener { people: BTreeMap::new(), installation: Vec::new() });
        }
        let mut people = BTreeMap::new();
        for (user_id, key) in self.existing_data_keys(sealed).await? {
            match key {
                Ok(key) => drop(people.insert(user_id, key)),
                Err(error) => unusable(error)?,
            }
        }
        let installation = match self.details_keys().await {
            Ok(keys) => keys.all,
            Err(error) => unusable(error).map(|()| Vec::new())?,
        };
        Ok(DetailOpener { people, installation })
    }
}

/// Passes on what is not about a key that cannot be used.
fn unusable(error: StorageError) -> Result<(), StorageError> {
    match error {
        StorageError::MasterKeyMissing(_)
        | StorageError::NoMasterKey
        | StorageError::KeyDestroyed
        | StorageError::KeyDamaged
        | StorageError::Vault(_)
        | StorageError::Database(DatabaseError::Orphaned { .. }) => Ok(()),
        error => Err(error),
    }
}

/// The keys of details that were read.
pub(crate) struct DetailOpener {
    people: BTreeMap<Id, Arc<PersonKey>>,
    installation: Vec<Arc<DataKey>>,
}

impl DetailOpener {
    fn opened(&self, user_id: Id, event_id: &str, stored: &str) -> Option<Result<String, VaultError>> {
        let person = self.people.get(&user_id).map(|key| &***key);
        let installation = self.installation.iter().map(|key| &**key);
        let key = person.into_iter().chain(installation).find(|key| key.has_sealed(stored));
        match key {
            Some(key) => Some(key.open(place(event_id), stored)),
            None if looks_sealed(stored) => None,
            None => Some(Ok(stored.to_owned())),
        }
    }

    /// A detail for people.
    pub(crate) fn shown(&self, user_id: Id, event_id: &str, stored: &str) -> String {
        self.opened(user_id, event_id, stored).and_then(Result::ok).unwrap_or_else(|| UNREADABLE.to_owned())
    }

    /// A detail to be checked. One that its key does not open is not what was stored.
    pub(crate) fn checked(&self, user_id: Id, event_id: &str, stored: &str) -> Detail {
        match self.opened(user_id, event_id, stored) {
            Some(Ok(text)) => Detail::Read(text),
            Some(Err(_)) => Detail::Damaged,
            None => Detail::Unread,
        }
    }
}
