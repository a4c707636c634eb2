//! Secrets of the installation itself, such as its private keys: few and short, so they are sealed with a master key and not with a key of their own.
//! A text names its key, so that it is told from one that is not sealed, and sealed anew when the key has been changed.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{ID_BYTES, Keys, Place, VaultError, data_key::additional_data};

/// How each of them begins. It stands for the cipher, the additional data and the encoding.
const VERSION: &str = "m1:";

fn additional(place: Place<'_>) -> Vec<u8> {
    additional_data([VERSION, place.table, place.row, place.column])
}

/// The id of the master key that sealed a stored text. `None`: the text is not sealed.
#[must_use]
pub fn sealing_key(stored: &str) -> Option<&str> {
    let (id, _) = stored.strip_prefix(VERSION)?.split_once(':')?;
    (id.len() == ID_BYTES * 2 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

impl Keys {
    /// Seals a secret of the installation for its place, with the key that seals.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn seal_own(&self, place: Place<'_>, text: &str) -> Result<String, VaultError> {
        let sealed = self.first.wrapping.seal(&additional(place), text.as_bytes())?;
        let mut written = format!("{VERSION}{}:", self.first.id);
        BASE64_URL_SAFE_NO_PAD.encode_string(sealed, &mut written);
        Ok(written)
    }

    /// What was stored at a place: opened if it was sealed, else as it is.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`]. [`VaultError::Unopenable`]: it was changed, or moved from another place.
    pub fn open_own(&self, place: Place<'_>, stored: &str) -> Result<String, VaultError> {
        let Some(id) = sealing_key(stored) else { return Ok(stored.to_owned()) };
        let key = self.all().find(|key| key.id == id).ok_or_else(|| VaultError::UnknownKey(id.to_owned()))?;
        let sealed = stored.rsplit(':').next().unwrap_or_default();
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::Unopenable)?;
        let text = key.wrapping.open(&additional(place), &sealed).ok_or(VaultError::Unopenable)?;
        String::from_utf8(text.to_vec()).map_err(|_| VaultError::Unopenable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "signing_keys", row: "k1", column: "private_key" };
    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "HxAAAAQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn opens_in_its_place_with_its_key_and_nowhere_else() {
        let (old, new) = (Keys::parse(OLD).unwrap(), Keys::parse(NEW).unwrap());
        let sealed = old.seal_own(PLACE, "correct horse").unwrap();
        assert_eq!(sealing_key(&sealed), Some(old.id()));
        assert!(!sealed.contains("horse") && sealed != old.seal_own(PLACE, "correct horse").unwrap());
        let both = Keys::parse(&format!("{NEW},{OLD}")).unwrap();
        assert_eq!(both.open_own(PLACE, &sealed).unwrap(), "correct horse");
        assert!(matches!(new.open_own(PLACE, &sealed), Err(VaultError::UnknownKey(id)) if id == old.id()));
        for other in [Place { table: "inside_keys", ..PLACE }, Place { row: "k2", ..PLACE }] {
            assert!(matches!(old.open_own(other, &sealed), Err(VaultError::Unopenable)));
        }
        for place in 20..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(old.open_own(PLACE, &String::from_utf8(changed).unwrap()).is_err(), "{place}");
        }
    }

    #[test]
    fn what_is_not_sealed_stays_as_it_is() {
        let keys = Keys::parse(OLD).unwrap();
        for plain in ["", "m1:", "m1:x:y", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!((sealing_key(plain), keys.open_own(PLACE, plain).unwrap().as_str()), (None, plain));
        }
    }
}
