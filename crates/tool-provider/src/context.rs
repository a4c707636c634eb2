//! What a tool may know of the call beside its arguments. Never who calls.

use std::time::Duration;

use crate::Failure;

/// A call's circumstances.
#[derive(Clone, PartialEq, Eq, Debug)]
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

impl Context {
    /// A secret that the tool named in `#[tool(secret = "...")]`.
    ///
    /// # Errors
    /// [`Failure::NotConfigured`] when nobody has entered it.
    pub fn secret(&self, name: &str) -> Result<&str, Failure> {
        let found = self.secrets.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Failure::NotConfigured(format!("Enter \"{name}\" in the settings of this tool first.")))
    }
}
