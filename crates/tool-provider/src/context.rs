//! The context of a call: everything that a tool may know besides its arguments. It never says who calls.

use std::{fmt, time::Duration};

use crate::Failure;

/// The context of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// The call's id, the same for every attempt.
    pub id: String,
    /// What is known of the person, by the contract's names. [`Self::locale`] and [`Self::time_zone`] read it.
    pub preferences: Vec<(String, String)>,
    /// How long the caller waits, from the start of the call.
    pub deadline: Duration,
    /// The name and value of each secret that the tool declares and the person has entered.
    pub secrets: Vec<(String, String)>,
}

impl fmt::Debug for Context {
    /// The values of secrets are left out, so that debug output cannot disclose them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&str> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Context")
            .field("id", &self.id)
            .field("preferences", &self.preferences)
            .field("deadline", &self.deadline)
            .field("secrets", &secrets)
            .finish()
    }
}

/// The language of whoever says nothing about theirs.
const DEFAULT_LOCALE: &str = "en";

impl Context {
    /// The person's language, a BCP 47 tag such as `pt-BR`; `en` if it is not known.
    #[must_use]
    pub fn locale(&self) -> &str {
        self.preference("locale").unwrap_or(DEFAULT_LOCALE)
    }

    /// The IANA name of the person's time zone, such as `Europe/Berlin`, if it is known. A browser may name a zone that `time-zone` does not have.
    #[must_use]
    pub fn time_zone(&self) -> Option<&str> {
        self.preference("time-zone")
    }

    fn preference(&self, name: &str) -> Option<&str> {
        self.preferences.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a secret that the tool declared in `#[tool(secret = "...")]`.
    ///
    /// # Errors
    /// [`Failure::NotConfigured`] if the person has not entered it.
    pub fn secret(&self, name: &str) -> Result<&str, Failure> {
        let found = self.secrets.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Failure::NotConfigured(format!("Enter \"{name}\" under Tools in the settings first.")))
    }
}
