//! Marks of browsers in which somebody has logged in to an account before. Log-in attempts in such a browser have an allowance of their own, so strangers
//! who try passwords elsewhere use up none of it (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//!
//! A mark opens nothing and is not stored. It is valid for one account with one password, and only the server can make one: whoever collects marks with a
//! password that they know has nothing left of them when it is changed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};

use crate::{IdentityError, Issuer, hex};

/// Separates these values from other uses of the same key.
const NAME: &[u8] = b"name of a known browser's mark\0";
const MARK: &[u8] = b"mark of a known browser\0";

/// Random, so that each browser has its own allowance.
const NONCE_BYTES: usize = 16;
/// Enough to tell the accounts that use one browser apart.
const NAME_CHARS: usize = 16;

impl Issuer {
    /// Under which name a browser keeps its new mark for an account, given by its address in its one spelling. It tells nobody the address.
    ///
    /// # Errors
    /// [`IdentityError::Key`], as in all of these.
    pub fn mark_name(&self, email: &str) -> Result<String, IdentityError> {
        name(self.newest_text_key(), email)
    }

    /// The same, and under which names it may keep marks of keys before.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn mark_names(&self, email: &str) -> Result<Vec<String>, IdentityError> {
        self.text_keys().map(|key| name(key, email)).collect()
    }

    /// A new mark. `password_hash` is that of the account, as it is stored.
    ///
    /// # Errors
    /// [`IdentityError::Key`], [`IdentityError::Random`].
    pub fn mark(&self, email: &str, password_hash: &str) -> Result<String, IdentityError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let nonce = hex(&nonce);
        let code = hex(&code(self.newest_text_key(), MARK, &[email, &nonce, password_hash])?.finalize().into_bytes());
        Ok(format!("{nonce}.{code}"))
    }

    /// The stored name of a browser whose mark for this account this is. `None`: it is not a mark, or one for another account or for a password before.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn known_browser(&self, email: &str, password_hash: &str, mark: &str) -> Result<Option<String>, IdentityError> {
        let Some((nonce, sent)) = mark.split_once('.') else { return Ok(None) };
        if nonce.len() != 2 * NONCE_BYTES {
            return Ok(None);
        }
        // Hashes are compared: how long that takes tells nothing about the code.
        let sent = Sha256::digest(sent.as_bytes());
        for key in self.text_keys() {
            let expected = hex(&code(key, MARK, &[email, nonce, password_hash])?.finalize().into_bytes());
            if Sha256::digest(expected.as_bytes()) == sent {
                return Ok(Some(hex(&Sha256::digest(mark.as_bytes()))));
            }
        }
        Ok(None)
    }
}

fn name(key: &[u8], email: &str) -> Result<String, IdentityError> {
    let code = code(key, NAME, &[email])?.finalize().into_bytes();
    Ok(hex(&code).chars().take(NAME_CHARS).collect())
}

fn code(key: &[u8], purpose: &[u8], parts: &[&str]) -> Result<Hmac<Sha256>, IdentityError> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).map_err(|error| IdentityError::Key(error.to_string()))?;
    code.update(purpose);
    for part in parts {
        code.update(part.as_bytes());
        code.update(b"\0");
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_known_for_its_account_and_to_its_server_alone() {
        let (issuer, other) = (Issuer::generate(), Issuer::generate());
        let mark = issuer.mark("ada@example.org", "$hash").unwrap();
        let known = issuer.known_browser("ada@example.org", "$hash", &mark).unwrap();
        assert!(known.as_ref().is_some_and(|known| known.len() == 64 && !mark.contains(known.as_str())));
        assert_eq!(issuer.known_browser("ada@example.org", "$hash", &mark).unwrap(), known);
        let another = issuer.mark("ada@example.org", "$hash").unwrap();
        assert_ne!(issuer.known_browser("ada@example.org", "$hash", &another).unwrap(), known);
        assert_eq!(issuer.known_browser("eve@example.org", "$hash", &mark).unwrap(), None);
        assert_eq!(issuer.known_browser("ada@example.org", "$new", &mark).unwrap(), None, "the password was changed");
        assert_eq!(other.known_browser("ada@example.org", "$hash", &mark).unwrap(), None);
        for rubbish in [
            "",
            ".",
            "x.y",
            &mark.chars().take(40).collect::<String>(),
            &format!("{mark}0"),
            &mark.replacen('.', "0.", 1),
        ] {
            assert_eq!(issuer.known_browser("ada@example.org", "$hash", rubbish).unwrap(), None, "{rubbish}");
        }
        let name = issuer.mark_name("ada@example.org").unwrap();
        assert_eq!((name.len(), issuer.mark_name("ada@example.org").unwrap()), (16, name.clone()));
        assert!(
            name != issuer.mark_name("eve@example.org").unwrap() && name != other.mark_name("ada@example.org").unwrap()
        );
    }
}
