//! Names of APIs, tools, arguments and secrets. Models and the app accept few characters; documents contain all.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// The longest name of an API, with which the tools' names begin.
const API_CHARS_MAX: usize = 24;
/// The longest name of a tool. With `http_` before it, it has the 64 characters that models accept (OpenAI, function names).
const TOOL_CHARS_MAX: usize = 59;
/// The longest name of an argument (Anthropic, property names) or a secret.
const NAME_CHARS_MAX: usize = 64;
/// The digits of the hash that distinguishes equal names.
const HASH_DIGITS: usize = 6;

/// Whether a file may have this name.
pub(crate) fn is_api_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() <= API_CHARS_MAX && name.chars().all(plain)
}

/// An unused name for a tool. `unique` distinguishes the operation from all others.
pub(crate) fn tool(api: &str, operation: &str, unique: &str, taken: &mut BTreeSet<String>) -> Option<String> {
    named(&format!("{api}_{operation}"), unique, TOOL_CHARS_MAX, taken)
}

/// An unused name for an argument. If another argument has the name, the place is added.
pub(crate) fn argument(wanted: &str, place: &str, taken: &mut BTreeSet<String>) -> Option<String> {
    let wanted = if taken.contains(&plain(wanted)) { format!("{wanted}_{place}") } else { wanted.to_owned() };
    named(&wanted, place, NAME_CHARS_MAX, taken)
}

/// An unused name for a secret. It contains a `.`, which occurs in no other part, so no other document can produce the same name and receive what a
/// person entered for this one.
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

/// Replaces everything but letters, digits, `_` and `-` by `_`, without repetitions and not at the ends.
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
