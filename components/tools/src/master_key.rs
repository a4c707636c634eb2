//! The key that an operator configures for people's secrets. What it seals and opens is not here.

use std::fmt;

use vault::{Keys, VaultError};
use zeroize::Zeroizing;

/// The variable `master_key`.
#[derive(Clone, Default)]
pub(crate) struct MasterKey(pub(crate) Zeroizing<String>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// As it is configured.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<VaultError> {
        if self.is_empty() { None } else { Keys::parse(&self.0).err() }
    }

    /// Whether none is configured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}
