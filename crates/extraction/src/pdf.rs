//! PDF (ISO 32000): the text of each page in the order in which it is read, with headings, columns and tables guessed from where the letters stand.
//!
//! `hayro-syntax` reads objects and encryption, `hayro-font` knows which letters a font's codes are. Here pages become letters (`content.rs`), letters
//! lines (`lines.rs`), and lines blocks (`blocks.rs`). A page without letters that a picture covers is said to be scanned. Nothing is drawn.

mod blocks;
mod content;
mod letters;
mod lines;
mod stream;

use std::collections::HashSet;

use hayro_syntax::{DecryptionError, LoadPdfError, Pdf, page::Page};

use crate::{NoteCode, PartKind, TEXT_MAX_BYTES, Unreadable, writer::Writer};
use blocks::{Block, Kind};
use content::{Interpreter, content_is_missing};

/// Of a page, this share must be covered by pictures to be one picture: margins may stay white.
const COVERED: f64 = 0.5;
/// A page that is a picture can still have a stamp or a page number of letters.
const STAMP_MAX_LETTERS: usize = 60;
/// A text with more unknown letters than one in so many is worth a word.
const UNKNOWN_PART: usize = 20;

pub(crate) fn read(bytes: Vec<u8>, writer: &mut Writer) -> Result<(), Unreadable> {
    let pdf = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => Unreadable::Encrypted,
        LoadPdfError::Decryption(_) => Unreadable::Unsupported("The file is encrypted in a way that cannot be read."),
        LoadPdfError::Invalid => Unreadable::Damaged("it has no pages that can be found"),
    })?;
    // A word that a program writes where there is none.
    let title = pdf
        .metadata()
        .title
        .as_ref()
        .map(|title| string(title))
        .filter(|title| !title.eq_ignore_ascii_case("untitled"));
    writer.title(&title.unwrap_or_default());
    let mut interpreter = Interpreter::new();
    let mut pages = Vec::new();
    let (mut length, mut letters, mut unknown) = (0_usize, 0_usize, 0_usize);
    let (mut is_whole, mut is_damaged) = (true, false);
    for page in pdf.pages().iter() {
        if length > TEXT_MAX_BYTES || interpreter.is_spent() {
            is_whole = false;
            break;
        }
        let found = read_page(&mut interpreter, page);
        length = found.blocks.iter().fold(length, |length, block| length.saturating_add(block.text.len()));
        letters = letters.saturating_add(found.letters);
        unknown = unknown.saturating_add(found.unknown);
        is_damaged |= content_is_missing(page);
        pages.push(found);
    }
    write(&pages, writer);
    if is_damaged {
        writer.note(NoteCode::Damaged, "Some pages are broken, and text of them is missing.");
    }
    if !is_whole {
        if interpreter.is_spent() {
            let told = format!("The pages after {} take too much work to be read.", pages.len());
            writer.note(NoteCode::Truncated, told);
        } else {
            writer.truncate();
        }
    }
    if unknown.saturating_mul(UNKNOWN_PART) > letters {
        writer.note(
            NoteCode::UnknownLetters,
            "Some fonts of the file do not say which letters they show. Text in them is missing.",
        );
    }
    match (writer.scanned_parts(), writer.parts()) {
        (0, _) => {}
        (scanned, all) if scanned == all => writer.note(
            NoteCode::Scanned,
            "The pages are pictures of text. There is no text in the file; a model that sees can read the pages.",
        ),
        (scanned, all) => writer.note(
            NoteCode::Scanned,
            format!("{scanned} of {all} pages are pictures of text, which are missing here; a model that sees can read them."),
        ),
    }
    Ok(())
}

struct Found {
    blocks: Vec<Block>,
    letters: usize,
    unknown: usize,
    is_scanned: bool,
}

fn read_page<'a>(interpreter: &mut Interpreter<'a>, page: &Page<'a>) -> Found {
    let content = interpreter.page(page);
    let (width, height) = content.size;
    let is_covered = content.pictures_area >= width * height * COVERED;
    let mut fragments = content.fragments;
    if !is_covered {
        // Invisible letters over a picture are what somebody recognised in it. Elsewhere they are only invisible.
        fragments.retain(|fragment| !fragment.is_invisible);
    }
    let seen = fragments.iter().map(|fragment| fragment.text.chars().filter(|letter| !letter.is_whitespace()).count());
    let seen = seen.fold(0_usize, usize::saturating_add);
    let is_recognised = fragments.iter().any(|fragment| fragment.is_invisible);
    let is_picture = is_covered && seen <= STAMP_MAX_LETTERS && !is_recognised;
    let is_scanned = is_picture || content.unknown > seen.max(STAMP_MAX_LETTERS);
    let blocks = blocks::of(lines::of(fragments));
    Found { blocks, letters: seen.saturating_add(content.unknown), unknown: content.unknown, is_scanned }
}

fn write(pages: &[Found], writer: &mut Writer) {
    let levels = blocks::heading_levels(pages.iter().flat_map(|page| &page.blocks));
    let repeated = running(pages);
    for page in pages {
        writer.part(PartKind::Page, None);
        for block in &page.blocks {
            if page.blocks.len() > 1 && repeated.contains(&place(block)) {
                continue;
            }
            match block.kind {
                Kind::Text => match blocks::level(block, &levels) {
                    Some(level) => writer.heading(level, &block.text),
                    None => writer.paragraph(&block.text),
                },
                Kind::Item => writer.item(&block.text),
                Kind::Table => writer.rows(&block.text),
            }
        }
        if page.is_scanned {
            writer.scanned();
        }
        if writer.is_full() {
            return;
        }
    }
}

/// A block's text without digits, and where it stands: what is the same on many pages is a running header or a page number.
fn place(block: &Block) -> (String, i64) {
    let text = block.text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    (text, block.top)
}

/// Lines that stand at the same place at the top or the bottom of most pages.
fn running(pages: &[Found]) -> HashSet<(String, i64)> {
    /// In fewer pages nothing runs.
    const PAGES_MIN: usize = 3;
    /// A header is a line.
    const LENGTH_MAX: usize = 150;
    let mut counts = std::collections::HashMap::<(String, i64), usize>::new();
    // A page's only line is no header of it.
    for page in pages.iter().filter(|page| page.blocks.len() > 1) {
        let edges = page.blocks.first().into_iter().chain(page.blocks.last());
        let places: HashSet<_> = edges.filter(|block| block.text.len() <= LENGTH_MAX).map(place).collect();
        for place in places {
            let count = counts.entry(place).or_default();
            *count = count.saturating_add(1);
        }
    }
    let most = pages.len().saturating_add(1) / 2;
    counts.into_iter().filter(|(_, count)| *count >= PAGES_MIN && *count >= most).map(|(place, _)| place).collect()
}

/// A text string (ISO 32000-2, 7.9.2.2): UTF-16 or UTF-8 with a mark, else PDFDocEncoding, which is Latin-1 but for quotation marks and the like.
fn string(bytes: &[u8]) -> String {
    // `decode` looks for the mark first.
    encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned()
}
