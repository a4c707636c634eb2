//! The table in the box: a vector for each of 29,523 pieces of English words, which `table/distil.py` made of the sentence transformer all-MiniLM-L6-v2
//! (Apache-2.0). A text's vector is the mean of those of its pieces: no network, no key, microseconds. What it is not good at is in docs/adr/0058.
//!
//! The file is read where it lies. Nothing is built when an instance starts, so an instance costs only the pages that it touches.

use crate::{Vector, word_pieces::pieces};

/// How the vectors of this table are called where vectors are kept: those of another table are not near to them.
pub const TABLE_NAME: &str = "all-minilm-l6-v2-256";
/// The dimensions of its vectors.
pub const TABLE_DIMENSIONS: usize = 256;

/// How much of a text is read: pieces of files and messages are shorter, and the mean of more words says less. What the vocabulary is worst at then takes
/// some 50 ms.
const MAX_TEXT_BYTES: usize = 16 * 1024;

const FILE: &[u8] = include_bytes!("../table/all-minilm-l6-v2-256.bin");
/// The first bytes of the file.
const MAGIC: &[u8] = b"EAT1";

/// Why the table cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableError {
    /// The file is not one of `distil.py`.
    #[error("the table is damaged")]
    Damaged,
}

/// The table, as views of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Where each piece begins in `names`, and the last one ends.
    starts: &'a [[u8; 4]],
    /// What a component of 1 is in each row.
    scales: &'a [[u8; 4]],
    rows: &'a [[u8; TABLE_DIMENSIONS]],
    /// The pieces, in the order of their bytes.
    names: &'a [u8],
}

impl Table<'static> {
    /// The table that is in the box.
    ///
    /// # Errors
    /// [`TableError::Damaged`] if the file was changed.
    pub fn in_the_box() -> Result<Self, TableError> {
        Table::read(FILE)
    }
}

impl<'a> Table<'a> {
    fn read(file: &'a [u8]) -> Result<Self, TableError> {
        Self::parts(file).ok_or(TableError::Damaged)
    }

    fn parts(file: &'a [u8]) -> Option<Self> {
        let (count, rest) = file.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (dimensions, rest) = rest.split_first_chunk()?;
        let (count, dimensions) = (number(*count)?, number(*dimensions)?);
        if dimensions != TABLE_DIMENSIONS {
            return None;
        }
        let (starts, rest) = rest.split_at_checked(count.checked_add(1)?.checked_mul(4)?)?;
        let (scales, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (rows, names) = rest.split_at_checked(count.checked_mul(TABLE_DIMENSIONS)?)?;
        Some(Self { starts: starts.as_chunks().0, scales: scales.as_chunks().0, rows: rows.as_chunks().0, names })
    }

    /// The row of a piece.
    fn row(&self, piece: &str) -> Option<usize> {
        let name = |row: usize| {
            let start = number(*self.starts.get(row)?)?;
            self.names.get(start..number(*self.starts.get(row.checked_add(1)?)?)?)
        };
        let (mut low, mut high) = (0, self.scales.len());
        while low < high {
            let middle = low.midpoint(high);
            match name(middle)?.cmp(piece.as_bytes()) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The vector of a text. `None`: there is no word of the table in it.
    #[must_use]
    pub fn embed(&self, text: &str) -> Option<Vector> {
        let text = text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text);
        let mut sum = [0.0_f32; TABLE_DIMENSIONS];
        let add = |row: usize| {
            let (Some(components), Some(scale)) = (self.rows.get(row), self.scales.get(row)) else { return };
            let scale = f32::from_le_bytes(*scale);
            for (sum, component) in sum.iter_mut().zip(components) {
                *sum += f32::from(component.cast_signed()) * scale;
            }
        };
        pieces(text, |piece| self.row(piece), add);
        Vector::of(&sum).ok()
    }
}

fn number(bytes: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_no_table_and_does_no_harm() {
        assert!(Table::read(FILE).is_ok());
        for end in [0, 3, 4, 8, 11, 12, 100, 200_000, 1_000_000] {
            assert_eq!(Table::read(&FILE[..end]).err(), Some(TableError::Damaged), "{end}");
        }
        let mut wrong = FILE.to_vec();
        wrong[12..200_000].fill(0xff);
        assert_eq!(Table::read(&wrong).unwrap().embed("the weather"), None);
    }
}
