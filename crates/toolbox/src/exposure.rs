//! What a call could carry out: words of a mail, an event or an account in the arguments of a tool that others hear.
//!
//! A mail can ask for that, and a model may do as it says. So where something private was read before, what the person did not write is shown
//! to them first. How far that goes: docs/tools.md.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::{Catalog, KnownTool};

/// How much of a call may be free: what the person did not write and a text could be hidden in, such as a page's number, a flag, a quotation mark.
/// Ordinary calls have up to ten of these. Each says no more than a letter does, so all of a call no more than a word.
const FREE: usize = 16;
/// Whole numbers below this say little: how many results are wanted, which page.
const SMALL_BELOW: u64 = 100;
/// Such a number says as much as two signs.
const NUMBER: usize = 2;
/// A sign outside ASCII that the person did not write is one of a hundred thousand, and a word in capitals of its own (`GitHub` for `github`) can
/// spell in them.
const ODD: usize = 4;
/// What stands before an address that the person wrote without it.
const SCHEMES: [&str; 2] = ["https://", "http://"];

/// Whether one of these calls, on record by the names that the model had for their tools, may have read something private. Older records have a
/// tool's own name, which several servers may have. A tool that is no longer there may have read anything.
#[must_use]
pub fn may_have_read_private(catalog: &Catalog, called: &[String]) -> bool {
    let is_private = |name: &String| match catalog.find(name) {
        Some(tool) => tool.reads_private,
        None => {
            let mut alike = catalog.iter().map(|(_, tool)| tool).filter(|tool| tool.name == *name).peekable();
            alike.peek().is_none() || alike.any(|tool| tool.reads_private)
        }
    };
    called.iter().any(is_private)
}

/// Whether others hear what a tool is given. What people's own accounts hear is the person's, wherever these are; of a server elsewhere nothing
/// is known.
#[must_use]
pub fn is_heard_by_others(tool: &KnownTool) -> bool {
    tool.annotations.open_world && (tool.remote || !tool.reads_private)
}

/// Whether arguments say nothing but what the person has written, what the tool's author proposes, and of all else so little that it may be
/// free. `sent` are the same arguments as they are sent: how they are written can say something too.
#[must_use]
pub fn says_only(arguments: &Map<String, Value>, sent: &str, schema: &Value, written: &[String]) -> bool {
    let written = Written::new(written);
    let mut call = Call { written: &written, left: FREE, used: HashMap::new() };
    call.says(arguments, schema).is_some() && call.take(free_spellings(sent)).is_some()
}

/// Whether a value is one of those that the schema names.
fn is_proposed(value: &Value, property: &Value) -> bool {
    let choices = property.get("enum").and_then(Value::as_array).into_iter().flatten();
    choices.chain(property.get("const")).chain(property.get("default")).any(|proposed| proposed == value)
}

/// What the person has written.
struct Written {
    /// Each word in small letters, and which of all words it is.
    places: HashMap<String, Vec<usize>>,
    /// Words as they are written.
    spellings: HashSet<String>,
    /// What stands between two words, with them.
    joints: HashSet<String>,
    /// Signs outside ASCII.
    signs: HashSet<char>,
    /// For scripts that do not part their words.
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

    /// Whether it is part of a text in a script without spaces. Single signs are not: they could spell anything.
    fn has_within(&self, word: &str) -> bool {
        let is_of_such_a_script = !word.is_ascii() && !word.chars().any(|c| c.is_ascii() || c.is_lowercase());
        is_of_such_a_script && word.chars().nth(1).is_some() && self.texts.iter().any(|text| text.contains(word))
    }
}

/// A call that is looked through. Each step gives `None` once it has found what the person has to be asked about.
struct Call<'w> {
    written: &'w Written,
    /// How much may still be free.
    left: usize,
    /// How often each word was said.
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
                // A name that the tool does not have is a text like any other.
                None => {
                    self.text(name)?;
                    self.value(value)?;
                }
            }
        }
        Some(())
    }

    fn value(&mut self, value: &Value) -> Option<()> {
        // Not recursive: how deep it goes is somebody else's choice. What lies within another value could lie there in another number.
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

    /// What stands between two words: as the person wrote it, or a blank.
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

    /// A word, which may be said as often as the person wrote it, and behind those that they wrote before it. The place of what may follow.
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

/// A text as what stands before each word, and the word; behind the last word, signs without one.
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

/// Two words in small letters, and the signs between them.
fn joint(before: &str, signs: &str, after: &str) -> String {
    [before, signs, after].concat()
}

fn is_capitalised(word: &str, lower: &str) -> bool {
    let mut letters = lower.chars();
    letters.next().is_some_and(|first| first.to_uppercase().chain(letters).eq(word.chars()))
}

/// How much of a JSON text could be written otherwise and mean the same: blanks, but for one behind a comma or a colon, and characters written by
/// their number that need not be. Whoever writes all characters outside ASCII by number, or none, and all numbers alike, says nothing with that.
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
                    // Printed, or with a letter of its own: \b, \t, \n, \f, \r.
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
