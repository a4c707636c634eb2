//! Reads what somebody typed into a search: words, phrases in quotation marks, and filters such as `in:files` or `before:2026-11`.
//!
//! Nothing that is typed is an error: a filter that does not exist or has no value is a word.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::{
    Expansion, IndexKey, Known,
    key::Use,
    language::{self, Language},
    phrase,
    snippet::Matcher,
    spelling, stop_words,
    words::{Word, runs},
};

/// How much of what was typed is read: longer is no search but a text.
pub const MAX_QUERY_CHARS: usize = 512;
/// The most words that are looked for, the first ones: each is up to [`spelling::MAX_EXPANSIONS`] terms of one statement.
pub const MAX_WORDS: usize = 16;

/// What is looked through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Titles of conversations.
    Conversations,
    /// Messages.
    Messages,
    /// Files.
    Files,
    /// Memories.
    Memories,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "conversations" | "conversation" | "titles" | "chats" => Self::Conversations,
            "messages" | "message" => Self::Messages,
            "files" | "file" => Self::Files,
            "memories" | "memory" => Self::Memories,
            _ => return None,
        })
    }
}

/// What must be so of everything that is found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filters {
    /// `in:` with a kind. Empty: everything.
    pub kinds: BTreeSet<Kind>,
    /// `in:` with anything else: names of places such as a conversation, a project or a folder, as they were typed. One of them.
    pub places: Vec<String>,
    /// `from:`: who wrote it, as it was typed. One of them.
    pub from: Vec<String>,
    /// `before:`: earlier than the beginning of this day, where the person is. A month or a year is its first day.
    pub before: Option<Date>,
    /// `after:`: not earlier than the beginning of this day, where the person is.
    pub after: Option<Date>,
    /// `has:file`.
    pub has_file: bool,
}

/// A word that is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryWord {
    pub(crate) folded: String,
    pub(crate) is_pair: bool,
    /// Whether somebody may still be typing it: words that begin so are found, too.
    pub(crate) may_continue: bool,
    /// What it becomes in the languages of its script.
    pub(crate) stems: BTreeSet<String>,
}

impl QueryWord {
    fn new(word: Word, may_continue: bool) -> Self {
        let Word { text, folded, is_pair } = word;
        let stems = if is_pair { BTreeSet::from([folded.clone()]) } else { language::stems(&text) };
        // A single character where no spaces are written is most often the beginning of a pair.
        let may_continue = may_continue || is_pair && folded.chars().count() == 1;
        Self { folded, is_pair, may_continue, stems }
    }

    /// The keyed hashes of the terms that the word is in texts, whatever their language.
    #[must_use]
    pub fn terms(&self, key: &IndexKey) -> BTreeSet<i64> {
        self.stems.iter().map(|stem| key.hash(Use::Term, stem)).collect()
    }

    /// The buckets of the person's dictionary to open for [`Self::expand`]: at most four.
    #[must_use]
    pub fn buckets(&self, key: &IndexKey) -> Vec<i64> {
        spelling::buckets(key, self)
    }

    /// Which words of these buckets may be meant, the nearest first, at most [`spelling::MAX_EXPANSIONS`].
    #[must_use]
    pub fn expand(&self, known: impl IntoIterator<Item = Known>) -> Vec<Expansion> {
        spelling::expand(self, known)
    }
}

/// What somebody looks for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Query {
    /// At most [`MAX_WORDS`], each once.
    pub words: Vec<QueryWord>,
    /// What must be so.
    pub filters: Filters,
    /// At most [`MAX_WORDS`] words in all of them together, the first ones.
    phrases: Vec<Vec<String>>,
}

impl Query {
    /// Reads what was typed. Small words of its language are left out, as they are of texts, unless there are no others.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        let typed: String =
            typed.chars().take(MAX_QUERY_CHARS).map(|letter| if is_quote(letter) { '"' } else { letter }).collect();
        let (mut query, mut words, mut ends_in_filter) = (Self::default(), Vec::new(), false);
        // Each second part stands in quotation marks. An odd number of marks: the last one is still open.
        for (place, part) in typed.split('"').enumerate() {
            if place % 2 == 1 {
                ends_in_filter = false;
                let mut phrase = phrase::words(part);
                words.extend(phrase.iter().cloned());
                let before: usize = query.phrases.iter().map(Vec::len).sum();
                phrase.truncate(MAX_WORDS.saturating_sub(before));
                if phrase.len() > 1 {
                    query.phrases.push(phrase.into_iter().map(|word| word.folded).collect());
                }
            } else {
                for word in part.split_whitespace() {
                    ends_in_filter = query.filters.add(word);
                    if !ends_in_filter {
                        words.extend(phrase::words(word));
                    }
                }
            }
        }
        let unfinished = words.last().filter(|_| typed.ends_with(char::is_alphanumeric) && !ends_in_filter).cloned();
        let language = Language::guess(runs(&typed));
        let is_small = |word: &Word| !word.is_pair && stop_words::contains(&word.folded, language);
        if !words.iter().all(is_small) {
            words.retain(|word| !is_small(word));
        }
        for word in words {
            let is_known = query.words.iter().any(|known| known.folded == word.folded);
            if query.words.len() < MAX_WORDS && !is_known {
                let may_continue = unfinished.as_ref() == Some(&word);
                query.words.push(QueryWord::new(word, may_continue));
            }
        }
        query
    }

    /// Whether there is nothing to look for: filters alone may list, but do not search.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a text that has the words has them in the order of each phrase. The index does not know where words stand, so this is asked of each text
    /// that was found. What stands behind the first 128 KB of a text is not looked through, as it is not in the index.
    #[must_use]
    pub fn has_phrases(&self, text: &str) -> bool {
        self.phrases.is_empty() || phrase::has_all(text, &self.phrases)
    }

    /// What marks the words in a text that was found, and the words that they were expanded to.
    #[must_use]
    pub fn matcher<'a>(&self, expansions: impl IntoIterator<Item = (usize, &'a Expansion)>) -> Matcher {
        Matcher::new(&self.words, expansions)
    }
}

impl Filters {
    /// Takes a word that is a filter.
    fn add(&mut self, word: &str) -> bool {
        let Some((name, value)) = word.split_once(':').filter(|(_, value)| !value.is_empty()) else { return false };
        match name.to_ascii_lowercase().as_str() {
            "in" => match Kind::named(&value.to_lowercase()) {
                Some(kind) => drop(self.kinds.insert(kind)),
                None => self.places.push(value.to_owned()),
            },
            "from" => self.from.push(value.to_owned()),
            "before" => match first_day(value) {
                Some(day) => self.before = Some(day),
                None => return false,
            },
            "after" => match first_day(value) {
                Some(day) => self.after = Some(day),
                None => return false,
            },
            "has" if value.eq_ignore_ascii_case("file") => self.has_file = true,
            _ => return false,
        }
        true
    }
}

/// `2026`, `2026-11` or `2026-11-30`.
fn first_day(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let (month, day) = (parts.next().map_or(Ok(1), str::parse).ok()?, parts.next().map_or(Ok(1), str::parse).ok()?);
    if parts.next().is_some() { None } else { Date::new(year, month, day).ok() }
}

/// The quotation marks of different languages and keyboards.
const fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '「' | '」' | '『' | '』' | '＂')
}
