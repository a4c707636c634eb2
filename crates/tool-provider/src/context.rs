//! The context of a call: everything that a tool may know besides its arguments. It never says who calls.

use std::{fmt, time::Duration};

use crate::Failure;

/// The context of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// The call's id, the same for every attempt.
    pub id: String,
    /// The person's locale (BCP 47), such as `en` or `pt-BR`.
    pub locale: String,
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
            .field("locale", &self.locale)
            .field("deadline", &self.deadline)
            .field("secrets", &secrets)
            .finish()
    }
}

impl Context {
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
