//! Passwords: which ones may be chosen, and how they are stored: Argon2id (RFC 9106), as PHC strings.
//!
//! A hash takes tens of milliseconds of a shared instance. This cost is intended, and arises only at sign-up and log-in.

use std::borrow::Cow;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use precis_profiles::{
    OpaqueString,
    precis_core::{DerivedPropertyValue, FreeformClass, StringClass as _, profile::Rules as _},
};

use crate::{IdentityError, signup::InvalidField};

/// NIST SP 800-63B: at least eight.
pub const MIN_CHARS: usize = 8;
/// Long enough for any passphrase, short enough to hash.
pub const MAX_BYTES: usize = 512;
/// `aaaaaaaa` and `abababab` are among the first guesses.
const MIN_DIFFERENT_CHARS: usize = 3;

/// The most common passwords, one a line, in lower case; their source is in the README beside them.
const COMMON: &str = include_str!("../data/common-passwords.txt");

/// 19 MiB, twice, one lane: OWASP's recommendation for Argon2id, and small beside the 128 MiB of a hosted instance.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Random bytes for the salt, as RFC 9106 section 3.1 recommends.
const SALT_BYTES: usize = 16;

/// Hashed when there is no such account, so that the response takes the same time.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn argon2() -> Result<Argon2<'static>, IdentityError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| IdentityError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The text that is hashed. Spaces and composed letters have one form, whatever the keyboard sends (RFC 8265, section 4.2.2).
fn prepared(text: &str) -> Cow<'_, str> {
    let profile = OpaqueString::new();
    let spaces = profile.additional_mapping_rule(text);
    spaces.and_then(|text| profile.normalization_rule(text)).unwrap_or(Cow::Borrowed(text))
}

/// Checks whether a password may be chosen. NIST SP 800-63B, section 3.1.1.2: no rules about kinds of characters, and no easily guessed ones.
///
/// # Errors
/// [`InvalidField`].
pub fn check(text: &str, email: &str) -> Result<(), InvalidField> {
    let refused = |message| Err(InvalidField { field: "password", message });
    if text.len() > MAX_BYTES {
        return refused("Use at most 512 bytes.");
    }
    let password = prepared(text);
    // Characters that are newer than the profile's tables, such as this year's emoji, are accepted.
    let class = FreeformClass::default();
    if password.chars().any(|letter| class.get_value_from_char(letter) == DerivedPropertyValue::Disallowed) {
        return refused("Leave out characters that cannot be seen: another keyboard may not send them.");
    }
    if password.chars().count() < MIN_CHARS {
        return refused("Use at least 8 characters.");
    }
    let guess = password.trim().to_lowercase();
    let different: std::collections::BTreeSet<char> = guess.chars().collect();
    if different.len() < MIN_DIFFERENT_CHARS
        || is_row(&guess)
        || COMMON.lines().any(|common| common == guess)
        || guess == email
        || email.split_once('@').is_some_and(|(local, _)| local == guess)
    {
        return refused(
            "This password is guessed first. Use one that only you would think of: three or four words will do.",
        );
    }
    Ok(())
}

/// Whether a text is a sequence such as `abcdefgh` or `98765432`.
fn is_row(text: &str) -> bool {
    let row = |step: i64| {
        text.chars().zip(text.chars().skip(1)).all(|(a, b)| i64::from(u32::from(b)) - i64::from(u32::from(a)) == step)
    };
    row(1) || row(-1)
}

/// Hashes a password to the PHC string that is stored.
///
/// # Errors
/// [`IdentityError::Hash`] or [`IdentityError::Random`]; neither is the person's fault.
pub fn hash(password: &str) -> Result<String, IdentityError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt)?;
    let hash = argon2()?
        .hash_password_with_salt(prepared(password).as_bytes(), &salt)
        .map_err(|error| IdentityError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

/// Whether this is the account's password. Without a hash (no such account) it takes the same time and returns `false`.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    let is = |text: &str| Argon2::default().verify_password(text.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
    let prepared = prepared(password);
    // Earlier releases hashed the password exactly as it was sent.
    let verified = is(&prepared) || (prepared != password && is(password));
    verified && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_verifies() {
        let kept = hash("correct horse").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify("correct horse", Some(&kept)));
        assert!(!verify("correct horse ", Some(&kept)));
        assert!(!verify("correct horse", None));
        assert!(!verify("correct horse", Some("rubbish")));
        assert_ne!(kept, hash("correct horse").unwrap(), "every hash has its own salt");
    }

    #[test]
    fn a_password_is_the_same_however_a_keyboard_composes_it() {
        let (composed, decomposed) = ("caf\u{e9} \u{e0} la carte", "cafe\u{301}\u{a0}a\u{300}\u{3000}la carte");
        for kept in [hash(composed).unwrap(), hash(decomposed).unwrap()] {
            assert!(verify(composed, Some(&kept)) && verify(decomposed, Some(&kept)));
            assert!(!verify("cafe a la carte", Some(&kept)));
        }
    }

    #[test]
    fn a_hash_of_what_was_sent_letter_by_letter_still_verifies() {
        let sent = "cafe\u{301} a\u{300} la carte";
        let kept = argon2().unwrap().hash_password_with_salt(sent.as_bytes(), &[7; SALT_BYTES]).unwrap().to_string();
        assert!(verify(sent, Some(&kept)));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for wrong in [
            "1234567",
            "ä\u{308}ö",
            "        ",
            "\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}",
            "password",
            "PassWord",
            " password ",
            "Password123",
            "12345678",
            "88888888",
            "abababab",
            "abcdefghij",
            "98765432",
            "iloveyou",
            "ada.lovelace@example.org",
            "Ada.Lovelace",
            "a\u{200b}bcdefgh12",
            "correct\u{7}horse",
            &"xyz".repeat(171),
        ] {
            assert_eq!(
                check(wrong, "ada.lovelace@example.org").map_err(|wrong| wrong.field),
                Err("password"),
                "{wrong:?}"
            );
        }
        for good in [
            "correct horse",
            "äöüßäöüß",
            "пароль-длинный",
            "ilovemy2cats",
            "🦀🐙🦑🐠🐟🐡🦈🐳",
            "パスワードは秘密",
            "x7 q9 z2",
        ] {
            assert_eq!(check(good, "ada@example.org"), Ok(()), "{good}");
        }
    }

    #[test]
    fn the_stand_in_for_nobody_costs_a_full_hash() {
        let nobody = argon2::PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
    }
}
