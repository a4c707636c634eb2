//! Facts about a person that they had remembered, for all of their conversations (docs/adr/0060). Must not know where they are stored.

use crate::{Id, Timestamp};

/// The server of the tools that remember and forget, which is part of the app.
pub const MEMORY_SERVER: &str = "memory";

/// The longest fact: two or three sentences. What is longer is no fact but a text, and belongs into a file or into instructions.
pub const MAX_MEMORY_CHARS: usize = 500;
/// The most facts of a person: more than fit into a prompt, and few enough to be looked through on one page.
pub const MAX_MEMORIES: usize = 200;

/// A fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Its id.
    pub id: Id,
    /// How models name it: one of the person at a time.
    pub number: i64,
    /// What is remembered, on one line.
    pub content: String,
    /// The conversation in which it was said, or last replaced; `None`: it is deleted.
    pub conversation_id: Option<Id>,
    /// When it was first said.
    pub created_at: Timestamp,
    /// When it was last replaced or edited.
    pub updated_at: Timestamp,
}

/// Why a text is no fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidMemory {
    /// It says nothing.
    #[error("a fact says something")]
    Empty,
    /// It is longer than [`MAX_MEMORY_CHARS`].
    #[error("a fact has at most {MAX_MEMORY_CHARS} characters; say it shorter")]
    TooLong,
}

/// A fact as it is kept: on one line, with one space between words.
///
/// # Errors
/// [`InvalidMemory`].
pub fn memory_content(text: &str) -> Result<String, InvalidMemory> {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let content = words.collect::<Vec<_>>().join(" ");
    match content.chars().count() {
        0 => Err(InvalidMemory::Empty),
        1..=MAX_MEMORY_CHARS => Ok(content),
        _ => Err(InvalidMemory::TooLong),
    }
}

/// Whether two facts say the same in the same words. Small and capital letters are the same, and so is a sentence with and without its full stop.
#[must_use]
pub fn is_same_memory(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.trim().trim_end_matches('.').to_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_one_line_of_a_limited_length() {
        assert_eq!(memory_content("  Likes\n\ttea,\u{2028}no  milk.\0 "), Ok("Likes tea, no milk.".to_owned()));
        assert_eq!(memory_content(" \n\u{7}"), Err(InvalidMemory::Empty));
        assert!(memory_content(&"ä".repeat(MAX_MEMORY_CHARS)).is_ok());
        assert_eq!(memory_content(&"ä".repeat(MAX_MEMORY_CHARS + 1)), Err(InvalidMemory::TooLong));
    }

    #[test]
    fn the_same_words_are_the_same_fact() {
        assert!(is_same_memory("Likes tea.", "likes TEA"));
        assert!(!is_same_memory("Likes tea", "Likes no tea"));
    }
}
