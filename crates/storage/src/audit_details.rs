//! Details of the record: sealed when they are written, opened when they are read. Only their text is sealed; the chain has the digest of what was said
//! (docs/adr/0040), so it can be checked by whoever has the keys, and nobody else learns what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use audit::verification::Detail;
use domain::Id;
use vault::{Place, VaultError, looks_sealed};

use crate::{
    Database, StorageError, Store, Value,
    data_keys::{PersonKey, unusable},
    installation_secrets::DetailsKeys,
    sealed_texts::seal_name,
};

/// Stands for a detail that cannot be read.
const UNREADABLE: &str = "(This detail cannot be read: the key that it was encrypted with is missing or gone.)";
/// Stands for a detail for which there was no key when it was recorded.
pub(crate) const NOT_KEPT: &str = "(The detail was not kept: there was no key to encrypt it with.)";

/// Where the detail of an event is.
pub(crate) const fn place(event_id: &str) -> Place<'_> {
    Place { table: "audit_details", row: event_id, column: "detail" }
}

/// The actions whose details outlive whoever did them, as patterns of SQL's `LIKE`: they say what was done to others, and nobody gets rid of them by being
/// erased. Providers are those of models: where everybody's texts went. The installation's webhooks tell everybody's events.
const OUTLIVING: [&str; 11] = [
    "user.%",
    "group.%",
    "role.%",
    "service_account.%",
    "invitation.%",
    "retention.%",
    "limits.set",
    "session.end",
    "policy.set",
    "provider.set",
    "installation_webhook.%",
];

/// The SQL condition for these.
pub(crate) fn outliving() -> String {
    let conditions: Vec<String> =
        OUTLIVING.iter().map(|pattern| format!("audit_events.action LIKE '{pattern}'")).collect();
    format!("({})", conditions.join(" OR "))
}

/// Whether the details of an action outlive whoever did it.
pub(crate) fn outlives(action: &str) -> bool {
    OUTLIVING.iter().any(|pattern| match pattern.strip_suffix('%') {
        Some(beginning) => action.starts_with(beginning),
        None => action == *pattern,
    })
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
        if !self.seals_names().await? {
            return Ok(Some(detail.into()));
        }
        if !outlives(action)
            && let Some(key) = self.data_key_if_usable(user_id).await?
        {
            return seal_name(&key, place(&row), detail).map(Some);
        }
        match self.details_key().await {
            Ok(key) => Ok(Some(Value::Text(key.seal(place(&row), detail)?))),
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
        let mut opener = DetailOpener { people: BTreeMap::new(), installation: DetailsKeys::default() };
        if sealed.is_empty() {
            return Ok(opener);
        }
        for (user_id, key) in self.existing_data_keys(sealed).await? {
            let key = match key {
                Ok(key) => Some(key),
                Err(error) => unusable(error).map(|()| None)?,
            };
            opener.people.insert(user_id, key);
        }
        opener.installation = self.details_keys().await?;
        Ok(opener)
    }
}

/// The keys of details that were read.
pub(crate) struct DetailOpener {
    /// `None`: the person's key cannot be used.
    people: BTreeMap<Id, Option<Arc<PersonKey>>>,
    installation: DetailsKeys,
}

impl DetailOpener {
    fn opened(&self, user_id: Id, event_id: &str, stored: &str) -> Option<Result<String, VaultError>> {
        let person = self.people.get(&user_id).and_then(Option::as_ref).map(|key| &***key);
        let installation = self.installation.all.iter().map(|key| &**key);
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

    /// A detail to be checked. One that its key does not open is not what was stored; nor is one that names a key which there never was.
    pub(crate) fn checked(
        &self,
        (user_id, has_account): (Id, bool),
        (event_id, action): (&str, &str),
        stored: &str,
    ) -> Detail {
        match self.opened(user_id, event_id, stored) {
            Some(Ok(text)) => Detail::Read(text),
            Some(Err(_)) => Detail::Damaged,
            None if self.installation.is_incomplete => Detail::Unread,
            None if outlives(action) => Detail::Damaged,
            None => match self.people.get(&user_id) {
                Some(Some(key)) if !key.has_lost(stored) => Detail::Damaged,
                None if has_account => Detail::Damaged,
                _ => Detail::Unread,
            },
        }
    }
}
