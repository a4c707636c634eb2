//! The list of models of a server, as `GET {base}/models` answers.

use std::collections::HashSet;

use domain::limits::MAX_MODEL_BYTES;
use serde_json::Value;

/// The most models of one server: resellers have several hundred.
const MAX_LISTED: usize = 2_000;

/// Parts of names of models that answer no questions: they embed, draw, hear, speak or judge.
const OTHER_WORK: [&str; 14] = [
    "embed",
    "whisper",
    "tts",
    "dall-e",
    "moderation",
    "-image",
    "imagen",
    "realtime",
    "transcribe",
    "rerank",
    "-audio",
    "babbage",
    "davinci",
    "sora",
];

/// The names of a list, in its order, each once. Servers write `{"data": [{"id": "m"}]}`; some a plain array, `models`, or `name` for `id`. `None`:
/// the text is no list.
#[must_use]
pub fn listed(body: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let items = match &value {
        Value::Array(items) => items,
        other => ["data", "models"].iter().find_map(|field| other.get(field)?.as_array())?,
    };
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for item in items.iter().take(MAX_LISTED) {
        let name = item.as_str().or_else(|| ["id", "name", "model"].iter().find_map(|field| item.get(field)?.as_str()));
        // Google puts a folder before each name, and takes the name without it.
        let name = name.map(|name| name.strip_prefix("models/").unwrap_or(name).trim());
        let is_name = |name: &&str| {
            let is_odd = |letter: char| letter.is_whitespace() || letter.is_control();
            !name.is_empty() && name.len() <= MAX_MODEL_BYTES && !name.contains(is_odd)
        };
        if let Some(name) = name.filter(is_name)
            && known.insert(name)
        {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

/// Whether a model of this name may be one that answers. Lists do not say it.
#[must_use]
pub fn may_answer(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !OTHER_WORK.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_real_servers_are_read() {
        let names = |body: &str| listed(body.as_bytes());
        let expected = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(names(r#"{"object":"list","data":[{"id":"a"},{"id":"b","owned_by":"x"},{"id":"a"}]}"#), expected);
        assert_eq!(names(r#"[{"id":"a"},{"id":"b"}]"#), expected);
        assert_eq!(names(r#"{"models":[{"name":"models/a"},{"name":"b"},{"name":3},{}]}"#), expected);
        assert_eq!(names(r#"{"data":["a","b",""," ","a b"]}"#), expected);
        assert_eq!(names(r#"{"data":[]}"#), Some(Vec::new()));
        for other in ["", "{}", "<html>", r#"{"data":null}"#, r#"{"error":{"message":"m"}}"#, "null"] {
            assert_eq!(names(other), None, "{other}");
        }
    }

    #[test]
    fn models_for_other_work_are_not_among_those_that_answer() {
        for name in ["gpt-5", "llama3.2:1b", "claude-sonnet-5", "meta-llama/Llama-3.3-70B-Instruct"] {
            assert!(may_answer(name), "{name}");
        }
        for name in ["text-embedding-3-small", "whisper-1", "gpt-4o-mini-tts", "dall-e-3", "omni-moderation-latest"] {
            assert!(!may_answer(name), "{name}");
        }
    }
}
