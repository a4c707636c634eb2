//! What an account may look like.

/// The longest address there is, RFC 5321 section 4.5.3.1.3 less the brackets.
pub const MAX_EMAIL_BYTES: usize = 254;
/// NIST SP 800-63B: at least eight; nothing else is asked of a password.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Long enough for any passphrase, short enough to hash.
pub const MAX_PASSWORD_BYTES: usize = 512;
/// A name fits on a line.
pub const MAX_NAME_CHARS: usize = 100;

/// A field that cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// Which one.
    pub field: &'static str,
    /// For the person.
    pub message: &'static str,
}

/// The address as it is kept and looked up: trimmed and in lower case.
///
/// Only what cannot possibly be an address is refused; whether it works is for a mail to tell.
///
/// # Errors
/// [`InvalidField`].
pub fn email(text: &str) -> Result<String, InvalidField> {
    let email = text.trim().to_lowercase();
    let plausible = email.len() <= MAX_EMAIL_BYTES
        && email
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && !email.contains(|character: char| character.is_whitespace() || character.is_control());
    if plausible {
        Ok(email)
    } else {
        Err(InvalidField { field: "email", message: "This does not look like an e-mail address." })
    }
}

/// A password that may be set.
///
/// # Errors
/// [`InvalidField`].
pub fn password(text: &str) -> Result<&str, InvalidField> {
    if text.chars().count() < MIN_PASSWORD_CHARS {
        return Err(InvalidField { field: "password", message: "Use at least 8 characters." });
    }
    if text.len() > MAX_PASSWORD_BYTES {
        return Err(InvalidField { field: "password", message: "Use at most 512 bytes." });
    }
    Ok(text)
}

/// A name to be called by; may be empty.
///
/// # Errors
/// [`InvalidField`].
pub fn name(text: &str) -> Result<&str, InvalidField> {
    let name = text.trim();
    if name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control) {
        return Err(InvalidField { field: "name", message: "Use at most 100 characters on one line." });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_one_spelling() {
        assert_eq!(email(" Ada@Example.ORG ").unwrap(), "ada@example.org");
        for wrong in ["", "ada", "@example.org", "ada@", "a b@c", "a@b@c", &format!("{}@b", "a".repeat(300))] {
            assert!(email(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn passwords_are_long_enough_and_names_short_enough() {
        assert!(password("1234567").is_err() && password("12345678").is_ok());
        assert!(password("äöüßäöüß").is_ok() && password(&"x".repeat(513)).is_err());
        assert_eq!(name(" Ada ").unwrap(), "Ada");
        assert!(name(&"x".repeat(101)).is_err() && name("a\nb").is_err());
    }
}
