//! The key of one file, which seals its pieces. It is itself sealed with its person's data key, so replacing that one touches no piece, and what is destroyed
//! with it is every piece, wherever it lies (docs/adr/0054).

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::{
    VaultError,
    cipher::{Cipher, KEY_BYTES},
    data_key::additional_data,
};

/// What is authenticated before a piece's place. It stands for the cipher and the form of a piece.
const VERSION: &str = "f1:";
/// The same of a piece of the text that was read of the file, so that neither opens as the other.
const TEXT_VERSION: &str = "t1:";

/// How much longer a sealed piece is: a nonce and a tag.
pub const PIECE_OVERHEAD_BYTES: usize = 12 + 16;

/// The key of one file. It is erased when dropped, and `Debug` does not print it.
pub struct FileKey {
    file_id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
    cipher: Cipher,
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey").field("file_id", &self.file_id).finish_non_exhaustive()
    }
}

impl FileKey {
    fn new(file_id: &str, key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let cipher = Cipher::new(&key);
        Self { file_id: file_id.to_owned(), key, cipher }
    }

    /// A new key for a file.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn generate(file_id: &str) -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(key.as_mut())?;
        Ok(Self::new(file_id, key))
    }

    /// The key as a text, which is to be sealed.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(self.key.as_ref()))
    }

    /// The key of a text that [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// [`VaultError::Unopenable`]: it is none.
    pub fn from_text(file_id: &str, text: &str) -> Result<Self, VaultError> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).map_err(|_| VaultError::Unopenable)?);
        let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| VaultError::Unopenable)?;
        Ok(Self::new(file_id, Zeroizing::new(key)))
    }

    fn place(&self, version: &str, number: u64) -> Vec<u8> {
        additional_data([version, &self.file_id, &number.to_string()])
    }

    /// Seals the piece with this number: nonce, ciphertext and tag, different each time.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn seal(&self, number: u64, piece: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.cipher.seal(&self.place(VERSION, number), piece)
    }

    /// Opens the piece with this number.
    ///
    /// # Errors
    /// [`VaultError::Unopenable`]: it was changed, or is another piece or of another file.
    pub fn open(&self, number: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.cipher.open(&self.place(VERSION, number), sealed).ok_or(VaultError::Unopenable)
    }

    /// Seals the piece with this number of the file's text.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_text(&self, number: u64, piece: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.cipher.seal(&self.place(TEXT_VERSION, number), piece)
    }

    /// Opens the piece with this number of the file's text.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_text(&self, number: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.cipher.open(&self.place(TEXT_VERSION, number), sealed).ok_or(VaultError::Unopenable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_opens_in_its_place_with_its_files_key_and_nowhere_else() {
        let key = FileKey::generate("f1").unwrap();
        let sealed = key.seal(3, b"correct horse").unwrap();
        assert_eq!(sealed.len(), b"correct horse".len() + PIECE_OVERHEAD_BYTES);
        assert_ne!(sealed, key.seal(3, b"correct horse").unwrap());
        let stored = FileKey::from_text("f1", &key.to_text()).unwrap();
        assert_eq!(stored.open(3, &sealed).unwrap().as_slice(), b"correct horse");
        assert!(stored.open(4, &sealed).is_err(), "another number");
        assert!(FileKey::from_text("f2", &key.to_text()).unwrap().open(3, &sealed).is_err(), "another file");
        assert!(FileKey::generate("f1").unwrap().open(3, &sealed).is_err(), "another key");
        let text = key.seal_text(3, b"battery").unwrap();
        assert_eq!(key.open_text(3, &text).unwrap().as_slice(), b"battery");
        assert!(key.open(3, &text).is_err() && key.open_text(3, &sealed).is_err(), "a text is no piece of the file");
        assert!(FileKey::from_text("f1", "").is_err() && FileKey::from_text("f1", "AAAA").is_err());
    }
}
