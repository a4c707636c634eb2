//! Finds the numbers in a server's error message, and which of them are limits.

/// Words before a limit.
const LIMITS: [&str; 17] = [
    "maximum",
    "limit",
    "at most",
    "context length",
    "context window",
    "context size",
    "n_ctx",
    "max_model_len",
    "allowed",
    "exceed",
    "<=",
    "less than",
    "supports",
    "up to",
    "no more than",
    "only",
    "max size",
];

/// Words after a limit.
const LIMITS_BEHIND: [&str; 4] = ["maximum", "tokens maximum", "limit", "context"];

/// A number in a server's message.
pub(crate) struct Number {
    pub(crate) value: u64,
    /// The message calls it a limit.
    pub(crate) is_limit: bool,
}

/// The numbers in the message. Numbers in brackets count only if there are no others, because brackets often contain the parts of a sum.
pub(crate) fn numbers(words: &str) -> Vec<Number> {
    all_numbers(&without_sums(words))
}

/// All numbers, including those in brackets.
pub(crate) fn all_numbers(words: &str) -> Vec<Number> {
    let (mut numbers, mut rest) = (Vec::new(), words);
    let is_part = |character: char| character.is_ascii_digit() || character == ',' || character == '_';
    while let Some(at) = rest.find(|character: char| character.is_ascii_digit()) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let end = from.find(|character: char| !is_part(character)).unwrap_or(from.len());
        let (digits, after) = from.split_at_checked(end).unwrap_or((from, ""));
        let next = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let behind = after.get(..next).unwrap_or_default();
        // "128000 tokens maximum", but not the beginning of the next sentence.
        let behind = behind.split(['.', ';', ',']).next().unwrap_or_default();
        let is_of_name = before.ends_with(|character: char| character == '-' || character.is_ascii_alphabetic());
        let is_limit = LIMITS.iter().any(|word| before.contains(word))
            || before.trim_end().ends_with('>')
            || LIMITS_BEHIND.iter().any(|word| behind.trim_start().starts_with(word));
        if let Ok(value) = digits.replace([',', '_'], "").parse() {
            numbers.push(Number { value, is_limit: is_limit && !is_of_name });
        }
        rest = after;
    }
    numbers
}

/// The message without brackets that contain more than one number; unchanged if there are no other numbers.
fn without_sums(words: &str) -> String {
    let count =
        |text: &str| text.split(|character: char| !character.is_ascii_digit()).filter(|part| !part.is_empty()).count();
    let (mut kept, mut rest) = (String::with_capacity(words.len()), words);
    while let Some((before, (within, after))) =
        rest.split_once('(').and_then(|(before, from)| Some((before, from.split_once(')')?)))
    {
        kept.push_str(before);
        if count(within) < 2 {
            kept.push('(');
            kept.push_str(within);
        }
        kept.push(')');
        rest = after;
    }
    kept.push_str(rest);
    if count(&kept) == 0 { words.to_owned() } else { kept }
}
