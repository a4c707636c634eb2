//! Parts of a long text: a stretch of it ([`Stretch`]), and the passages in which words stand ([`Search`]). Both take the text piece by piece and keep little of
//! it, so neither cares how long it is.
//!
//! The text is that of a document as `extraction` marks it: a line where each page, sheet, slide, chapter or message begins, and `#` before headings. Any
//! other text has no such lines. Places are characters from the beginning of the text.
//!
//! Pure: it does not know whose text it is or where it is kept.

mod lines;
mod search;
mod stretch;

pub use search::{Found, MAX_FOUND, Search};
pub use stretch::{MAX_STRETCH_CHARS, Read, Start, Stretch};
