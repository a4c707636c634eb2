//! XAES-256-GCM (C2SP, "XAES-256-GCM extended-nonce AEAD"): AES-256-GCM whose key and nonce are derived from a nonce of 192 bits.
//!
//! The nonces of plain AES-256-GCM have 96 bits: random ones may be used 2^32 times with one key (NIST SP 800-38D, 8.3). These may be used 2^80 times,
//! for three more blocks of AES a text. The derivation is the one of NIST SP 800-108r1 in counter mode with CMAC. No key is kept here but the one given.

use std::fmt;

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, Payload},
    aes::{
        Aes256, Block,
        cipher::{BlockCipherEncrypt, KeyInit},
    },
};
use zeroize::Zeroizing;

use crate::VaultError;

/// 256 bits, as the cipher requires.
pub(crate) const KEY_BYTES: usize = 32;
/// Random for each text.
pub(crate) const NONCE_BYTES: usize = 24;
/// A block of AES.
const BLOCK_BYTES: usize = 16;
/// What the derivation takes of a nonce; the rest is the nonce of AES-GCM.
const DERIVED_BYTES: usize = 12;

/// The cipher with one key. The key is erased when it is dropped, and `Debug` does not print it.
pub(crate) struct Cipher {
    key: Aes256,
    /// CMAC's first subkey (NIST SP 800-38B, 6.1).
    subkey: Zeroizing<[u8; BLOCK_BYTES]>,
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = Aes256::new(key.into());
        let mut zero = Block::default();
        key.encrypt_block(&mut zero);
        let block = u128::from_be_bytes(zero.into());
        // The polynomial of the field is added when a bit is shifted out; without a branch, because the block is secret.
        let subkey = (block << 1) ^ ((block >> 127) * 0b1000_0111);
        Self { key, subkey: Zeroizing::new(subkey.to_be_bytes()) }
    }

    /// AES-256-GCM with the key and the rest of the nonce that a nonce stands for.
    fn derived<'a>(&self, nonce: &'a [u8; NONCE_BYTES]) -> Option<(Aes256Gcm, &'a [u8; NONCE_BYTES - DERIVED_BYTES])> {
        let (derived, rest) = nonce.split_first_chunk::<DERIVED_BYTES>()?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        for (half, counter) in key.chunks_exact_mut(BLOCK_BYTES).zip(1_u8..) {
            let message = [0, counter, b'X', 0].into_iter().chain(*derived);
            let mut block = Block::default();
            for ((byte, message), subkey) in block.iter_mut().zip(message).zip(*self.subkey) {
                *byte = message ^ subkey;
            }
            self.key.encrypt_block(&mut block);
            half.copy_from_slice(&block);
        }
        Some((Aes256Gcm::new((&*key).into()), rest.try_into().ok()?))
    }

    /// Nonce, ciphertext and tag.
    pub(crate) fn seal(&self, additional_data: &[u8], text: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        self.seal_with(&nonce, additional_data, text)
    }

    fn seal_with(&self, nonce: &[u8; NONCE_BYTES], additional_data: &[u8], text: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (cipher, rest) = self.derived(nonce).ok_or(VaultError::Cipher)?;
        let payload = Payload { msg: text, aad: additional_data };
        let sealed = cipher.encrypt(rest.into(), payload).map_err(|_| VaultError::Cipher)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The text, if it was sealed with this key and this additional data.
    pub(crate) fn open(&self, additional_data: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (cipher, rest) = self.derived(nonce)?;
        let payload = Payload { msg: sealed, aad: additional_data };
        cipher.decrypt(rest.into(), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors of the specification.
    #[test]
    fn seals_as_the_specification_says() {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        for (key, additional_data, sealed) in [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let cipher = Cipher::new(&[key; KEY_BYTES]);
            let made = cipher.seal_with(nonce, additional_data.as_bytes(), b"XAES-256-GCM").unwrap();
            assert_eq!(hex(&made), format!("{}{sealed}", hex(nonce)));
            let opened = cipher.open(additional_data.as_bytes(), &made).unwrap();
            assert_eq!(&*opened, b"XAES-256-GCM");
        }
    }

    #[test]
    fn what_was_changed_anywhere_does_not_open() {
        let cipher = Cipher::new(&[7; KEY_BYTES]);
        let sealed = cipher.seal(b"place", b"text").unwrap();
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
