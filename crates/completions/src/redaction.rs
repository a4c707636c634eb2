//! Prepares a provider's message for a person: removes what looks like a credential or repeats the request, and shortens the rest.
//!
//! It protects against accidents: providers quote the key that they refuse, and the request that they cannot read. It does not catch text that
//! is written to avoid it.

use memchr::memmem::Finder;
use regex_lite::Regex;

/// Enough for a sentence or two.
const MAX_SHOWN_CHARS: usize = 300;
/// How much of a message is read; no more can be shown.
const MAX_READ_CHARS: usize = 1_000;
/// How much is read from either end of the request, because it is searched for every word.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Replaces a credential.
const SECRET: &str = "[secret]";
/// Replaces text that repeats the request.
const LEFT_OUT: &str = "\u{2026}";
/// A text of this length that also occurs in the request counts as a repetition. Names of models and tools have too few spaces.
const MIN_REPEATED_BYTES: usize = 32;
const MIN_REPEATED_SPACES: usize = 3;
/// Shorter texts occur in too many messages by chance.
const MIN_SECRET_CHARS: usize = 6;
/// The least number of letters, and of digits, of a mixed text.
const MIN_MIXED: usize = 3;

/// In a text of this length one digit is enough.
const LONG: usize = 16;

/// A pattern of credentials.
struct Look {
    /// The first group is the credential.
    pattern: &'static str,
    /// It counts only if it mixes letters and digits.
    is_mixed: bool,
}

const fn look(pattern: &'static str, is_mixed: bool) -> Look {
    Look { pattern, is_mixed }
}

/// The most reliable patterns first.
const LOOKS: [Look; 9] = [
    // Prefixes of known providers' keys.
    look(
        r"(?i)\b((?:sk|pk|rk|gsk|hf|xai|gh[opsu]|github_pat|glpat|r8|nvapi|pplx|csk|xox[a-z]|ya29)[-_.][\w\-.~+/=*]{6,})",
        false,
    ),
    look(r"\b((?:eyJ|AIza)[\w\-.]{8,})", false),
    // Masked by the provider.
    look(r"([\w\-]*[*\x{2022}]{3,}[\w\-]*)", false),
    // User and password of an address.
    look(r"://([^/\s@]+)@", false),
    // A field of JSON, of a form, or of a header.
    look(r#"(?i)(?:key|token|secret|password|authorization|credentials?)["']\s*:\s*["']([^"']{6,})["']"#, false),
    look(r#"(?i)(?:key|token|secret|password|authorization|credentials?)=["']?([^\s"'&,;]{6,})"#, false),
    // In a header. A plain word would have only letters.
    look(r#"(?i)\b(?:bearer|basic)\s+([a-z]*[^a-z\s"'`,;.)][^\s"'`,;)]*)"#, false),
    // In a sentence.
    look(
        r#"(?i)\b(?:key|token|secret|password|authorization|bearer|basic|credentials?)(?:\s+[a-z]+){0,2}[\s:=]+["'`(]?([^\s"'`,;)]{6,})"#,
        true,
    ),
    // A text that is not natural language.
    look(r"\b([0-9A-Za-z]{16,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\b", true),
];

/// Texts that a person must not be shown.
#[derive(Clone, Copy, Default)]
pub struct Withheld<'a> {
    /// The key for the provider and other secret headers, as they were sent, one a line; may be empty.
    pub authorization: &'a str,
    /// The request that the message responds to.
    pub request: &'a [u8],
}

impl Withheld<'_> {
    /// The message for a person: on one line, shortened. Empty when nothing is left.
    #[must_use]
    pub fn shown(&self, words: &str) -> String {
        let words = without_secret(&on_one_line(beginning(words)), self.authorization);
        let words =
            if words.len() < MIN_REPEATED_BYTES { words } else { without_repeated(&words, &ends(self.request)) };
        let words = without_credentials(&words);
        if words.chars().nth(MAX_SHOWN_CHARS).is_none() {
            return words;
        }
        words.chars().take(MAX_SHOWN_CHARS).chain(LEFT_OUT.chars()).collect()
    }
}

/// A text of a provider without the credentials that were sent to it. Everything else stays as it is.
#[must_use]
pub fn without_credentials_of(words: &str, authorization: &str) -> String {
    without_secret(words, authorization)
}

/// The request's beginning with the instructions, and its end with the newest messages.
fn ends(request: &[u8]) -> String {
    let (beginning, rest) = request.split_at_checked(MAX_REQUEST_BYTES).unwrap_or((request, &[]));
    let end = rest.get(rest.len().saturating_sub(MAX_REQUEST_BYTES)..).unwrap_or_default();
    [beginning, end].map(|part| on_one_line(&String::from_utf8_lossy(part))).join("\n")
}

/// The part that is read. It does not end inside a word, because half a key would not be recognised.
fn beginning(words: &str) -> &str {
    let Some((end, _)) = words.char_indices().nth(MAX_READ_CHARS) else { return words };
    let read = words.get(..end).unwrap_or_default();
    read.rsplit_once(char::is_whitespace).map_or("", |(whole, _)| whole)
}

/// Removes line ends, control characters, and JSON escapes, even repeated ones.
fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut after_backslash = false;
    for character in text.chars() {
        let is_escape = std::mem::replace(&mut after_backslash, character == '\\');
        match character {
            '\\' => {}
            'n' | 'r' | 't' if is_escape => space(&mut line),
            other if other.is_whitespace() || other.is_control() => space(&mut line),
            other => line.push(other),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn space(line: &mut String) {
    if !line.is_empty() && !line.ends_with(' ') {
        line.push(' ');
    }
}

fn without_secret(words: &str, authorization: &str) -> String {
    // What is behind a scheme (`Bearer`), and what is behind a name in a query.
    let bare = |line: &str, sign| line.split_once(sign).map(|(_, bare): (&str, &str)| bare.to_owned());
    let escaped = |secret: &String| secret.contains('/').then(|| secret.replace('/', "\\/"));
    authorization
        .lines()
        .flat_map(|line| [Some(line.to_owned()), bare(line, ' '), bare(line, '=')])
        .flatten()
        .flat_map(|secret| [escaped(&secret), Some(secret)])
        .flatten()
        .filter(|secret| secret.chars().count() >= MIN_SECRET_CHARS)
        .fold(words.to_owned(), |words, secret| words.replace(&secret, SECRET))
}

/// Removes text that occurs identically in the request.
fn without_repeated(words: &str, request: &str) -> String {
    let mut shown = String::with_capacity(words.len());
    let mut rest = words;
    while !rest.is_empty() {
        let repeated = repeated(rest, request);
        if repeated > 0 {
            shown.push_str(LEFT_OUT);
            rest = rest.get(repeated..).unwrap_or_default();
            continue;
        }
        // Repeated text begins with a word.
        let begins = |(at, character): (usize, char)| (at > 0 && character.is_alphanumeric()).then_some(at);
        let in_word = rest.find(|character: char| !character.is_alphanumeric()).unwrap_or(rest.len());
        let next = rest.char_indices().skip_while(|(at, _)| *at < in_word).find_map(begins).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(next).unwrap_or((rest, ""));
        shown.push_str(word);
        rest = after;
    }
    shown
}

/// How many bytes at the beginning of the text repeat the request.
fn repeated(text: &str, request: &str) -> usize {
    let mut least = MIN_REPEATED_BYTES;
    while !text.is_char_boundary(least) && least < text.len() {
        least += 1;
    }
    let Some(beginning) = text.get(..least) else { return 0 };
    let finder = Finder::new(beginning);
    let common = |at: usize| {
        let there = request.get(at..).unwrap_or_default();
        text.chars().zip(there.chars()).take_while(|(here, there)| here == there).map(|(here, _)| here.len_utf8()).sum()
    };
    let longest = finder.find_iter(request.as_bytes()).map(common).max().unwrap_or(0);
    let is_prose = text.get(..longest).is_some_and(|text| text.matches(' ').count() >= MIN_REPEATED_SPACES);
    if is_prose { longest } else { 0 }
}

fn without_credentials(words: &str) -> String {
    LOOKS.iter().fold(words.to_owned(), |words, look| match Regex::new(look.pattern) {
        Ok(pattern) => without_look(&words, &pattern, look.is_mixed),
        Err(_) => words,
    })
}

fn without_look(words: &str, pattern: &Regex, is_mixed: bool) -> String {
    let mut shown = String::with_capacity(words.len());
    let mut from = 0;
    for found in pattern.captures_iter(words).filter_map(|captures| captures.get(1)) {
        if found.len() >= MIN_SECRET_CHARS && (!is_mixed || self::is_mixed(found.as_str())) {
            shown.push_str(words.get(from..found.start()).unwrap_or_default());
            shown.push_str(SECRET);
            from = found.end();
        }
    }
    shown.push_str(words.get(from..).unwrap_or_default());
    shown
}

/// Whether letters and digits are mixed, unlike in words and names of models.
fn is_mixed(text: &str) -> bool {
    let count = |of: fn(&u8) -> bool| text.bytes().filter(of).count();
    let min_digits = if text.len() >= LONG { 1 } else { MIN_MIXED };
    count(u8::is_ascii_digit) >= min_digits && count(u8::is_ascii_alphabetic) >= MIN_MIXED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &str) -> String {
        let request = br#"{"messages":[{"role":"system","content":"You are \"Ada\".\nNever tell anybody about the treasure in the garden."}],"model":"meta-llama/Llama-3.3-70B-Instruct-Turbo"}"#;
        Withheld { authorization: "Bearer planted-key", request }.shown(words)
    }

    #[test]
    fn what_looks_like_a_credential_is_taken_out() {
        for words in [
            "Incorrect API key provided: sk-proj-abcdef. You can find yours.",
            "Bad header 'Authorization: Bearer abc123def456'",
            "No such key planted-key",
            r#"{"api_key":"hunter2hunter2"}"#,
            "api_key=abcdefgh is wrong",
            "Incorrect API key provided: ab12****cd34",
            "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl is expired",
            "cannot reach https://user:pass@upstream/v1",
            "key 0123456789abcdef0123456789abcdef",
            "unknown 6f1d2c3b-1111-4222-8333-123456abcdef",
            "AKIAIOSFODNN7EXAMPLE5 is not known, wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY neither",
        ] {
            let shown = shown(words);
            assert!(shown.contains(SECRET), "{shown}");
            for secret in [
                "sk-proj",
                "abc123",
                "planted",
                "hunter",
                "=abcdefgh",
                "ab12",
                "cd34",
                "eyJ",
                "user:",
                "0123",
                "6f1d",
                "AKIA",
                "wJal",
            ] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn what_does_not_stays() {
        for words in [
            "The model `meta-llama/Llama-3.3-70B-Instruct-Turbo` does not exist or you do not have access to it.",
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 140000 tokens.",
            "Rate limit reached for gpt-4o-mini-2024-07-18 on tokens per min (TPM): Limit 200000. Try again in 20s.",
            "body.stream_options: Extra inputs are not permitted",
            "Your key: missing. A token is expected.",
        ] {
            assert_eq!(shown(words), words);
        }
    }

    #[test]
    fn what_repeats_the_request_is_left_out() {
        let words = r#"Cannot read {"role":"system","content":"You are \\\"Ada\\\".\\nNever tell anybody about the treasure in the garden."} at line 1"#;
        let shown = shown(words);
        assert!(shown.contains("at line 1") && !shown.contains("treasure") && !shown.contains("Ada"), "{shown}");
    }

    #[test]
    fn half_a_key_is_not_shown_where_the_words_are_cut() {
        let repeated = "You are \"Ada\".\nNever tell anybody about the treasure in the garden. ".repeat(20);
        let words = format!("{} planted-key", repeated.get(..993).unwrap());
        assert!(!shown(&words).contains("plant"), "{}", shown(&words));
    }

    #[test]
    fn it_is_one_line_and_no_long_one() {
        let shown = shown(&"two\nlines\u{7}. ".repeat(100));
        assert!(shown.starts_with("two lines . two") && shown.chars().count() == MAX_SHOWN_CHARS + 1, "{shown}");
    }
}
