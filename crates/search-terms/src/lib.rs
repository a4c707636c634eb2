//! What full-text search needs of texts and queries, without knowing where an index is kept (docs/adr/0056).
//!
//! A text becomes terms: its words without case, accents and endings, or pairs of characters where a language writes no spaces ([`index`]). A term is
//! stored as a hash with a key of the person's ([`IndexKey`]), so that a copy of the database shows no word. A typed query becomes words and filters
//! ([`Query`]); the person's sealed dictionary says which words begin or are spelled nearly like one ([`QueryWord::expand`]); and the texts that were
//! found are shown with the words marked ([`Matcher::snippet`]).
//!
//! Pure: no database, no cipher, no clock. Everything takes time in proportion to the text, and every list has a limit.

mod fold;
mod index;
mod key;
mod language;
mod phrase;
mod query;
mod snippet;
mod spelling;
mod stop_words;
mod words;

pub use index::{DictionaryWord, Indexed, MAX_TERMS, Posting, index};
pub use key::IndexKey;
pub use query::{Filters, Kind, MAX_QUERY_CHARS, MAX_WORDS, Query, QueryWord};
pub use snippet::{Counts, Matcher, Piece};
pub use spelling::{Expansion, Known, MAX_EXPANSIONS};
