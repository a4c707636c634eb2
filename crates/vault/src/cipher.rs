//! AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits for each text.
//!
//! A key may seal 2^32 texts with random nonces (8.3 there). A data key seals one person's texts, and a master key one data key for each person: at ten
//! thousand texts a day, a person gets there in a thousand years.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use crate::VaultError;

/// 256 bits, as the cipher requires.
pub(crate) const KEY_BYTES: usize = 32;
/// Random for each text.
const NONCE_BYTES: usize = 12;

/// The cipher with one key. The key is erased when it is dropped, and `Debug` does not print it.
pub(crate) struct Cipher(Aes256Gcm);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Nonce, ciphertext and tag.
    pub(crate) fn seal(&self, additional_data: &[u8], text: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: text, aad: additional_data };
        let sealed = self.0.encrypt((&nonce).into(), payload).map_err(|_| VaultError::Cipher)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The text, if it was sealed with this key and this additional data.
    pub(crate) fn open(&self, additional_data: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: additional_data };
        self.0.decrypt(nonce.into(), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 16).unwrap())
            .collect()
    }

    /// Test case 16 of "The Galois/Counter Mode of Operation" (McGrew and Viega), which NIST's specification refers to.
    #[test]
    fn opens_what_the_specification_seals() {
        let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let sealed = "cafebabefacedbaddecaf888\
            522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
            76fc6ece0f4e1768cddf8853bb2d551b";
        let text = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
        let cipher = Cipher::new(key.as_slice().try_into().unwrap());
        let opened = cipher.open(&bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2"), &bytes(sealed)).unwrap();
        assert_eq!(*opened, bytes(text));
    }

    #[test]
    fn what_was_changed_anywhere_does_not_open() {
        let cipher = Cipher::new(&[7; KEY_BYTES]);
        let sealed = cipher.seal(b"place", b"text").unwrap();
        assert_eq!(*cipher.open(b"place", &sealed).unwrap(), b"text");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(cipher.open(b"place", &changed).is_none(), "{place}");
            assert!(cipher.open(b"place", sealed.get(..place).unwrap()).is_none(), "{place}");
        }
        assert!(cipher.open(b"another", &sealed).is_none());
        assert!(Cipher::new(&[8; KEY_BYTES]).open(b"place", &sealed).is_none());
    }
}
