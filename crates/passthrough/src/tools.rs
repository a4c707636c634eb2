//! Tells the tools of a program from those that a provider runs, which cost besides tokens. Must not look into their schemas.

use serde_json::value::RawValue;

use crate::words::{Word, words};

/// The types of tools that the program runs.
const OWN: [&str; 2] = ["function", "custom"];

/// Whether all tools of a list are the program's own. One without a type is.
pub(crate) fn are_own(tools: &RawValue) -> bool {
    let (mut depth, mut is_type) = (0_usize, false);
    words(tools).all(|word| {
        match word {
            Word::Open => depth = depth.saturating_add(1),
            Word::Close => depth = depth.saturating_sub(1),
            Word::Name(name) => is_type = depth == 1 && name.read() == "type",
            Word::Text(text) => return !is_type || OWN.contains(&&*text.read()),
            Word::Value | Word::Null => {}
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_of_a_provider_are_noticed_however_they_are_written() {
        let own = |json: &str| are_own(&RawValue::from_string(json.to_owned()).unwrap());
        for tools in [
            "[]",
            "null",
            r#"[{"function":{"name":"f"}}]"#,
            r#"[{"type":"function","function":{"parameters":{"type":"object"}}},{"name":"g","type":"custom"}]"#,
        ] {
            assert!(own(tools), "{tools}");
        }
        for tools in [
            r#"[{"type":"function"},{"type":"web_search"}]"#,
            r#"[{"function":{"type":"function"},"type":"mcp"}]"#,
            // Python takes the last of two.
            r#"[{"type":"function","type":"web_search"}]"#,
            r#"[5,{"\u0074ype":"web_search","description":"\ud83d"}]"#,
        ] {
            assert!(!own(tools), "{tools}");
        }
    }
}
