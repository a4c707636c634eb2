//! Texts as they are stored: sealed when they are written, opened when they are read. What cannot be opened is told in words where it was, and keeps nobody
//! from reading what is beside it.

use std::sync::Arc;

use vault::{Place, VaultError, looks_sealed};

use crate::{StorageError, Value, data_keys::PersonKey, database::storable};

/// What stands for a text that cannot be read, in columns that people read. Others, which hold JSON, are empty then.
const LOST: &str = "(This can no longer be read: the key that it was encrypted with is lost.)";
/// As [`LOST`], of a text that was changed outside, or moved from another place.
const DAMAGED: &str = "(This cannot be read: its text is damaged.)";
const IN_WORDS: [&str; 8] =
    ["content", "title", "reasoning", "error_message", "message", "result", "name", "client_name"];

/// Opens nothing: what is sealed is told in words.
pub(crate) const NO_KEY: Opener = Opener(None);

/// Opens what was read of one person.
pub(crate) struct Opener(Option<Arc<PersonKey>>);

impl Opener {
    /// With the person's key, if they have one.
    pub(crate) const fn new(key: Option<Arc<PersonKey>>) -> Self {
        Self(key)
    }

    /// The text that was stored at a place. What another key sealed, or one whose row is gone, counts as lost: it is never shown as it is stored. What
    /// cannot be opened is told in words.
    pub(crate) fn open(&self, place: Place<'_>, stored: &str) -> Result<String, StorageError> {
        let opened = match &self.0 {
            Some(key) if key.has_sealed(stored) => key.open(place, stored),
            Some(key) if key.has_lost(stored) => Err(VaultError::Lost),
            _ if looks_sealed(stored) => Err(VaultError::Lost),
            _ => return Ok(stored.to_owned()),
        };
        let words = match opened {
            Err(VaultError::Lost) => LOST,
            Err(VaultError::Unopenable) => DAMAGED,
            opened => return Ok(opened?),
        };
        Ok(if IN_WORDS.contains(&place.column) { words.to_owned() } else { String::new() })
    }

    /// As [`Self::open`], of a column that may be null.
    pub(crate) fn open_optional(&self, place: Place<'_>, stored: Option<&str>) -> Result<Option<String>, StorageError> {
        stored.map(|stored| self.open(place, stored)).transpose()
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

/// As [`seal`], for names and details: a release before kept them in clear, and its hosts may still run.
pub(crate) fn seal_name(key: &PersonKey, place: Place<'_>, text: &str) -> Result<Value, StorageError> {
    if key.seals_names { seal(key, place, text) } else { Ok(text.into()) }
}
