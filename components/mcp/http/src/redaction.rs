//! Removes the request's secrets from the response. The app removes secrets as people entered them; only this component knows their form in the
//! request. Nothing else may be changed.

use serde_json::Value;
use tool_provider::Failure;

/// Shorter secrets occur in too many texts by chance. The app uses the same limit.
const CHARS_MIN: usize = 8;
/// The text in place of a secret, as in the app.
const REDACTED: &str = "[secret]";

/// The texts that only the API may see.
#[derive(Default)]
pub(crate) struct Redaction {
    /// The longest first. Otherwise the rest of a longer secret would remain when a shorter one is a part of it.
    secrets: Vec<String>,
}

impl Redaction {
    /// Adds a text as it is, and in its JSON form.
    pub(crate) fn add(&mut self, secret: &str) {
        let quoted = Value::from(secret).to_string();
        let quoted = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
        for text in [secret, quoted] {
            let is_long = text.chars().nth(CHARS_MIN.saturating_sub(1)).is_some();
            if is_long && !self.secrets.iter().any(|known| known == text) {
                self.secrets.push(text.to_owned());
            }
        }
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The text without secrets.
    pub(crate) fn text(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        text
    }

    /// The failure without secrets.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
        match failure {
            Failure::InvalidArguments(words) => Failure::InvalidArguments(self.text(words)),
            Failure::NotConfigured(words) => Failure::NotConfigured(self.text(words)),
            Failure::UpstreamFailed(words) => Failure::UpstreamFailed(self.text(words)),
            Failure::TimedOut => Failure::TimedOut,
        }
    }
}
