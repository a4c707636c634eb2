//! Encrypts and decrypts what people entrust to an installation, as the database stores it (docs/adr/0039).
//!
//! Each person has a data key ([`DataKey`]), which seals their texts; it is stored wrapped by a master key ([`Keys`]). Pure: it does not know where keys
//! and sealed texts are kept. Everything is sealed with one cipher (`cipher.rs`). Texts that earlier releases sealed with a master key itself, by
//! `XChaCha20-Poly1305` (draft-irtf-cfrg-xchacha-03), still open.

mod cipher;
mod data_key;
mod file_key;
mod own;

use std::fmt;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use data_key::{DataKey, Place, looks_sealed, may_be_sealed};
pub use file_key::{FileKey, PIECE_OVERHEAD_BYTES};
pub use own::sealing_key;

use cipher::{Cipher, KEY_BYTES};

/// The longest text that is sealed: credentials are shorter, and all of a person's are read at once.
pub const MAX_TEXT_BYTES: usize = 4 * 1024;
/// The most keys that can be configured: the current one and those it replaces.
pub const MAX_KEYS: usize = 16;

/// The prefix of sealed texts. It stands for the cipher, the form of the additional data, and the encoding.
const VERSION: &str = "v1";
/// Random for each text.
const NONCE_BYTES: usize = 24;
/// Added by the cipher (Poly1305).
const TAG_BYTES: usize = 16;
/// The longest possible sealed text; a longer one is not decoded. Base64 makes four bytes of three.
const MAX_SEALED_BYTES: usize = 64 + (NONCE_BYTES + MAX_TEXT_BYTES + TAG_BYTES) * 4 / 3;
/// How much of a key's hash is its id: enough to tell the few keys apart, and it reveals nothing about them.
const ID_BYTES: usize = 8;

/// What went wrong. Never contains a sealed text or a key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VaultError {
    /// A key is not base64 of the right length.
    #[error("key {0} is not base64 of {KEY_BYTES} bytes")]
    Key(usize),
    /// No key is configured.
    #[error("there is no key")]
    NoKey,
    /// Too many keys are configured.
    #[error("there are more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// The text is too long to be sealed.
    #[error("the text is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
    /// The text was sealed with a key that is not configured.
    #[error("it was encrypted with the key {0}, which is missing")]
    UnknownKey(String),
    /// The text was not sealed for this owner with one of the keys: it was changed, belongs to another owner, or is garbage.
    #[error("it cannot be opened")]
    Unopenable,
    /// The text was sealed with a key of its person that is lost.
    #[error("it was encrypted with a key that is lost")]
    Lost,
    /// The host gave no random bytes.
    #[error("no random bytes")]
    Random(#[from] getrandom::Error),
    /// The cipher refused. It does so only for far longer texts.
    #[error("the text cannot be sealed")]
    Cipher,
}

/// The owner and the name of a sealed text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner<'a> {
    /// The person's id.
    pub user_id: &'a str,
    /// The server whose tools get the secret.
    pub server: &'a str,
    /// The secret's name at that server.
    pub name: &'a str,
}

impl Owner<'_> {
    /// The length before each part makes the bytes different for any two owners.
    fn additional_data(&self) -> Vec<u8> {
        let mut data = VERSION.as_bytes().to_vec();
        for part in [self.user_id, self.server, self.name] {
            data.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// A key. It is erased when dropped, and `Debug` does not print it.
struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
    wrapping: Cipher,
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?);
        let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().ok()?;
        let hash = Sha256::digest(key);
        let id = hash.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, cipher: XChaCha20Poly1305::new(key.into()), wrapping: Cipher::new(key) })
    }
}

/// A person's data key as it is stored: whoever has its master key can unwrap it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// Its id. See [`DataKey::id`].
    pub id: String,
    /// The key, sealed, in base64.
    pub wrapped: String,
    /// The id of the master key.
    pub master_key: String,
}

/// What a wrapped key is bound to.
fn wrapping(user_id: &str, id: &str) -> Vec<u8> {
    data_key::additional_data(["data_keys", user_id, id])
}

/// The keys of an installation. The first one seals; all of them open.
pub struct Keys {
    first: Key,
    others: Vec<Key>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().map(|key| &key.id)).finish()
    }
}

impl Keys {
    /// Reads comma-separated keys in base64.
    ///
    /// # Errors
    /// [`VaultError::NoKey`], [`VaultError::TooManyKeys`], or [`VaultError::Key`] with the position of the invalid key, from 1.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let mut keys = Vec::new();
        for (index, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            if index >= MAX_KEYS {
                return Err(VaultError::TooManyKeys);
            }
            keys.push(Key::parse(part).ok_or(VaultError::Key(index.saturating_add(1)))?);
        }
        let mut keys = keys.into_iter();
        Ok(Self { first: keys.next().ok_or(VaultError::NoKey)?, others: keys.collect() })
    }

    /// These keys, then others, which only open. There is no limit: an installation's own keys must all open, however often it made new ones.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.others.push(others.first);
        self.others.extend(others.others);
        self
    }

    /// Makes a new key in base64, as [`Self::parse`] reads it.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn generate() -> Result<Zeroizing<String>, VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(key.as_mut())?;
        Ok(Zeroizing::new(BASE64_STANDARD.encode(key.as_ref())))
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The id of the key that seals: part of its hash, so it may be shown.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.first.id
    }

    /// The ids of all keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.all().map(|key| key.id.as_str())
    }

    /// A new data key for a person, wrapped.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn new_data_key(&self, user_id: &str) -> Result<WrappedKey, VaultError> {
        let (id, key) = DataKey::generate()?;
        self.wrap(user_id, id, &key)
    }

    fn wrap(&self, user_id: &str, id: String, key: &[u8; KEY_BYTES]) -> Result<WrappedKey, VaultError> {
        let sealed = self.first.wrapping.seal(&wrapping(user_id, &id), key)?;
        Ok(WrappedKey { id, wrapped: BASE64_URL_SAFE_NO_PAD.encode(sealed), master_key: self.first.id.clone() })
    }

    /// Unwraps a person's data key.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`], [`VaultError::Unopenable`].
    pub fn data_key(&self, user_id: &str, key: &WrappedKey) -> Result<DataKey, VaultError> {
        Ok(DataKey::new(user_id, &key.id, &*self.unwrapped(user_id, key)?))
    }

    /// The same data key, wrapped by the master key that seals.
    ///
    /// # Errors
    /// As [`Self::data_key`], and [`VaultError::Random`].
    pub fn rewrap(&self, user_id: &str, key: &WrappedKey) -> Result<WrappedKey, VaultError> {
        self.wrap(user_id, key.id.clone(), &*self.unwrapped(user_id, key)?)
    }

    fn unwrapped(&self, user_id: &str, key: &WrappedKey) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        let WrappedKey { id, wrapped, master_key } = key;
        let master = self.all().find(|master| master.id == *master_key);
        let master = master.ok_or_else(|| VaultError::UnknownKey(master_key.clone()))?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(wrapped).map_err(|_| VaultError::Unopenable)?;
        let bytes = master.wrapping.open(&wrapping(user_id, id), &sealed).ok_or(VaultError::Unopenable)?;
        let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| VaultError::Unopenable)?;
        Ok(Zeroizing::new(key))
    }

    /// Seals a text for its owner as releases without data keys do. The result is ASCII without spaces, and different each time.
    ///
    /// # Errors
    /// [`VaultError::TooLong`], [`VaultError::Random`].
    pub fn seal(&self, owner: &Owner<'_>, text: &str) -> Result<String, VaultError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(VaultError::TooLong);
        }
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: text.as_bytes(), aad: &owner.additional_data() };
        let sealed = self.first.cipher.encrypt(&nonce.into(), payload).map_err(|_| VaultError::Cipher)?;
        let written = BASE64_URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat());
        Ok(format!("{VERSION}.{}.{written}", self.first.id))
    }

    /// Opens a text that was sealed for this owner.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`], [`VaultError::Unopenable`].
    pub fn open(&self, owner: &Owner<'_>, sealed: &str) -> Result<Zeroizing<String>, VaultError> {
        let (id, bytes) = parts(sealed).ok_or(VaultError::Unopenable)?;
        let key = self.all().find(|key| key.id == id).ok_or_else(|| VaultError::UnknownKey(id.to_owned()))?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Unopenable)?;
        let payload = Payload { msg: sealed, aad: &owner.additional_data() };
        let text = key.cipher.decrypt(&(*nonce).into(), payload).map_err(|_| VaultError::Unopenable)?;
        String::from_utf8(text).map(Zeroizing::new).map_err(|_| VaultError::Unopenable)
    }
}

/// The key's id, then nonce and ciphertext.
fn parts(sealed: &str) -> Option<(&str, Vec<u8>)> {
    if sealed.len() > MAX_SEALED_BYTES {
        return None;
    }
    let (id, bytes) = sealed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
    let well_formed = id.len() == ID_BYTES * 2 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed.then_some((id, BASE64_URL_SAFE_NO_PAD.decode(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> = Owner { user_id: "u1", server: "mail", name: "password" };

    /// Sealed by another implementation (`PyCryptodome`), with the bytes 0 to 31 as the key.
    const SEALED_EARLIER: &str =
        "v1.630dcd2966c43366.QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXt1Z3ArWDDTbnm_XNyiHOlMJ17sMRFI3L11PxAWE";

    const EARLIER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn key() -> String {
        Keys::generate().unwrap().to_string()
    }

    fn keys(texts: &[&str]) -> Keys {
        Keys::parse(&texts.join(", ")).unwrap()
    }

    #[test]
    fn opens_what_it_sealed_and_seals_differently_each_time() {
        let keys = keys(&[&key()]);
        for text in ["", "correct horse", "pässwörd 🌱\n", &"x".repeat(MAX_TEXT_BYTES)] {
            let (sealed, again) = (keys.seal(&OWNER, text).unwrap(), keys.seal(&OWNER, text).unwrap());
            assert_ne!(sealed, again);
            assert!(sealed.starts_with(&format!("v1.{}.", keys.id())) && sealed.is_ascii());
            assert_eq!(keys.open(&OWNER, &sealed).unwrap().as_str(), text);
        }
        assert!(matches!(keys.seal(&OWNER, &"x".repeat(MAX_TEXT_BYTES + 1)), Err(VaultError::TooLong)));
    }

    #[test]
    fn a_key_made_earlier_opens_what_it_sealed_then() {
        let keys = keys(&[EARLIER_KEY]);
        assert_eq!(keys.id(), "630dcd2966c43366");
        assert_eq!(keys.open(&OWNER, SEALED_EARLIER).unwrap().as_str(), "correct horse");
    }

    #[test]
    fn opens_for_its_owner_only() {
        let keys = keys(&[EARLIER_KEY]);
        for other in [
            Owner { user_id: "u2", ..OWNER },
            Owner { server: "mai", name: "lpassword", ..OWNER },
            Owner { server: "web", ..OWNER },
            Owner { name: "user", ..OWNER },
        ] {
            assert!(matches!(keys.open(&other, SEALED_EARLIER), Err(VaultError::Unopenable)), "{other:?}");
        }
    }

    #[test]
    fn what_was_changed_anywhere_does_not_open() {
        let (keys, sealed) = (keys(&[EARLIER_KEY]), SEALED_EARLIER);
        for place in 0..sealed.len() {
            let mut changed = sealed.to_owned().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(keys.open(&OWNER, &String::from_utf8(changed).unwrap()).is_err(), "{place}");
            assert!(keys.open(&OWNER, sealed.get(..place).unwrap()).is_err(), "{place}");
        }
    }

    #[test]
    fn a_data_key_opens_for_its_person_and_with_its_master_key_only() {
        let (old, new) = (key(), key());
        let wrapped = keys(&[&old]).new_data_key("u1").unwrap();
        let place = Place { table: "messages", row: "m1", column: "content" };
        let sealed = keys(&[&old]).data_key("u1", &wrapped).unwrap().seal(place, "correct horse").unwrap();
        assert!(matches!(keys(&[&old]).data_key("u2", &wrapped), Err(VaultError::Unopenable)));
        assert!(matches!(keys(&[&new]).data_key("u1", &wrapped), Err(VaultError::UnknownKey(_))));
        let moved = WrappedKey { id: "another".to_owned(), ..wrapped.clone() };
        assert!(matches!(keys(&[&old]).data_key("u1", &moved), Err(VaultError::Unopenable)));
        // A new master key wraps the same data key.
        let rewrapped = keys(&[&new, &old]).rewrap("u1", &wrapped).unwrap();
        assert_ne!(rewrapped, wrapped);
        let opened = keys(&[&new]).data_key("u1", &rewrapped).unwrap().open(place, &sealed).unwrap();
        assert_eq!(opened, "correct horse");
    }

    #[test]
    fn after_a_rotation_the_old_key_opens_until_it_is_gone() {
        let new = key();
        let both = keys(&[&new, EARLIER_KEY]);
        assert_eq!(both.open(&OWNER, SEALED_EARLIER).unwrap().as_str(), "correct horse");
        assert_eq!(both.ids().collect::<Vec<_>>(), [keys(&[&new]).id(), "630dcd2966c43366"]);
        let unknown = keys(&[&new]).open(&OWNER, SEALED_EARLIER).unwrap_err();
        assert!(matches!(&unknown, VaultError::UnknownKey(id) if id == "630dcd2966c43366"), "{unknown}");
    }

    #[test]
    fn rubbish_is_neither_a_key_nor_sealed() {
        for (text, place) in [("?", 1), ("c2hvcnQ=", 1), (&*format!("{}, x", key()), 2)] {
            assert!(matches!(Keys::parse(text), Err(VaultError::Key(n)) if n == place), "{text}");
        }
        assert!(matches!(Keys::parse(" , "), Err(VaultError::NoKey)));
        let many = vec![key(); MAX_KEYS + 1].join(",");
        assert!(matches!(Keys::parse(&many), Err(VaultError::TooManyKeys)));
        let keys = keys(&[&key()]);
        let id = keys.id().to_owned();
        for rubbish in ["", ".", "v1", "v1..", "v2.a.b", &format!("v1.{id}."), &format!("v1.{id}.AAAA"), "🌱.🌱.🌱"]
        {
            assert!(matches!(keys.open(&OWNER, rubbish), Err(VaultError::Unopenable)), "{rubbish}");
        }
        let huge = format!("v1.{id}.{}", "A".repeat(1024 * 1024));
        assert!(matches!(keys.open(&OWNER, &huge), Err(VaultError::Unopenable)));
    }

    #[test]
    fn keys_are_not_written_by_debug() {
        let key = key();
        let written = format!("{:?}", keys(&[&key]));
        assert!(!written.contains(key.trim_end_matches('=')), "{written}");
    }
}
