//! The files in an archive (ZIP), within limits on each and on all together, whatever the archive says about their sizes.

use std::{
    collections::HashMap,
    io::{Cursor, Read as _},
};

use zip::{ZipArchive, result::ZipError};

use crate::Unreadable;

/// A part of a real document is smaller, and a larger one would not fit into the memory with what is made of it.
const ENTRY_MAX_BYTES: usize = 24 << 20;
/// All that is unpacked of one file: a text of [`crate::TEXT_MAX_BYTES`] with its markup is less.
const ALL_MAX_BYTES: usize = 96 << 20;
/// What a reader goes through piece by piece, and not in memory. Sheets with a million rows are markup of this size.
const STREAMED_MAX_BYTES: usize = 512 << 20;
/// Real documents have thousands of pictures at most. The list of them is in memory.
const ENTRIES_MAX: u16 = 20_000;
/// The end of the central directory: its mark, its length, and where it says the number of entries (APPNOTE.TXT, 4.3.16).
const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const END_COUNT: usize = 10;
/// The end may be followed by a comment of this length.
const COMMENT_MAX_BYTES: usize = 65_535;

const UNPACKED: &str = "unpacked, it is too large";
const NOT_AN_ARCHIVE: &str = "its archive cannot be opened";

/// An archive.
pub(crate) struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    /// Where a file is, by its name in small letters: a document may name millions that are not there.
    indexes: HashMap<Vec<u8>, usize>,
    left: usize,
}

impl<'b> Archive<'b> {
    pub(crate) fn open(bytes: &'b [u8]) -> Result<Self, Unreadable> {
        let from = bytes.len().saturating_sub(END_BYTES.saturating_add(COMMENT_MAX_BYTES));
        let tail = bytes.get(from..).unwrap_or_default();
        let end = tail.windows(END.len()).rposition(|window| window == END);
        let count =
            end.and_then(|end| tail.get(end.saturating_add(END_COUNT)..)).and_then(|rest| rest.first_chunk::<2>());
        if count.is_some_and(|count| u16::from_le_bytes(*count) > ENTRIES_MAX) {
            return Err(Unreadable::TooComplex("it has too many parts"));
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Unreadable::Damaged(NOT_AN_ARCHIVE))?;
        let mut indexes = HashMap::new();
        for (index, name) in zip.file_names_raw().enumerate() {
            indexes.entry(name.to_ascii_lowercase()).or_insert(index);
        }
        Ok(Self { zip, indexes, left: ALL_MAX_BYTES })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Whether there is a file in a folder, which is named in small letters.
    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        self.indexes.keys().any(|name| name.starts_with(folder.as_bytes()))
    }

    /// Some writers of documents mix cases, and begin a path with a slash.
    fn index(&self, path: &str) -> Option<usize> {
        self.indexes.get(path.trim_start_matches('/').to_ascii_lowercase().as_bytes()).copied()
    }

    /// A file by its path. `None`: it is not there.
    pub(crate) fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let Some(index) = self.index(path) else { return Ok(None) };
        let mut bytes = Vec::new();
        self.unpack(index, |piece| bytes.extend_from_slice(piece))?;
        Ok(Some(bytes))
    }

    /// A file that must be there.
    pub(crate) fn need(&mut self, path: &str) -> Result<Vec<u8>, Unreadable> {
        self.read(path)?.ok_or(Unreadable::Damaged("a part of it is missing"))
    }

    /// Checks that all files together are within the limits, for a reader that unpacks them itself. Those in the folder it goes through piece by piece.
    pub(crate) fn check(&mut self, streamed: Option<&str>) -> Result<(), Unreadable> {
        let mut left = STREAMED_MAX_BYTES;
        for index in 0..self.zip.len() {
            let name = self.zip.name_for_index(index).and_then(Result::ok).unwrap_or_default();
            if streamed.is_some_and(|folder| name.starts_with(folder)) {
                let of_others = std::mem::replace(&mut self.left, left);
                let unpacked = self.unpack_within(index, left, |_| {});
                left = std::mem::replace(&mut self.left, of_others);
                unpacked?;
            } else {
                self.unpack(index, |_| {})?;
            }
        }
        Ok(())
    }

    fn unpack(&mut self, index: usize, take: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        self.unpack_within(index, ENTRY_MAX_BYTES.min(self.left), take)
    }

    fn unpack_within(&mut self, index: usize, mut room: usize, mut take: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        let mut file = match self.zip.by_index(index) {
            Ok(file) => file,
            Err(ZipError::UnsupportedArchive(told)) if told == ZipError::PASSWORD_REQUIRED => {
                return Err(Unreadable::Encrypted);
            }
            Err(_) => return Err(Unreadable::Damaged(NOT_AN_ARCHIVE)),
        };
        let mut piece = [0; 16 << 10];
        loop {
            let length = match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(_) => return Err(Unreadable::Damaged("a part of its archive cannot be unpacked")),
            };
            room = room.checked_sub(length).ok_or(Unreadable::TooComplex(UNPACKED))?;
            self.left = self.left.saturating_sub(length);
            take(piece.get(..length).unwrap_or_default());
        }
    }
}
