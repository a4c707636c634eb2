//! A tool provider: what it offers stands in `provider!`, each tool is a function below. `docs/tools.md` is the guide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Failure, Structured, provider, tool};

provider! { name: "letters", title: "Letters", tools: [count] }

/// Nobody interrupts a long loop, and whatever else the instance is doing waits for it: bound the work.
const TEXT_MAX_BYTES: usize = 100_000;

// Each field's comment is its description in the schema that the model gets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Count {
    /// Where to look.
    text: String,
    /// The letter or word to count.
    wanted: String,
}

// With `Structured`, the result has a schema too. A tool may also return a plain `String`.
#[derive(Serialize, JsonSchema, Debug, PartialEq)]
struct Counted {
    /// How often it is there, capital or not.
    count: usize,
}

/// Counts how often a letter or word is in a text. Use it instead of counting yourself.
#[tool(title = "Count letters", read_only, closed_world)]
async fn count(arguments: Count) -> Result<Structured<Counted>, Failure> {
    Ok(Structured(Counted { count: occurrences(&arguments.text, &arguments.wanted)? }))
}

/// What the tool does, apart from being a tool, so that a test can call it.
fn occurrences(text: &str, wanted: &str) -> Result<usize, Failure> {
    // The model reads these words and tries again: say what to do.
    if wanted.is_empty() {
        return Err(Failure::InvalidArguments("Say in `wanted` which letter or word to count.".to_owned()));
    }
    if text.len() > TEXT_MAX_BYTES {
        return Err(Failure::InvalidArguments(format!("Send at most {TEXT_MAX_BYTES} bytes of text at once.")));
    }
    Ok(text.to_lowercase().matches(&wanted.to_lowercase()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_capital_or_not() {
        assert_eq!(occurrences("Strawberry, Rhubarb", "r"), Ok(5));
        assert_eq!(occurrences("", "r"), Ok(0));
    }

    #[test]
    fn what_is_to_be_counted_must_be_said() {
        assert!(matches!(occurrences("strawberry", ""), Err(Failure::InvalidArguments(_))));
    }
}
