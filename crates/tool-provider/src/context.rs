//! What a tool may know of the call beside its arguments. Never who calls.

use std::{fmt, time::Duration};

use crate::Failure;

/// A call's circumstances.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// The same for every attempt at the same call.
    pub id: String,
    /// BCP 47, such as `en` or `pt-BR`.
    pub locale: String,
    /// How long the caller waits, from the start of the call.
    pub deadline: Duration,
    /// Of the secrets that the tool names, those that were entered: name and value.
    pub secrets: Vec<(String, String)>,
}

impl fmt::Debug for Context {
    /// Without the values of secrets: whoever prints a context to find a fault does not mean those.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&str> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Context")
            .field("id", &self.id)
            .field("locale", &self.locale)
            .field("deadline", &self.deadline)
            .field("secrets", &secrets)
            .finish()
    }
}

impl Context {
    /// A secret that the tool named in `#[tool(secret = "...")]`.
    ///
    /// # Errors
    /// [`Failure::NotConfigured`] when nobody has entered it.
    pub fn secret(&self, name: &str) -> Result<&str, Failure> {
        let found = self.secrets.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Failure::NotConfigured(format!("Enter \"{name}\" under Tools in the settings first.")))
    }
}
