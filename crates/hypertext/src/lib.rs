//! Pages and mails that strangers wrote, as a person would see them. For authors of tools: whatever reads HTML reads it here.
//!
//! [`walk`] goes through HTML and tells a [`Reader`] the elements and the text that are seen; what is hidden from people, so that only a
//! program would read it, is left out. [`charset`] makes text of bytes, [`refresh`] reads where a page sends on to.
//!
//! Knows attributes, inline styles and the plain rules of style sheets in the document itself; no sheets elsewhere and no scripts: what those
//! hide is read, and what they show is not. Must not fetch anything, and does not write text itself, since each reader wants another form.

pub mod charset;
mod colour;
mod element;
mod length;
mod refresh;
mod sheet;
mod style;
mod tag;
mod visibility;
mod walk;

pub use refresh::{Refresh, refresh};
pub use walk::{Element, Reader, Sheets, seen, walk};
