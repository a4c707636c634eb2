//! Reads pages and mails from strangers as a person would see them. For authors of tools: every tool that reads HTML uses this crate.
//!
//! [`walk`] reads HTML and gives a [`Reader`] the visible elements and text. It leaves out text that is hidden from people, so that only a program
//! would read it. [`charset`] decodes bytes, [`refresh`] reads the address that a page redirects to.
//!
//! Knows attributes, inline styles and the plain rules of style sheets in the document itself. It knows no other style sheets and no scripts: text
//! that they hide is read, and text that they show is not. Must not fetch anything. It does not write text itself, because each reader needs another
//! form.

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

pub use element::is_block;
pub use refresh::{Refresh, refresh};
pub use walk::{Element, Reader, Sheets, seen, walk};
