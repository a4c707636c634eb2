//! Plain text, source code, and values with commas between them.

use csv_core::{ReadRecordResult, ReaderBuilder};

use crate::{BlockKind, NoteCode, table::Table, writer::Writer};

/// What may stand between values.
const SEPARATORS: [u8; 4] = *b",;\t|";
/// How many lines show which separator a file has.
const SAMPLE_LINES: usize = 20;
/// A row with a longer text is none.
const ROW_MAX_BYTES: usize = 1 << 20;
/// A row with more values is none.
const ROW_MAX_CELLS: usize = 20_000;

/// Text: an empty line is between paragraphs.
pub(crate) fn read(text: &str, writer: &mut Writer) {
    for piece in pieces(text) {
        if writer.is_full() {
            return;
        }
        writer.verbatim(BlockKind::Paragraph, piece);
    }
}

/// Source code: an empty line is between blocks.
pub(crate) fn read_code(text: &str, writer: &mut Writer) {
    for piece in pieces(text) {
        if writer.is_full() {
            return;
        }
        writer.code(piece);
    }
}

/// The pieces between empty lines.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0_usize;
        for line in rest.split_inclusive('\n') {
            end = end.saturating_add(line.len());
            if line.trim().is_empty() {
                break;
            }
        }
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(piece)
    })
}

/// Values (RFC 4180), with any of the usual separators.
pub(crate) fn read_values(text: &str, writer: &mut Writer) {
    let mut reader = ReaderBuilder::new().delimiter(separator(text)).build();
    let mut table = Table::default();
    let (mut values, mut ends) = (vec![0; ROW_MAX_BYTES], vec![0; ROW_MAX_CELLS]);
    let mut rest = text.as_bytes();
    let (mut written, mut cells) = (0_usize, 0_usize);
    loop {
        let room = values.get_mut(written..).unwrap_or_default();
        let (result, used, out, ended) = reader.read_record(rest, room, ends.get_mut(cells..).unwrap_or_default());
        rest = rest.get(used..).unwrap_or_default();
        written = written.saturating_add(out);
        cells = cells.saturating_add(ended);
        match result {
            // The end of the input is said by an empty one.
            ReadRecordResult::InputEmpty => continue,
            ReadRecordResult::Record => {
                let mut from = 0;
                for end in ends.get(..cells).unwrap_or_default() {
                    table.cell(&String::from_utf8_lossy(values.get(from..*end).unwrap_or_default()));
                    from = *end;
                }
                table.end_row();
                (written, cells) = (0, 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                writer.note(NoteCode::Damaged, "A row is too long, and the text from it on is missing.");
                break;
            }
            ReadRecordResult::End => break,
        }
        if table.is_full() {
            break;
        }
    }
    writer.table(&mut table);
}

/// The separator that stands in the first lines most evenly.
fn separator(text: &str) -> u8 {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(SAMPLE_LINES).collect();
    let least = |separator: &u8| {
        let counts = lines.iter().map(|line| outside_quotes(line, *separator));
        (counts.clone().min().unwrap_or_default(), counts.max().unwrap_or_default())
    };
    SEPARATORS.into_iter().rev().max_by_key(least).unwrap_or(b',')
}

fn outside_quotes(line: &str, separator: u8) -> usize {
    let mut is_quoted = false;
    let count = line.bytes().filter(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == separator && !is_quoted
    });
    count.count()
}
