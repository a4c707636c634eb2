//! A person's data key, and the texts that it seals.
//!
//! A sealed text names its key, so that it is told from one that is not sealed: a key's id is random and nobody is ever told it, so nobody can type a
//! text that begins with it. Its place and its person are authenticated, so a sealed text opens nowhere else.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    VaultError,
    cipher::{Cipher, KEY_BYTES},
};

/// How every sealed text begins. It stands for the cipher, the additional data and the encoding.
const VERSION: &str = "s1:";
/// The bytes of an id: nobody guesses 96 random bits.
const ID_BYTES: usize = 12;
/// An id in base64.
const ID_CHARS: usize = 16;
/// A nonce and a tag in base64: every sealed text is longer.
const SHORTEST_CHARS: usize = 38;

/// Where a text is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's key.
    pub row: &'a str,
    /// The column.
    pub column: &'a str,
}

/// The bytes of these parts: the length before each makes them different for any two lists of parts.
pub(crate) fn additional_data<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        data.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

/// The key that one person's texts are sealed with. It is erased when dropped, and `Debug` does not print it.
pub struct DataKey {
    user_id: String,
    id: String,
    /// Each text of this key begins so.
    prefix: String,
    /// How the texts of the person's keys begin that were lost.
    lost: Vec<String>,
    /// The key that this one replaces: it opens what it sealed until all of that is sealed anew.
    former: Option<Box<DataKey>>,
    /// Whether this key only opens yet, and the former one seals.
    is_published: bool,
    cipher: Cipher,
    /// The key again, for what is derived from it.
    derivation: Hmac<Sha256>,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl DataKey {
    pub(crate) fn new(user_id: &str, id: &str, key: &[u8; KEY_BYTES]) -> Self {
        let (prefix, lost) = (format!("{VERSION}{id}:"), Vec::new());
        Self {
            user_id: user_id.to_owned(),
            id: id.to_owned(),
            prefix,
            lost,
            former: None,
            is_published: false,
            cipher: Cipher::new(key),
            derivation: derivation(key),
        }
    }

    /// The key, knowing the ids of those that the person had before and that are lost.
    #[must_use]
    pub fn knowing_lost<'a>(mut self, ids: impl Iterator<Item = &'a str>) -> Self {
        self.lost.extend(ids.map(|id| format!("{VERSION}{id}:")));
        self
    }

    /// The key, together with the one that it replaces. `is_published`: not everybody knows it yet, so the former one still seals.
    #[must_use]
    pub fn replacing(mut self, former: Self, is_published: bool) -> Self {
        (self.former, self.is_published) = (Some(Box::new(former)), is_published);
        self
    }

    /// Whether the former key still seals.
    #[must_use]
    pub const fn is_published(&self) -> bool {
        self.is_published
    }

    /// A new id and a new key.
    pub(crate) fn generate() -> Result<(String, Zeroizing<[u8; KEY_BYTES]>), VaultError> {
        let (mut id, mut key) = ([0; ID_BYTES], Zeroizing::new([0; KEY_BYTES]));
        getrandom::fill(&mut id)?;
        getrandom::fill(key.as_mut())?;
        Ok((BASE64_URL_SAFE_NO_PAD.encode(id), key))
    }

    /// The key's id. It is no secret of the database, but nobody outside it may learn it: see above.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A key for another purpose than sealing, and the id of the data key that it comes from: the one that seals. It is HKDF-Expand (RFC 5869, section 2.3)
    /// with the purpose as `info`, for 32 bytes. Nobody gets from it to the data key, or to the key of another purpose. What was made with it must be made
    /// anew when the id is another one, and until that is done [`Self::derive_for`] has the key that it was made with.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> (&str, Zeroizing<[u8; KEY_BYTES]>) {
        if let Some(former) = self.former.as_ref().filter(|_| self.is_published) {
            return former.derive(purpose);
        }
        (&self.id, self.derived(purpose))
    }

    /// The key of a purpose that [`Self::derive`] gave with this id. None: it came from a key that is neither this one nor the one that it replaces.
    #[must_use]
    pub fn derive_for(&self, id: &str, purpose: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        if self.id == id {
            return Some(self.derived(purpose));
        }
        self.former.as_ref().and_then(|former| former.derive_for(id, purpose))
    }

    fn derived(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut derivation = self.derivation.clone();
        derivation.update(purpose.as_bytes());
        derivation.update(&[1]);
        Zeroizing::new(derivation.finalize().into_bytes().into())
    }

    fn place(&self, place: Place<'_>) -> Vec<u8> {
        additional_data([VERSION, &self.user_id, place.table, place.row, place.column])
    }

    /// Seals a text for its place. The result is ASCII, and different each time. An empty text stays as it is: it says nothing.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn seal(&self, place: Place<'_>, text: &str) -> Result<String, VaultError> {
        if text.is_empty() { Ok(String::new()) } else { self.seal_bytes(place, text.as_bytes()) }
    }

    /// As [`Self::seal`], for bytes that are no text, such as vectors. None are sealed, too.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn seal_bytes(&self, place: Place<'_>, bytes: &[u8]) -> Result<String, VaultError> {
        if let Some(former) = self.former.as_ref().filter(|_| self.is_published) {
            return former.seal_bytes(place, bytes);
        }
        let sealed = self.cipher.seal(&self.place(place), bytes)?;
        let mut written = self.prefix.clone();
        BASE64_URL_SAFE_NO_PAD.encode_string(sealed, &mut written);
        Ok(written)
    }

    /// Whether a stored text was sealed with this key or the one that it replaces. What was not is as it was typed.
    #[must_use]
    pub fn has_sealed(&self, stored: &str) -> bool {
        stored.starts_with(&self.prefix) || self.former.as_ref().is_some_and(|former| former.has_sealed(stored))
    }

    /// Whether a stored text was sealed with the key that this one replaces, so that it is to be sealed anew.
    #[must_use]
    pub fn is_outdated(&self, stored: &str) -> bool {
        self.former.as_ref().is_some_and(|former| former.has_sealed(stored))
    }

    /// Whether a stored text was sealed with a key of the person that is lost.
    #[must_use]
    pub fn has_lost(&self, stored: &str) -> bool {
        self.lost.iter().any(|prefix| stored.starts_with(prefix))
    }

    /// The text that was stored at a place: opened if it was sealed, else as it is.
    ///
    /// # Errors
    /// [`VaultError::Unopenable`]: it was changed, or moved from another place. [`VaultError::Lost`]: it was sealed with a key that is lost.
    pub fn open(&self, place: Place<'_>, stored: &str) -> Result<String, VaultError> {
        if !self.has_lost(stored) && !self.has_sealed(stored) {
            return Ok(stored.to_owned());
        }
        let text = self.open_bytes(place, stored)?;
        String::from_utf8(text.to_vec()).map_err(|_| VaultError::Unopenable)
    }

    /// The bytes that [`Self::seal_bytes`] sealed at a place.
    ///
    /// # Errors
    /// As [`Self::open`], and [`VaultError::Unopenable`] for what is not sealed.
    pub fn open_bytes(&self, place: Place<'_>, stored: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        if self.has_lost(stored) {
            return Err(VaultError::Lost);
        }
        if let Some(former) = self.former.as_ref().filter(|former| former.has_sealed(stored)) {
            return former.open_bytes(place, stored);
        }
        let sealed = stored.strip_prefix(&self.prefix).ok_or(VaultError::Unopenable)?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::Unopenable)?;
        self.cipher.open(&self.place(place), &sealed).ok_or(VaultError::Unopenable)
    }
}

/// HMAC with a data key. A key that is shorter than its block is one with zeros behind it (RFC 2104, section 2).
fn derivation(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new((&*block).into())
}

/// Whether a stored text may be sealed, so that its person's key is needed to tell.
#[must_use]
pub fn may_be_sealed(stored: &str) -> bool {
    stored.starts_with(VERSION)
}

/// Whether a stored text has the very form of a sealed one, with whatever key: nobody types that by chance.
#[must_use]
pub fn looks_sealed(stored: &str) -> bool {
    let is_base64 = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let parts = stored.strip_prefix(VERSION).and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(id, sealed)| {
        id.len() == ID_CHARS && sealed.len() > SHORTEST_CHARS && is_base64(id) && is_base64(sealed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "messages", row: "m1", column: "content" };

    fn key(user_id: &str, byte: u8) -> DataKey {
        DataKey::new(user_id, "abcdefghijklmnop", &[byte; KEY_BYTES])
    }

    #[test]
    fn opens_what_it_sealed_and_seals_differently_each_time() {
        let key = key("u1", 1);
        for text in ["correct horse", "pässwörd 🌱\n", &"x".repeat(300_000), "s1:abcdefghijklmnop:AAAA"] {
            let (sealed, again) = (key.seal(PLACE, text).unwrap(), key.seal(PLACE, text).unwrap());
            assert_ne!(sealed, again);
            assert!(key.has_sealed(&sealed) && may_be_sealed(&sealed) && sealed.is_ascii());
            assert!(!sealed.contains(text));
            assert_eq!(key.open(PLACE, &sealed).unwrap(), text);
        }
        assert_eq!(key.seal(PLACE, "").unwrap(), "");
        for bytes in [&[][..], &[0xff, 0, 0x80]] {
            let sealed = key.seal_bytes(PLACE, bytes).unwrap();
            assert_eq!(key.open_bytes(PLACE, &sealed).unwrap().as_slice(), bytes);
            assert_eq!(key.open(PLACE, &sealed).is_err(), !bytes.is_empty());
        }
        assert!(matches!(key.open_bytes(PLACE, "typed"), Err(VaultError::Unopenable)));
    }

    #[test]
    fn opens_only_in_its_place_and_for_its_person() {
        let sealed = key("u1", 1).seal(PLACE, "correct horse").unwrap();
        for other in [
            Place { table: "runs", ..PLACE },
            Place { row: "m2", ..PLACE },
            Place { column: "reasoning", ..PLACE },
            Place { table: "message", row: "sm1", ..PLACE },
        ] {
            assert!(matches!(key("u1", 1).open(other, &sealed), Err(VaultError::Unopenable)), "{other:?}");
        }
        assert!(matches!(key("u2", 1).open(PLACE, &sealed), Err(VaultError::Unopenable)));
        assert!(matches!(key("u1", 2).open(PLACE, &sealed), Err(VaultError::Unopenable)));
    }

    #[test]
    fn what_a_lost_key_sealed_is_told_from_what_was_typed() {
        let sealed = DataKey::new("u1", "lostlostlostlost", &[1; KEY_BYTES]).seal(PLACE, "x").unwrap();
        let key = key("u1", 2);
        assert_eq!(key.open(PLACE, &sealed).unwrap(), sealed);
        assert!(matches!(
            key.knowing_lost(["lostlostlostlost"].into_iter()).open(PLACE, &sealed),
            Err(VaultError::Lost)
        ));
    }

    #[test]
    fn a_new_key_opens_what_the_one_before_sealed_and_says_that_it_is_outdated() {
        let old = DataKey::new("u1", "oldoldoldoldoldo", &[1; KEY_BYTES]);
        let sealed = old.seal(PLACE, "correct horse").unwrap();
        let published = key("u1", 2).replacing(DataKey::new("u1", "oldoldoldoldoldo", &[1; KEY_BYTES]), true);
        assert_eq!(old.open(PLACE, &published.seal(PLACE, "horse").unwrap()).unwrap(), "horse");
        assert_eq!(published.open(PLACE, &key("u1", 2).seal(PLACE, "horse").unwrap()).unwrap(), "horse");
        let new = key("u1", 2).replacing(old, false);
        assert!(new.has_sealed(&sealed) && new.is_outdated(&sealed));
        assert_eq!(new.open(PLACE, &sealed).unwrap(), "correct horse");
        let again = new.seal(PLACE, "correct horse").unwrap();
        assert!(!new.is_outdated(&again));
        assert_eq!(key("u1", 2).open(PLACE, &again).unwrap(), "correct horse");
    }

    #[test]
    fn a_derived_key_is_one_of_its_purpose_and_of_the_key_that_seals() {
        // HKDF-Expand of another implementation (Python's `cryptography`).
        let key = key("u1", 1);
        let (id, derived) = key.derive("search index");
        assert_eq!(
            (id, hex(&*derived).as_str()),
            ("abcdefghijklmnop", "998976df2329131d58b668b0f822e2fe9220f8ea87b625cb3d604e002a383c94")
        );
        assert_ne!(derived, key.derive("vectors").1);
        let former = || DataKey::new("u1", "oldoldoldoldoldo", &[2; KEY_BYTES]);
        let of_former = former().derive("search index").1;
        let key = key.replacing(former(), true);
        assert_eq!(key.derive("search index"), ("oldoldoldoldoldo", of_former.clone()));
        let key = super::tests::key("u1", 1).replacing(former(), false);
        assert_eq!(key.derive("search index"), ("abcdefghijklmnop", derived.clone()));
        // What was made with either is still found.
        assert_eq!(key.derive_for("abcdefghijklmnop", "search index"), Some(derived));
        assert_eq!(key.derive_for("oldoldoldoldoldo", "search index"), Some(of_former));
        assert_eq!(key.derive_for("otherotherothero", "search index"), None);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn what_any_key_sealed_is_told_from_what_is_typed() {
        let (id, _) = DataKey::generate().unwrap();
        let sealed = DataKey::new("u1", &id, &[1; KEY_BYTES]).seal(PLACE, "x").unwrap();
        assert!(looks_sealed(&sealed));
        for typed in ["", "s1:", "s1:AAAAAAAAAAAAAAAA:typed", &format!("{sealed}."), &format!(" {sealed}")] {
            assert!(!looks_sealed(typed), "{typed}");
        }
    }

    #[test]
    fn what_was_never_sealed_stays_as_it_is_even_if_it_looks_sealed() {
        let key = key("u1", 1);
        for typed in ["hello", "s1:", "s1:AAAAAAAAAAAAAAAA:AAAA", "s1:abcdefghijklmnop"] {
            assert_eq!(key.open(PLACE, typed).unwrap(), typed);
        }
    }
}
