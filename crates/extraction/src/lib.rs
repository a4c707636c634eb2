//! Turns a file's bytes into structured text: PDF, documents, sheets and slides, books, pages, mails, and every kind of plain text.
//!
//! [`read`] finds out what a file is from its content, then from its name and its media type, and gives a [`Document`]: one text, the blocks in it
//! (headings, paragraphs, items, tables, code) by their offsets, and its parts (pages, sheets, slides, chapters, messages).
//!
//! The bytes come from strangers. Everything that grows is limited and counted: what is unpacked, steps, blocks, text. Must not fetch anything, run
//! anything that a file contains, or recognise text in pictures: a page that is only a picture is named in the notes. Parsers of other people are used,
//! so a file may still end the whole instance; that is why only the component `extract` calls this (docs/adr/0055).

mod archive;
mod book;
mod charset;
mod document;
mod kind;
mod mail;
mod markdown;
mod marked;
mod markup;
mod office;
mod open_document;
mod page;
mod pdf;
mod plain;
mod presentation;
mod rich_text;
mod sheets;
mod table;
mod word;
mod writer;

pub use document::{Block, BlockKind, Document, Note, NoteCode, Part, PartKind};
pub use kind::Kind;

use writer::Writer;

/// The largest file that is read. With its text and what is unpacked of it, it fits into 128 MiB.
pub const FILE_MAX_BYTES: usize = 16 << 20;
/// The longest text of a document: a thousand dense pages. What is longer is cut off, and a note says so.
pub const TEXT_MAX_BYTES: usize = 4 << 20;

/// What else is known about a file.
#[derive(Clone, Copy, Default, Debug)]
pub struct Hints<'h> {
    /// Its name. Only the ending is used.
    pub name: &'h str,
    /// The media type that somebody claims. A parameter `charset` is used for plain text.
    pub media_type: &'h str,
}

/// Why a file cannot be read. The messages are for the person whose file it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There are no bytes.
    #[error("The file is empty.")]
    Empty,
    /// More than [`FILE_MAX_BYTES`].
    #[error("The file is larger than {} MB. Split it, and add the parts.", FILE_MAX_BYTES >> 20)]
    TooLarge,
    /// It is encrypted, and an empty password does not open it.
    #[error("The file is protected by a password. Remove the password, and add the file again.")]
    Encrypted,
    /// It is of a kind that is not read.
    #[error("{0}")]
    Unsupported(&'static str),
    /// It is not what it claims to be, or broken.
    #[error("The file is damaged: {0}.")]
    Damaged(&'static str),
    /// It unpacks to more than a limit, or takes too many steps.
    #[error("The file is too complicated to be read: {0}.")]
    TooComplex(&'static str),
}

impl Unreadable {
    /// A stable code for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "file_empty",
            Self::TooLarge => "file_too_large",
            Self::Encrypted => "file_encrypted",
            Self::Unsupported(_) => "file_unsupported",
            Self::Damaged(_) => "file_damaged",
            Self::TooComplex(_) => "file_too_complex",
        }
    }
}

/// Reads a file.
///
/// # Errors
/// [`Unreadable`]. A file that is readable in part is no error: what is missing is in the notes.
pub fn read(bytes: Vec<u8>, hints: Hints<'_>) -> Result<Document, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable::Empty);
    }
    if bytes.len() > FILE_MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let kind = kind::of(&bytes, hints)?;
    let mut writer = Writer::new(kind);
    match kind {
        Kind::Pdf => pdf::read(bytes, &mut writer)?,
        Kind::Docx => word::read(bytes, &mut writer)?,
        Kind::Pptx => presentation::read(bytes, &mut writer)?,
        Kind::Xlsx | Kind::Xlsb | Kind::Xls => sheets::read(bytes, kind, &mut writer)?,
        Kind::Odt | Kind::Ods | Kind::Odp => open_document::read(bytes, &mut writer)?,
        Kind::Epub => book::read(bytes, &mut writer)?,
        Kind::Html => page::read(&charset::html(&bytes, hints), &mut writer),
        Kind::Markdown => markdown::read(&charset::text(&bytes, hints), &mut writer),
        Kind::Rtf => rich_text::read(&bytes, &mut writer),
        Kind::Email => mail::read(&bytes, &mut writer)?,
        Kind::Mailbox => mail::read_all(&bytes, &mut writer)?,
        Kind::Csv => plain::read_values(&charset::text(&bytes, hints), &mut writer),
        Kind::Xml => plain::read_code(&charset::xml(&bytes), &mut writer),
        Kind::Json | Kind::Code => plain::read_code(&charset::text(&bytes, hints), &mut writer),
        Kind::Text => plain::read(&charset::text(&bytes, hints), &mut writer),
    }
    Ok(writer.finish())
}
