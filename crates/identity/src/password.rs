//! Passwords: Argon2id (RFC 9106), kept as PHC strings.
//!
//! A hash takes tens of milliseconds of an instance that others share. That is the point of it, and why it happens only at sign-up and log-in.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

use crate::IdentityError;

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

/// The PHC string to keep.
///
/// # Errors
/// [`IdentityError::Hash`] or [`IdentityError::Random`]; neither is the person's fault.
pub fn hash(password: &str) -> Result<String, IdentityError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt)?;
    let hash = argon2()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| IdentityError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

/// Whether it is the password. Without a hash (no such account) it takes as long, and is not.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let verified = Argon2::default().verify_password(password.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
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
    fn the_stand_in_for_nobody_costs_a_full_hash() {
        let nobody = argon2::PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
    }
}
