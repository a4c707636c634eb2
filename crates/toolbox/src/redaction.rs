//! Removes secrets that were passed to a tool from the tool's results, before a model, a log or a person sees them.
//!
//! This protects against accidents: a server that repeats a request in its error, a tool that prints its input. A tool that wants to disclose a
//! secret can encode it in another way, which is not detected here.

use mcp::{Content, Map, Outcome, Resource, ResourceBody};
use serde_json::Value;

use crate::CallFailure;

/// The shortest secret that is removed. Shorter ones occur in many texts by chance, and removing them would disclose more than it hides.
pub const MIN_CHARS: usize = 8;
/// The text in place of a secret.
pub const REDACTED: &str = "[secret]";

/// The secrets to remove.
#[derive(Default)]
pub struct Redaction {
    /// The longest first, so that a secret that is part of another does not leave the rest of the other behind.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction").field("secrets", &self.secrets.len()).finish()
    }
}

impl Redaction {
    /// Removes these values. Values shorter than [`MIN_CHARS`] are ignored.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets = Vec::new();
        for value in values.into_iter().filter(|value| value.chars().nth(MIN_CHARS.saturating_sub(1)).is_some()) {
            // The secret as it is escaped in a JSON text.
            let quoted = Value::from(value).to_string();
            let escaped = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
            if escaped != value && !escaped.is_empty() {
                secrets.push(escaped.to_owned());
            }
            secrets.push(value.to_owned());
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// Removes the secrets from a result. The data of images and audio stays unchanged.
    #[must_use]
    pub fn outcome(&self, mut outcome: Outcome) -> Outcome {
        if self.secrets.is_empty() {
            return outcome;
        }
        for content in &mut outcome.content {
            self.content(content);
        }
        if let Some(structured) = &mut outcome.structured {
            self.json(structured);
        }
        outcome
    }

    /// Removes the secrets from a failure.
    #[must_use]
    pub fn failure(&self, mut failure: CallFailure) -> CallFailure {
        match &mut failure {
            CallFailure::InvalidArguments(words)
            | CallFailure::NotConfigured(words)
            | CallFailure::Upstream(words)
            | CallFailure::Unanswerable { question: words, .. }
            | CallFailure::Unreachable(words) => self.text(words),
            CallFailure::InputNeeded(needed) => {
                let mut requests = Value::Object(std::mem::take(&mut needed.requests));
                self.json(&mut requests);
                if let Value::Object(requests) = requests {
                    needed.requests = requests;
                }
            }
            CallFailure::Unknown
            | CallFailure::TimedOut
            | CallFailure::Outlasts
            | CallFailure::TaskLost
            | CallFailure::TooLarge
            | CallFailure::Crashed { .. }
            | CallFailure::NotInstalled { .. } => {}
        }
        failure
    }

    /// Removes the secrets from a text.
    pub fn text(&self, text: &mut String) {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), REDACTED);
            }
        }
    }

    fn content(&self, content: &mut Content) {
        match content {
            Content::Text { text } => self.text(text),
            Content::Image { mime_type, .. } | Content::Audio { mime_type, .. } => self.text(mime_type),
            Content::ResourceLink(Resource { uri, name, title, description, mime_type, annotations, .. }) => {
                [uri, name]
                    .into_iter()
                    .chain([title, description, mime_type].into_iter().flatten())
                    .for_each(|text| self.text(text));
                if let Some(annotations) = annotations {
                    let mut value = Value::Object(std::mem::take(annotations));
                    self.json(&mut value);
                    if let Value::Object(redacted) = value {
                        *annotations = redacted;
                    }
                }
            }
            Content::Resource { resource } => {
                self.text(&mut resource.uri);
                resource.mime_type.iter_mut().for_each(|mime_type| self.text(mime_type));
                if let ResourceBody::Text(text) = &mut resource.body {
                    self.text(text);
                }
            }
            Content::Other(kind) => self.text(kind),
        }
    }

    /// Removes the secrets from strings, names of fields, and numbers with the same digits.
    fn json(&self, value: &mut Value) {
        // Not recursive, because the tool's server chooses the depth.
        let mut waiting = vec![value];
        while let Some(value) = waiting.pop() {
            match value {
                Value::String(text) => self.text(text),
                Value::Number(number) => {
                    let mut text = number.to_string();
                    self.text(&mut text);
                    if text.contains(REDACTED) {
                        *value = Value::String(text);
                    }
                }
                Value::Array(items) => waiting.extend(items),
                Value::Object(fields) => {
                    if fields.keys().any(|name| self.secrets.iter().any(|secret| name.contains(secret.as_str()))) {
                        let renamed = std::mem::take(fields).into_iter().map(|(mut name, value)| {
                            self.text(&mut name);
                            (name, value)
                        });
                        *fields = renamed.collect::<Map>();
                    }
                    waiting.extend(fields.values_mut());
                }
                Value::Null | Value::Bool(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp::ResourceContents;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_taken_out_of_every_text_of_a_result() {
        let secret = "corréct horse";
        let resource = Resource { uri: format!("x:{secret}"), description: Some(secret.into()), ..Resource::default() };
        let contents = ResourceContents {
            uri: secret.into(),
            mime_type: Some(secret.into()),
            body: ResourceBody::Text(format!("{secret}{secret}")),
        };
        let outcome = Outcome {
            content: vec![
                Content::text(format!("the password is {secret}.")),
                Content::ResourceLink(resource),
                Content::Resource { resource: contents },
            ],
            structured: Some(
                json!({"a": [{"b": secret}, 7, null], format!("key {secret}"): {"c": format!("<{secret}>")}}),
            ),
            is_error: true,
        };
        let redacted = Redaction::new([secret]).outcome(outcome);
        assert!(!format!("{redacted:?}").contains(secret), "{redacted:?}");
        assert_eq!(redacted.content[0], Content::text("the password is [secret]."));
        assert_eq!(
            redacted.structured,
            Some(json!({"a": [{"b": "[secret]"}, 7, null], "key [secret]": {"c": "<[secret]>"}}))
        );
        assert!(redacted.is_error);
    }

    #[test]
    fn also_where_it_is_written_in_json_as_a_number_or_within_another_one() {
        let redaction = Redaction::new(["pass\"word\\1", "12345678", "12345678-and-more"]);
        let outcome = Outcome {
            content: vec![Content::text(json!({"p": "pass\"word\\1"}).to_string()), Content::text("12345678-and-more")],
            structured: Some(json!([12_345_678, 1_234_567])),
            is_error: false,
        };
        let redacted = redaction.outcome(outcome);
        assert_eq!(redacted.content, [Content::text(r#"{"p":"[secret]"}"#), Content::text("[secret]")]);
        assert_eq!(redacted.structured, Some(json!(["[secret]", 1_234_567])));
    }

    #[test]
    fn what_is_short_and_what_is_not_there_changes_nothing() {
        let outcome = Outcome { content: vec![Content::text("1234567 is not 12345678")], ..Outcome::default() };
        assert_eq!(Redaction::new(["1234567", ""]).outcome(outcome.clone()), outcome);
        assert_eq!(Redaction::new(["something else"]).outcome(outcome.clone()), outcome);
        let failure = Redaction::new(["something else"]).failure(CallFailure::TimedOut);
        assert_eq!(failure, CallFailure::TimedOut);
    }

    #[test]
    fn a_failure_does_not_repeat_it_and_neither_does_debug() {
        let redaction = Redaction::new(["correct horse"]);
        let failure = redaction.failure(CallFailure::Upstream("401 for correct horse".to_owned()));
        assert_eq!(failure, CallFailure::Upstream("401 for [secret]".to_owned()));
        assert!(!format!("{redaction:?}").contains("horse"));
    }
}
