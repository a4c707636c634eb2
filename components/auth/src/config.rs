//! The settings for accounts.

use identity::Issuer;
use platform::variables::variable;
use web::settings::{Check, web_address};

/// Who may make an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signup {
    /// Everybody.
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody, once there is a first account.
    Closed,
}

impl Signup {
    /// Any other value means closed: a typing error must not let strangers in. `/ready` reports such a value.
    fn parse(text: &str) -> Self {
        match text {
            "open" => Self::Open,
            "invite" => Self::Invite,
            _ => Self::Closed,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) signup: Signup,
    /// A private key as PEM, or empty.
    pub(crate) signing_key: String,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        Self { signup: Signup::parse(&variable("signup").await), signing_key: variable("signing_key").await }
    }
}

/// Checks the settings, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let mut checks = vec![
        Check::new("signup", signup(&variable("signup").await)),
        Check::new("public_url", public_url(&variable("public_url").await)),
        Check::new("signing_key", signing_key(&variable("signing_key").await)),
    ];
    checks.extend(crate::oidc::checks().await);
    checks
}

fn signup(value: &str) -> Result<(), String> {
    match value {
        "open" | "invite" | "closed" => Ok(()),
        _ => Err("signup must be open, invite or closed; it is treated as closed.".to_owned()),
    }
}

fn public_url(value: &str) -> Result<(), String> {
    let at_the_root = web_address(value).is_some_and(|address| address.path() == "/" && address.query().is_none());
    if value.is_empty() || at_the_root {
        return Ok(());
    }
    Err("public_url must be https:// (or http://) and a host, without a path: https://chat.example.org.".to_owned())
}

/// The error's own message could contain a part of the key, so it is not shown.
fn signing_key(value: &str) -> Result<(), String> {
    if value.is_empty() || Issuer::from_pem(value).is_ok() {
        return Ok(());
    }
    Err("signing_key is not an Ed25519 private key in PEM, so nobody can log in. Make one: openssl genpkey -algorithm ed25519.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found_and_what_is_right_passes() {
        for (value, right, means) in [
            ("open", true, Signup::Open),
            ("invite", true, Signup::Invite),
            ("closed", true, Signup::Closed),
            ("opne", false, Signup::Closed),
            ("", false, Signup::Closed),
        ] {
            assert_eq!((signup(value).is_ok(), Signup::parse(value)), (right, means), "{value}");
        }
        for right in ["", "https://chat.example.org", "http://127.0.0.1:3000/"] {
            assert_eq!(public_url(right), Ok(()), "{right}");
        }
        for wrong in ["chat.example.org", "https://chat.example.org/chat", "ftp://chat.example.org", "https://"] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
        assert!(signing_key("secret words").is_err_and(|detail| !detail.contains("secret words")));
        assert_eq!((signing_key(""), signing_key(&Issuer::generate().private_key())), (Ok(()), Ok(())));
    }
}
