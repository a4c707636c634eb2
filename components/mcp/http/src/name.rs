//! Names: of APIs, tools, arguments and secrets. Models and the house accept few characters, documents have all.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// The longest name of an API; the tools' names begin with it.
const API_CHARS_MAX: usize = 24;
/// The longest name of a tool: with `http_` before it, it has the 64 characters that models accept (OpenAI, function names).
const TOOL_CHARS_MAX: usize = 59;
/// The longest name of an argument (Anthropic, property names) or a secret.
const NAME_CHARS_MAX: usize = 64;
/// The digits of the hash that tells apart what would have the same name.
const HASH_DIGITS: usize = 6;

/// Whether a file may be called that.
pub(crate) fn is_api_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() <= API_CHARS_MAX && name.chars().all(plain)
}

/// A tool's name that none has yet. `unique` tells the operation from all others.
pub(crate) fn tool(api: &str, operation: &str, unique: &str, taken: &mut BTreeSet<String>) -> Option<String> {
    named(&format!("{api}_{operation}"), unique, TOOL_CHARS_MAX, taken)
}

/// An argument's name that none has yet: with its place where another has its own.
pub(crate) fn argument(wanted: &str, place: &str, taken: &mut BTreeSet<String>) -> Option<String> {
    let wanted = if taken.contains(&plain(wanted)) { format!("{wanted}_{place}") } else { wanted.to_owned() };
    named(&wanted, place, NAME_CHARS_MAX, taken)
}

/// A secret's name that none has yet. With a `.`, which is in no other part of it: nothing that another document says can come to the same
/// name, and get what a person entered for this one.
pub(crate) fn secret(api: &str, scheme: &str, taken: &mut BTreeSet<String>) -> Option<String> {
    let max_chars = NAME_CHARS_MAX.saturating_sub(api.len()).saturating_sub(1);
    Some(format!("{api}.{}", named(scheme, scheme, max_chars, taken)?))
}

fn named(wanted: &str, unique: &str, max_chars: usize, taken: &mut BTreeSet<String>) -> Option<String> {
    let name = plain(wanted);
    if !name.is_empty() && name.len() <= max_chars && taken.insert(name.clone()) {
        return Some(name);
    }
    let hash = Sha256::digest(format!("{wanted}\0{unique}"));
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let digits: String = digits.chars().take(HASH_DIGITS).collect();
    let kept: String = name.chars().take(max_chars.saturating_sub(HASH_DIGITS).saturating_sub(1)).collect();
    let name = format!("{kept}_{digits}");
    taken.insert(name.clone()).then_some(name)
}

/// Letters, digits, `_` and `-`; one `_` for anything else, and none at the ends.
fn plain(name: &str) -> String {
    let mut kept = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '-' {
            kept.push(c);
        } else if !kept.is_empty() && !kept.ends_with('_') {
            kept.push('_');
        }
    }
    kept.truncate(kept.trim_end_matches('_').len());
    kept
}
