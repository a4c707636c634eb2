//! Second factors: codes of an app that change every half minute (TOTP, RFC 6238), and recovery codes for whoever has lost the app.
//!
//! It neither stores secrets nor decides whether a code was used before. The time is the caller's: the database's.

use std::fmt;

use domain::Timestamp;
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret, Totp, TotpError};
use zeroize::Zeroizing;

use crate::{IdentityError, hex};

/// What apps show beside the account.
const ISSUER: &str = "Edge Assistant";

/// RFC 4226, section 4, recommends 160 bits.
const SECRET_BYTES: usize = 20;

/// Six digits in half a minute are what every app understands.
const DIGITS: u8 = 6;
const STEP_S: u64 = 30;
/// Steps before and after the current one: clocks differ, and people type slowly. RFC 6238, section 5.2, recommends at most one.
const SKEW_STEPS: u16 = 1;

/// Recovery codes of an account: enough for years, and few enough to print.
pub const RECOVERY_CODES: usize = 10;
/// Letters of a recovery code. Each is one of 32, so a code has 80 bits: it cannot be guessed, not even by whoever has its hash.
const RECOVERY_CHARS: usize = 16;
/// Letters between two hyphens.
const GROUP_CHARS: usize = 4;
/// Crockford's base 32: without letters that look like others.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// A code as somebody types it, with spaces. A longer text is no code.
const MAX_TYPED_BYTES: usize = 64;

/// The secret that an app makes codes from. `Debug` does not print it.
pub struct TotpSecret(Secret);

impl TotpSecret {
    /// A new one.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new() -> Result<Self, IdentityError> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self(Secret::new_stack(*bytes)))
    }

    /// Reads what [`Self::base32`] wrote.
    #[must_use]
    pub fn parse(base32: &str) -> Option<Self> {
        let secret = Secret::try_from_base32(base32).ok()?;
        (secret.as_bytes().len() == SECRET_BYTES).then_some(Self(secret))
    }

    /// As people type it into an app that cannot read the picture (RFC 4648, section 6).
    #[must_use]
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_base32())
    }

    /// The address in the picture that apps read: `otpauth://totp/…`, with the account's address.
    ///
    /// # Errors
    /// [`IdentityError::SecondFactor`].
    pub fn address(&self, email: &str) -> Result<Zeroizing<String>, IdentityError> {
        // A colon ends the name of the issuer.
        let account = email.replace(':', "_");
        let totp = self.builder().with_issuer(Some(ISSUER)).with_account_name(account).build();
        Ok(Zeroizing::new(totp.and_then(|totp| totp.to_url()).map_err(failed)?))
    }

    /// The step whose code this is, if it is one of those that count at this time. Each must count once only.
    ///
    /// # Errors
    /// [`IdentityError::SecondFactor`].
    pub fn check(&self, code: &str, now: Timestamp) -> Result<Option<i64>, IdentityError> {
        let step = self.totp()?.check(code, seconds(now));
        Ok(step.and_then(|step| i64::try_from(step).ok()))
    }

    /// The code of this time, as an app shows it.
    ///
    /// # Errors
    /// [`IdentityError::SecondFactor`].
    pub fn code(&self, now: Timestamp) -> Result<String, IdentityError> {
        Ok(self.totp()?.generate(seconds(now)).to_string())
    }

    fn builder(&self) -> Builder {
        let builder = Builder::new().with_secret(self.0.clone()).with_digits(DIGITS);
        builder.with_step_duration(STEP_S).with_skew(SKEW_STEPS)
    }

    fn totp(&self) -> Result<Totp, IdentityError> {
        self.builder().build().map_err(failed)
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TotpSecret").finish_non_exhaustive()
    }
}

/// None of the crate's reasons quotes the secret.
fn failed(error: TotpError) -> IdentityError {
    IdentityError::SecondFactor(format!("{error:?}"))
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis() / 1000).unwrap_or(0)
}

/// What somebody typed where a code is asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum TypedCode {
    /// Six digits of an app.
    App(String),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl TypedCode {
    /// Reads it, with spaces and hyphens anywhere. `None`: it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TYPED_BYTES {
            return None;
        }
        let letters: String = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
        if letters.len() == usize::from(DIGITS) && letters.bytes().all(|letter| letter.is_ascii_digit()) {
            return Some(Self::App(letters));
        }
        let letters = letters.to_ascii_lowercase();
        let known = letters.bytes().all(|letter| ALPHABET.contains(&letter));
        (known && letters.len() == RECOVERY_CHARS).then_some(Self::Recovery(RecoveryCode(letters)))
    }
}

/// A recovery code. `Display` writes it; `Debug` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// All codes of an account, new.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn set() -> Result<Vec<Self>, IdentityError> {
        (0..RECOVERY_CODES).map(|_| Self::new()).collect()
    }

    fn new() -> Result<Self, IdentityError> {
        let mut bytes = [0; RECOVERY_CHARS];
        getrandom::fill(&mut bytes)?;
        // 32 divides 256, so every letter is equally likely.
        let letter = |byte: &u8| ALPHABET.iter().cycle().nth(usize::from(*byte)).copied().map(char::from);
        Ok(Self(bytes.iter().filter_map(letter).collect()))
    }

    /// The hash that is stored. One fast hash is enough for a random text.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Display for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.chars().enumerate() {
            if index > 0 && index.is_multiple_of(GROUP_CHARS) {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCode").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// RFC 6238, appendix B: the last six digits of its values for SHA-1.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = TotpSecret(Secret::new_stack(*b"12345678901234567890"));
        for (time, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(secret.code(at(time)).unwrap(), code);
            assert_eq!(secret.check(code, at(time)).unwrap(), Some(time / 30));
        }
    }

    #[test]
    fn a_code_counts_half_a_minute_before_and_after_its_own() {
        let secret = TotpSecret::new().unwrap();
        let code = secret.code(at(3_000)).unwrap();
        let counts: Vec<i64> = [2_969, 2_970, 3_000, 3_059, 3_060]
            .into_iter()
            .filter(|time| secret.check(&code, at(*time)).unwrap() == Some(100))
            .collect();
        assert_eq!(counts, [2_970, 3_000, 3_059]);
        for rubbish in ["", "12345", "1234567", "+12345", "abcdef"] {
            assert_eq!(secret.check(rubbish, at(3_000)).unwrap(), None, "{rubbish}");
        }
    }

    #[test]
    fn a_secret_is_read_back_and_stays_out_of_debug() {
        let secret = TotpSecret::new().unwrap();
        let base32 = secret.base32();
        assert_eq!((base32.len(), TotpSecret::parse(&base32).unwrap().base32()), (32, base32.clone()));
        assert_ne!(TotpSecret::new().unwrap().base32(), base32);
        assert!(!format!("{secret:?}").contains(base32.as_str()));
        for rubbish in ["", "MFRGG", "!", &"A".repeat(64)] {
            assert!(TotpSecret::parse(rubbish).is_none(), "{rubbish}");
        }
    }

    #[test]
    fn an_app_reads_whose_secret_it_is() {
        let secret = TotpSecret::new().unwrap();
        let address = secret.address("o:ada@example.org").unwrap();
        let expected = format!(
            "otpauth://totp/Edge%20Assistant:o_ada%40example.org?secret={}&issuer=Edge%20Assistant",
            secret.base32().as_str()
        );
        assert_eq!(*address, expected);
    }

    #[test]
    fn recovery_codes_are_read_however_they_are_typed() {
        let codes = RecoveryCode::set().unwrap();
        let hashes: BTreeSet<String> = codes.iter().map(RecoveryCode::hash).collect();
        assert_eq!((codes.len(), hashes.len()), (RECOVERY_CODES, RECOVERY_CODES));
        for code in codes {
            let shown = code.to_string();
            assert_eq!(shown.len(), 19, "{shown}");
            for typed in
                [shown.clone(), shown.to_uppercase(), shown.replace('-', " "), format!(" {} ", shown.replace('-', ""))]
            {
                assert!(TypedCode::parse(&typed) == Some(TypedCode::Recovery(code.clone())), "{typed}");
            }
            assert!(!format!("{code:?}").contains(&code.0));
        }
    }

    #[test]
    fn six_digits_are_of_an_app_and_anything_else_is_no_code() {
        for typed in ["123456", "123 456", " 123-456\n"] {
            assert!(TypedCode::parse(typed) == Some(TypedCode::App("123456".to_owned())), "{typed}");
        }
        for rubbish in ["", "12345", "1234567", "١٢٣٤٥٦", "uuuu-uuuu-uuuu-uuuu", &"1".repeat(65)] {
            assert!(TypedCode::parse(rubbish).is_none(), "{rubbish}");
        }
    }
}
