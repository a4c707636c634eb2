//! Texts that this installation signs for itself and gives to somebody to keep: what comes back is what was given, and nothing need be stored.
//! They can be read by whoever has them, so they contain no secrets.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::IdentityError;

/// 128 bits of the HMAC (RFC 2104, section 5): nobody guesses them, and the text stays short enough for an address.
const CODE_BYTES: usize = 16;
/// A longer text is neither made nor decoded. It comes back in a body that has a little more, of 16 KiB.
const MAX_BYTES: usize = 15 * 1024;

/// What a text is for. One that was signed for something else does not verify.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A program's registration, which is its `client_id`.
    Registration,
    /// A program's request for access, until its person has decided.
    AuthorizationRequest,
}

impl Use {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Registration => b"registration of a client\0",
            Self::AuthorizationRequest => b"request for authorization\0",
        }
    }
}

fn code(key: &[u8], used: Use, text: &str) -> Result<Hmac<Sha256>, IdentityError> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).map_err(|error| IdentityError::Key(error.to_string()))?;
    code.update(used.label());
    code.update(text.as_bytes());
    Ok(code)
}

pub(crate) fn sign(key: &[u8], used: Use, text: &str) -> Result<Option<String>, IdentityError> {
    let code = code(key, used, text)?.finalize().into_bytes();
    let code = code.get(..CODE_BYTES).unwrap_or_default();
    let signed = format!("{}.{}", BASE64.encode(text), BASE64.encode(code));
    Ok((signed.len() <= MAX_BYTES).then_some(signed))
}

pub(crate) fn verified(key: &[u8], used: Use, signed: &str) -> Option<String> {
    if signed.len() > MAX_BYTES {
        return None;
    }
    let (text, sent) = signed.split_once('.')?;
    let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
    let sent = BASE64.decode(sent).ok().filter(|sent| sent.len() == CODE_BYTES)?;
    code(key, used, &text).ok()?.verify_truncated_left(&sent).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_comes_back_and_nothing_else_does() {
        let signed = sign(b"key", Use::Registration, "{\"name\":\"é\"}").unwrap().unwrap();
        assert_eq!(verified(b"key", Use::Registration, &signed).as_deref(), Some("{\"name\":\"é\"}"));
        assert_eq!(verified(b"other", Use::Registration, &signed), None);
        assert_eq!(verified(b"key", Use::AuthorizationRequest, &signed), None);
        let (text, code) = signed.split_once('.').unwrap();
        let other = BASE64.encode("{\"name\":\"e\"}");
        for forged in [
            format!("{other}.{code}"),
            format!("{text}."),
            format!("{text}.AAAA"),
            text.to_owned(),
            String::new(),
            format!("{signed}A"),
        ] {
            assert_eq!(verified(b"key", Use::Registration, &forged), None, "{forged}");
        }
        assert_eq!(
            sign(b"key", Use::Registration, &"x".repeat(MAX_BYTES)).unwrap(),
            None,
            "it would not be taken back"
        );
    }
}
