//! A table of models that many providers have, so that nobody has to enter what everybody knows. Prices change: what an operator says counts before it
//! (`model_prices`, and the models of a provider).

use domain::prices::Price;

use crate::Facts;

/// When the table was made, from public lists of prices.
pub const AS_OF: &str = "2026-11-30";
/// The currency of its prices (ISO 4217).
pub const CURRENCY: &str = "USD";

/// A window that no list says.
const UNKNOWN: u64 = 0;

/// Name, context window in tokens, abilities (`s`ees, calls `t`ools, `r`easons), and what a million tokens cost, in millionths of a dollar.
type Row = (&'static str, u64, &'static str, u64, u64);

const TABLE: &[Row] = &[
    ("gpt-4o", 128_000, "st", 2_500_000, 10_000_000),
    ("gpt-4o-mini", 128_000, "st", 150_000, 600_000),
    ("gpt-4.1", 1_047_576, "st", 2_000_000, 8_000_000),
    ("gpt-4.1-mini", 1_047_576, "st", 400_000, 1_600_000),
    ("gpt-4.1-nano", 1_047_576, "st", 100_000, 400_000),
    ("o1", 200_000, "str", 15_000_000, 60_000_000),
    ("o3", 200_000, "str", 2_000_000, 8_000_000),
    ("o3-pro", 200_000, "str", 20_000_000, 80_000_000),
    ("o3-mini", 200_000, "tr", 1_100_000, 4_400_000),
    ("o4-mini", 200_000, "str", 1_100_000, 4_400_000),
    ("gpt-5", 400_000, "str", 1_250_000, 10_000_000),
    ("gpt-5-mini", 400_000, "str", 250_000, 2_000_000),
    ("gpt-5-nano", 400_000, "str", 50_000, 400_000),
    ("gpt-5-pro", 400_000, "str", 15_000_000, 120_000_000),
    ("gpt-5.1", 400_000, "str", 1_250_000, 10_000_000),
    ("gpt-5.1-codex", 400_000, "str", 1_250_000, 10_000_000),
    ("gpt-5.1-codex-mini", 400_000, "str", 250_000, 2_000_000),
    ("gpt-5.2", 400_000, "str", 1_750_000, 14_000_000),
    ("gpt-5.2-pro", 400_000, "str", 21_000_000, 168_000_000),
    ("gpt-5.4", UNKNOWN, "str", 2_500_000, 15_000_000),
    ("gpt-5.4-mini", UNKNOWN, "str", 750_000, 4_500_000),
    ("gpt-5.4-nano", UNKNOWN, "str", 200_000, 1_250_000),
    ("gpt-5.5", UNKNOWN, "str", 5_000_000, 30_000_000),
    ("claude-3-haiku", 200_000, "st", 250_000, 1_250_000),
    ("claude-3-5-haiku", 200_000, "st", 800_000, 4_000_000),
    ("claude-3-5-sonnet", 200_000, "st", 3_000_000, 15_000_000),
    ("claude-3-7-sonnet", 200_000, "str", 3_000_000, 15_000_000),
    ("claude-haiku-4-5", 200_000, "str", 1_000_000, 5_000_000),
    ("claude-sonnet-4", 200_000, "str", 3_000_000, 15_000_000),
    ("claude-sonnet-4-5", 200_000, "str", 3_000_000, 15_000_000),
    ("claude-sonnet-5", UNKNOWN, "str", 2_000_000, 10_000_000),
    ("claude-opus-4", 200_000, "str", 15_000_000, 75_000_000),
    ("claude-opus-4-1", 200_000, "str", 15_000_000, 75_000_000),
    ("claude-opus-4-5", 200_000, "str", 5_000_000, 25_000_000),
    ("claude-opus-5", UNKNOWN, "str", 5_000_000, 25_000_000),
    ("gemini-2.0-flash", 1_048_576, "st", 100_000, 400_000),
    ("gemini-2.0-flash-lite", 1_048_576, "st", 75_000, 300_000),
    ("gemini-2.5-flash", 1_048_576, "str", 300_000, 2_500_000),
    ("gemini-2.5-flash-lite", 1_048_576, "str", 100_000, 400_000),
    ("gemini-2.5-pro", 1_048_576, "str", 1_250_000, 10_000_000),
    ("gemini-3-flash", 1_048_576, "str", 500_000, 3_000_000),
    ("gemini-3-pro", 1_048_576, "str", 2_000_000, 12_000_000),
    ("gemini-3.5-flash", UNKNOWN, "str", 1_500_000, 9_000_000),
    ("mistral-small", 128_000, "st", 100_000, 300_000),
    ("mistral-large", 128_000, "t", 2_000_000, 6_000_000),
    ("codestral", 256_000, "t", 300_000, 900_000),
    ("magistral-medium", 40_000, "tr", 2_000_000, 5_000_000),
    ("deepseek-chat", 128_000, "t", 270_000, 1_100_000),
    ("deepseek-reasoner", 128_000, "tr", 550_000, 2_190_000),
];

/// What the table says about a model, by its name: also with the folder of a reseller before it and a date or `latest` behind it, and with `.` for `-`.
/// `None`: it does not know it.
#[must_use]
pub fn known(name: &str) -> Option<Facts> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let fitting = TABLE.iter().filter(|(known, ..)| is_version(name, known));
    let &(_, window, abilities, input, output) = fitting.max_by_key(|(known, ..)| known.len())?;
    let can = |ability| Some(abilities.contains(ability));
    Some(Facts {
        context_window_tokens: (window != UNKNOWN).then_some(window),
        sees: can('s'),
        calls_tools: can('t'),
        reasons: can('r'),
        price: Some(Price { input, output }),
    })
}

/// Whether a name is that of a known model, or of a dated version of it. A longer name is another model.
fn is_version(name: &str, known: &str) -> bool {
    let Some((name, rest)) = name.split_at_checked(known.len()) else { return false };
    let plain = |letter: u8| if letter == b'.' { b'-' } else { letter.to_ascii_lowercase() };
    let rest = rest.strip_prefix(['-', '@', ':']).map_or(rest, str::trim_start);
    let is_date = rest.len() >= 4 && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let is_same = rest.is_empty() || is_date || ["latest", "preview"].contains(&rest);
    is_same && name.bytes().map(plain).eq(known.bytes().map(plain))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_model_is_found_by_its_name_its_versions_and_those_of_resellers() {
        let input = |name| known(name).and_then(|facts| facts.price).map(|price| price.input);
        for name in ["gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "openai/gpt-4.1-mini", "GPT-4.1-Mini"] {
            assert_eq!(input(name), Some(400_000), "{name}");
        }
        assert_eq!(input("claude-sonnet-4.5-20250929"), Some(3_000_000));
        assert_eq!(input("mistral-small-latest"), Some(100_000));
        assert_eq!(input("gpt-5.2"), Some(1_750_000), "not gpt-5 with something behind it");
        for other in ["gpt-5.9", "gpt-4.1-mini-tuned", "scripted", "", "gpt", "o1-ü"] {
            assert_eq!(input(other), None, "{other}");
        }
    }

    #[test]
    fn no_model_is_in_the_table_twice() {
        let names: BTreeSet<_> = TABLE.iter().map(|(name, ..)| name.replace('.', "-")).collect();
        assert_eq!(names.len(), TABLE.len());
    }
}
