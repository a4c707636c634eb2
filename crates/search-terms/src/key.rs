//! Keyed hashes: what the index stores instead of words. HMAC-SHA-256 (RFC 2104), cut to the 64 bits that both databases have as a number.
//!
//! Two terms of a person with a million terms share a hash once in forty million people; then a search finds a text too many, whose snippet marks nothing.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A person's key of hashes. `Debug` does not print it.
#[derive(Clone)]
pub struct IndexKey(Hmac<Sha256>);

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey")
    }
}

/// What is hashed, so that the same letters as something else have another hash.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Use {
    Term = b't',
    Word = b'w',
    Bucket = b'b',
}

impl IndexKey {
    /// The key, of bytes that `vault` derives from the person's data key.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        // A shorter key is HMAC's with zeros behind it (RFC 2104, section 2).
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(Hmac::<Sha256>::new((&*block).into()))
    }

    pub(crate) fn hash(&self, use_: Use, text: &str) -> i64 {
        let mut code = self.0.clone();
        code.update(&[use_ as u8]);
        code.update(text.as_bytes());
        let hash = code.finalize().into_bytes();
        i64::from_be_bytes(hash.first_chunk::<8>().copied().unwrap_or_default())
    }
}
