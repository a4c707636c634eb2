//! Finds calls that could disclose private data: words of a mail, an event or an account in the arguments of a tool that others hear.
//!
//! A mail can contain an instruction to disclose something, and a model may follow it. So once something private was read, the person is asked about
//! arguments that they did not write. How far this protects: docs/tools.md.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::{Catalog, KnownTool};

/// How much of a call may be free, which means that the person did not write it and that a text could be hidden in it: a page's number, a flag, a
/// quotation mark. Ordinary calls have up to ten of these. Each holds no more than a letter does, so a whole call holds no more than a word.
const FREE: usize = 16;
/// Whole numbers below this hold little: the number of results, a page.
const SMALL_BELOW: u64 = 100;
/// Such a number holds as much as two characters.
const NUMBER: usize = 2;
/// The cost of a sign outside ASCII that the person did not write, which is one of a hundred thousand, and of a word with its own mix of capitals
/// (`GitHub` for `github`), which can spell something.
const ODD: usize = 4;
/// Schemes that may be added to an address that the person wrote without one.
const SCHEMES: [&str; 2] = ["https://", "http://"];

/// Whether one of these calls may have read something private.
#[must_use]
pub fn may_have_read_private(catalog: &Catalog, called: &[String]) -> bool {
    may_be_any(catalog, called, |tool| tool.reads_private)
}

/// Whether one of these calls may have read what others wrote, so that an instruction may be in it: pages, mails, whatever a server elsewhere says.
#[must_use]
pub fn may_have_read_others(catalog: &Catalog, called: &[String]) -> bool {
    may_be_any(catalog, called, |tool| tool.remote || tool.reads_private || tool.annotations.open_world)
}

/// Whether one of these calls may be of such a tool. Calls are recorded under the names that models see; older records have the tool's own name, which
/// several servers may have. A tool that is no longer listed may be any.
fn may_be_any(catalog: &Catalog, called: &[String], is_such: fn(&KnownTool) -> bool) -> bool {
    let may_be = |name: &String| match catalog.find(name) {
        Some(tool) => is_such(tool),
        None => {
            let mut alike = catalog.iter().map(|(_, tool)| tool).filter(|tool| tool.name == *name).peekable();
            alike.peek().is_none() || alike.any(is_such)
        }
    };
    called.iter().any(may_be)
}

/// Whether others hear the arguments of a tool. A person's own accounts belong to the person, wherever their servers are. About somebody else's
/// server nothing is known.
#[must_use]
pub fn is_heard_by_others(tool: &KnownTool) -> bool {
    tool.annotations.open_world && (tool.remote || !tool.reads_private)
}

/// Whether arguments hold only what the person has written, what the tool's author proposes, and little enough else. `sent` is the text of the same
/// arguments as it is sent, because its spelling can hold something too.
#[must_use]
pub fn says_only(arguments: &Map<String, Value>, sent: &str, schema: &Value, written: &[String]) -> bool {
    let written = Written::new(written);
    let mut call = Call { written: &written, left: FREE, used: HashMap::new() };
    call.says(arguments, schema).is_some() && call.take(free_spellings(sent)).is_some()
}

/// Whether the schema names this value.
fn is_proposed(value: &Value, property: &Value) -> bool {
    let choices = property.get("enum").and_then(Value::as_array).into_iter().flatten();
    choices.chain(property.get("const")).chain(property.get("default")).any(|proposed| proposed == value)
}

/// The texts that the person has written, prepared for look-ups.
struct Written {
    /// Each word in lower case, with its positions among all words.
    places: HashMap<String, Vec<usize>>,
    /// The words as the person wrote them.
    spellings: HashSet<String>,
    /// Pairs of neighbouring words with the signs between them.
    joints: HashSet<String>,
    /// The signs outside ASCII.
    signs: HashSet<char>,
    /// The whole texts in lower case, for scripts without spaces between words.
    texts: Vec<String>,
}

impl Written {
    fn new(texts: &[String]) -> Self {
        let mut written = Self {
            places: HashMap::new(),
            spellings: HashSet::new(),
            joints: HashSet::new(),
            signs: HashSet::new(),
            texts: texts.iter().map(|text| text.to_lowercase()).collect(),
        };
        let mut place = 0_usize;
        for text in texts {
            written.signs.extend(text.chars().filter(|c| !c.is_alphanumeric() && !c.is_ascii()));
            let mut before = String::new();
            for (signs, word) in parts(text) {
                let lower = word.to_lowercase();
                written.joints.insert(joint(&before, signs, &lower));
                if !word.is_empty() {
                    written.spellings.insert(word.to_owned());
                    written.places.entry(lower.clone()).or_default().push(place);
                    place = place.saturating_add(1);
                }
                before = lower;
            }
        }
        written
    }

    /// Whether a word is part of a text in a script without spaces. Single characters are not accepted: they could spell anything.
    fn has_within(&self, word: &str) -> bool {
        let is_of_such_a_script = !word.is_ascii() && !word.chars().any(|c| c.is_ascii() || c.is_lowercase());
        is_of_such_a_script && word.chars().nth(1).is_some() && self.texts.iter().any(|text| text.contains(word))
    }
}

/// The check of one call. Each step returns `None` once the person must be asked.
struct Call<'w> {
    written: &'w Written,
    /// How much may still be free.
    left: usize,
    /// How often each word was used.
    used: HashMap<String, usize>,
}

impl Call<'_> {
    fn take(&mut self, free: usize) -> Option<()> {
        self.left = self.left.checked_sub(free)?;
        Some(())
    }

    fn says(&mut self, arguments: &Map<String, Value>, schema: &Value) -> Option<()> {
        let properties = schema.get("properties");
        for (name, value) in arguments {
            match properties.and_then(|properties| properties.get(name)) {
                Some(property) if is_proposed(value, property) => self.take(1)?,
                Some(_) => self.value(value)?,
                // A property that the schema does not have is checked like a text.
                None => {
                    self.text(name)?;
                    self.value(value)?;
                }
            }
        }
        Some(())
    }

    fn value(&mut self, value: &Value) -> Option<()> {
        // Not recursive, because the model chooses the depth. Inside another value even an empty value costs one, because the number of such values
        // can hold something.
        let mut rest = vec![(value, 0)];
        while let Some((value, place)) = rest.pop() {
            match value {
                Value::Null => self.take(place)?,
                Value::Bool(_) => self.take(1)?,
                Value::Number(number) => {
                    let is_small = number.as_u64().is_some_and(|number| number < SMALL_BELOW);
                    let digits = number.to_string();
                    if is_small && !self.written.places.contains_key(&digits) {
                        self.take(NUMBER)?;
                    } else {
                        self.text(&digits)?;
                    }
                }
                Value::String(text) if text.is_empty() => self.take(place)?,
                Value::String(text) => self.text(text)?,
                Value::Array(items) => {
                    self.take(place)?;
                    rest.extend(items.iter().map(|item| (item, 1)));
                }
                Value::Object(fields) => {
                    self.take(place)?;
                    for name in fields.keys() {
                        self.text(name)?;
                    }
                    rest.extend(fields.values().map(|value| (value, 1)));
                }
            }
        }
        Some(())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        let scheme = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let text = match scheme {
            Some(rest) if !self.written.places.contains_key("https") && !self.written.places.contains_key("http") => {
                self.take(1)?;
                rest
            }
            _ => text,
        };
        let (mut before, mut next) = (String::new(), 0);
        for (signs, word) in parts(text) {
            let lower = word.to_lowercase();
            self.signs(&before, signs, &lower)?;
            if !word.is_empty() {
                next = self.word(word, &lower, next)?;
            }
            before = lower;
        }
        Some(())
    }

    /// Checks the signs between two words. They cost nothing if the person wrote them between the same words, or if they are one space.
    fn signs(&mut self, before: &str, signs: &str, after: &str) -> Option<()> {
        let is_blank = signs == " " && !before.is_empty() && !after.is_empty();
        if signs.is_empty() || is_blank || self.written.joints.contains(&joint(before, signs, after)) {
            return Some(());
        }
        for sign in signs.chars() {
            self.take(if sign.is_ascii() || self.written.signs.contains(&sign) { 1 } else { ODD })?;
        }
        Some(())
    }

    /// Checks a word. It costs nothing if it occurs no more often than the person wrote it, and after the words that they wrote before it. Returns
    /// the position from which the next word may follow.
    fn word(&mut self, word: &str, lower: &str, from: usize) -> Option<usize> {
        let Some(places) = self.written.places.get(lower) else {
            self.take(1)?;
            return self.written.has_within(lower).then_some(from);
        };
        if word != lower && !self.written.spellings.contains(word) {
            self.take(if word == lower.to_uppercase() || is_capitalised(word, lower) { 1 } else { ODD })?;
        }
        let used = self.used.entry(lower.to_owned()).or_default();
        *used = used.saturating_add(1);
        let is_repeated = *used > places.len();
        self.take(usize::from(is_repeated))?;
        let place = match places.get(places.partition_point(|place| *place < from)) {
            Some(place) => *place,
            None => {
                self.take(1)?;
                places.first().copied().unwrap_or_default()
            }
        };
        Some(place.saturating_add(1))
    }
}

/// Splits a text into words, each with the signs before it. Signs at the end have an empty word.
fn parts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (signs, from_word) = rest.split_at_checked(rest.find(char::is_alphanumeric).unwrap_or(rest.len()))?;
        let end = from_word.find(|c: char| !c.is_alphanumeric()).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at_checked(end)?;
        rest = after;
        Some((signs, word))
    })
}

/// Two words in lower case, and the signs between them.
fn joint(before: &str, signs: &str, after: &str) -> String {
    [before, signs, after].concat()
}

fn is_capitalised(word: &str, lower: &str) -> bool {
    let mut letters = lower.chars();
    letters.next().is_some_and(|first| first.to_uppercase().chain(letters).eq(word.chars()))
}

/// How much of a JSON text could be written in another way with the same meaning: white space, except one space after a comma or a colon, and `\u`
/// escapes of characters that need none. A model that escapes all characters outside ASCII or none, with digits in one case, hides nothing in that.
fn free_spellings(json: &str) -> usize {
    let (mut free, mut is_in_text, mut before) = (0_usize, false, ' ');
    let (mut numbered, mut as_they_are) = (0_usize, 0_usize);
    let (mut small, mut large) = (0_usize, 0_usize);
    let count = |many: &mut usize, is_one: bool| *many = many.saturating_add(usize::from(is_one));
    let mut rest = json.chars();
    while let Some(c) = rest.next() {
        let is_free = match c {
            '"' => {
                is_in_text = !is_in_text;
                false
            }
            '\\' => match rest.next() {
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    digits.chars().for_each(|digit| {
                        count(&mut small, digit.is_ascii_lowercase());
                        count(&mut large, digit.is_ascii_uppercase());
                    });
                    let code = u32::from_str_radix(&digits, 16).unwrap_or_default();
                    count(&mut numbered, code >= 0x7f);
                    // Printable, or with a short escape: \b, \t, \n, \f, \r.
                    matches!(code, 0x20..0x7f | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d)
                }
                escaped => escaped == Some('/'),
            },
            c => {
                count(&mut as_they_are, c >= '\u{7f}');
                !is_in_text && c.is_ascii_whitespace() && !(c == ' ' && matches!(before, ',' | ':'))
            }
        };
        count(&mut free, is_free);
        before = c;
    }
    free.saturating_add(numbered.min(as_they_are)).saturating_add(small.min(large))
}
