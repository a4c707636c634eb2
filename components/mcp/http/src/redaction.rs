//! What a request was entrusted with, taken out of what comes back. The house takes out secrets as people entered them; only here is it known
//! what they became in the request. Must not change anything else.

use serde_json::Value;
use tool_provider::Failure;

/// What is shorter is in too many texts by chance; as in the house.
const CHARS_MIN: usize = 8;
/// What is there instead; as in the house.
const REDACTED: &str = "[secret]";

/// Texts that only the API may see.
#[derive(Default)]
pub(crate) struct Redaction {
    /// The longest first, so that what is part of another does not leave the rest of it behind.
    secrets: Vec<String>,
}

impl Redaction {
    /// Adds a text as it is, and as it looks in JSON.
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

    /// The text without them.
    pub(crate) fn text(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        text
    }

    /// What went wrong, without them.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
        match failure {
            Failure::InvalidArguments(words) => Failure::InvalidArguments(self.text(words)),
            Failure::NotConfigured(words) => Failure::NotConfigured(self.text(words)),
            Failure::UpstreamFailed(words) => Failure::UpstreamFailed(self.text(words)),
            Failure::TimedOut => Failure::TimedOut,
        }
    }
}
