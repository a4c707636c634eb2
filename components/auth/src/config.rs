//! The settings for accounts.

use domain::User;
use http::HeaderName;
use identity::Issuer;
use permissions::role::is_role_name;
use platform::variables::variable;
use web::settings::{self, Check, web_address};

/// Who may make an account.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Signup {
    /// Everybody.
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody, once there is a first account.
    #[default]
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

#[derive(Clone, Default)]
pub(crate) struct Config {
    pub(crate) signup: Signup,
    /// A private key as PEM, or empty.
    pub(crate) signing_key: String,
    /// Whoever has one of these roles logs in with a second factor or not at all.
    pub(crate) second_factor_roles: Vec<String>,
    /// How long an erasure can be taken back before it begins.
    pub(crate) erasure_grace_ms: i64,
    /// The header in which a proxy names the client's address.
    pub(crate) client_address_header: Option<HeaderName>,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        Self {
            signup: Signup::parse(&variable("signup").await),
            signing_key: variable("signing_key").await,
            second_factor_roles: names(&variable("second_factor_roles").await).map(str::to_lowercase).collect(),
            erasure_grace_ms: settings::erasure_grace_ms(&variable("erasure_grace_days").await),
            client_address_header: variable("client_address_header").await.parse().ok(),
        }
    }

    /// Whether a role of this person needs a second factor.
    pub(crate) fn needs_second_factor(&self, user: &User) -> bool {
        user.roles().any(|role| self.second_factor_roles.iter().any(|needed| needed == role))
    }
}

/// The names of a comma-separated list.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Checks the settings, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let mut checks = vec![
        Check::new("signup", signup(&variable("signup").await)),
        Check::new("public_url", public_url(&variable("public_url").await)),
        Check::new("signing_key", signing_key(&variable("signing_key").await)),
        Check::new("second_factor_roles", second_factor_roles(&variable("second_factor_roles").await)),
        settings::erasure_grace(&variable("erasure_grace_days").await),
        Check::new("client_address_header", client_address_header(&variable("client_address_header").await)),
    ];
    checks.extend(crate::oidc::checks().await);
    checks
}

fn second_factor_roles(value: &str) -> Result<(), String> {
    match names(value).find(|name| !is_role_name(&name.to_lowercase())) {
        None => Ok(()),
        Some(name) => Err(format!(
            "second_factor_roles has {name:?}, which no role can be called; only the others need a second factor. Write names of roles with commas \
             between them: admin,auditor."
        )),
    }
}

fn client_address_header(value: &str) -> Result<(), String> {
    if value.is_empty() || value.parse::<HeaderName>().is_ok() {
        return Ok(());
    }
    Err("client_address_header is not the name of a header, so the address of the connection counts. Write the one that your proxy sets: x-real-ip.".to_owned())
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
    if Issuer::parse_list(value).is_ok() {
        return Ok(());
    }
    Err("signing_key is not one or more Ed25519 private keys in PEM, so nobody can log in. Make one: openssl genpkey -algorithm ed25519.".to_owned())
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
        for right in ["", "admin", "Admin, auditor,member"] {
            assert_eq!(second_factor_roles(right), Ok(()), "{right}");
        }
        for wrong in ["admin;member", "all people"] {
            assert!(second_factor_roles(wrong).is_err(), "{wrong}");
        }
        for (value, right) in [("", true), ("x-real-ip", true), ("X-Forwarded-For", true), ("x real ip", false)] {
            assert_eq!(client_address_header(value).is_ok(), right, "{value}");
        }
        assert!(signing_key("secret words").is_err_and(|detail| !detail.contains("secret words")));
        assert_eq!((signing_key(""), signing_key(&Issuer::generate().private_key())), (Ok(()), Ok(())));
    }
}
