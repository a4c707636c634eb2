//! Passwords: which may be chosen, and how they are kept: Argon2id (RFC 9106), as PHC strings.
//!
//! A hash takes tens of milliseconds of an instance that others share. That is the point of it, and why it happens only at sign-up and log-in.

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
/// `aaaaaaaa` and `abababab` are guessed first.
const MIN_DIFFERENT_CHARS: usize = 3;

/// The commonest passwords, one a line, in lower case; where they are from is said beside them.
const COMMON: &str = include_str!("../data/common-passwords.txt");

/// 19 MiB, twice, one lane: OWASP's recommendation for Argon2id, and small beside the 128 MiB of a hosted instance.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Random bytes in front of a password, as RFC 9106 section 3.1 recommends.
const SALT_BYTES: usize = 16;

/// Hashed when there is no account, so that the answer takes as long as with one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn argon2() -> Result<Argon2<'static>, IdentityError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| IdentityError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The text that is hashed, whichever way a keyboard composes it: spaces and letters in one form (RFC 8265, section 4.2.2).
fn prepared(text: &str) -> Cow<'_, str> {
    let profile = OpaqueString::new();
    let spaces = profile.additional_mapping_rule(text);
    spaces.and_then(|text| profile.normalization_rule(text)).unwrap_or(Cow::Borrowed(text))
}

/// Whether a password may be chosen. NIST SP 800-63B, section 3.1.1.2: no rules about kinds of characters, and none that are guessed first.
///
/// # Errors
/// [`InvalidField`].
pub fn check(text: &str, email: &str) -> Result<(), InvalidField> {
    let refused = |message| Err(InvalidField { field: "password", message });
    if text.len() > MAX_BYTES {
        return refused("Use at most 512 bytes.");
    }
    let password = prepared(text);
    // What was not assigned yet when the profile's tables were made, an emoji of this year, will do.
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

/// `abcdefgh`, `98765432`.
fn is_row(text: &str) -> bool {
    let row = |step: i64| {
        text.chars().zip(text.chars().skip(1)).all(|(a, b)| i64::from(u32::from(b)) - i64::from(u32::from(a)) == step)
    };
    row(1) || row(-1)
}

/// The PHC string to keep.
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

/// Whether it is the password. Without a hash (no such account) it takes as long, and is not.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    let is = |text: &str| Argon2::default().verify_password(text.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
    let prepared = prepared(password);
    // Releases before this one hashed what was sent, letter by letter.
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
