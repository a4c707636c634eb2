//! The checks of a component's settings, and the checks that several components share. `ops` collects the results for `/ready`.
//!
//! It reads no variable: each component does that in its `config.rs`. Results are public, so they name settings and never quote a secret.

use std::{borrow::Cow, net::IpAddr, ops::Range};

use axum::{Router, routing::get};
use http::Uri;
use serde::{Deserialize, Serialize};

use storage::Database;

use crate::{App, Inside, Json, inside::Ops};

/// The path at which a component returns its checks. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub const PATH: &str = "/internal/settings";

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CheckStatus))]
pub enum Status {
    /// The setting is valid.
    Ok,
    /// It works, and something should be done soon; the detail says what.
    Warning,
    /// The setting is wrong; the detail says what to do.
    Failed,
}

/// A setting or a part of the installation, and whether it works.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    /// The variable's or the part's name.
    pub name: Cow<'static, str>,
    /// The result.
    pub status: Status,
    /// What is wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub detail: Option<String>,
}

impl Check {
    /// Makes a check from a result.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, result: Result<(), String>) -> Self {
        let status = if result.is_ok() { Status::Ok } else { Status::Failed };
        Self { name: name.into(), status, detail: result.err() }
    }

    /// Something that works, and that somebody should see to.
    #[must_use]
    pub fn warning(name: impl Into<Cow<'static, str>>, detail: String) -> Self {
        Self { name: name.into(), status: Status::Warning, detail: Some(detail) }
    }
}

/// Answers `ops` with a component's checks at [`PATH`].
pub fn router<D: Database + 'static>(app: App<D>, checks: Vec<Check>) -> Router {
    Router::new().route(PATH, get(async move |_: Inside<Ops>| Json::<_>(checks))).with_state(app)
}

/// Checks that a required setting is set.
pub fn required(name: &'static str, value: &str) -> Check {
    let missing = || format!("{name} is not set: set {}.", environment(name));
    Check::new(name, if value.is_empty() { Err(missing()) } else { Ok(()) })
}

/// Checks for a number of at least `least`; `otherwise` says which value is used instead of an invalid one.
pub fn number(name: &'static str, value: &str, least: u64, otherwise: &str) -> Check {
    let right = value.parse::<u64>().is_ok_and(|number| number >= least);
    Check::new(
        name,
        if right { Ok(()) } else { Err(format!("{name} must be a number of at least {least}; {otherwise}.")) },
    )
}

/// After how many days a key is due to be rotated, unless `key_rotation_days` says otherwise: what auditors commonly ask for.
pub const KEY_ROTATION_DAYS: u32 = 90;

/// Reads `key_rotation_days`. 0: never.
#[must_use]
pub fn rotation_days(value: &str) -> u32 {
    value.trim().parse().unwrap_or(KEY_ROTATION_DAYS)
}

/// Whoever regrets has a week, and so has whoever was away while a thief asked.
const ERASURE_GRACE_DAYS: i64 = 7;
/// Ten years: whoever waits longer is not erased.
const MAX_ERASURE_GRACE_DAYS: i64 = 3650;

/// How long an erasure can be taken back before it begins, from the days that the setting says.
#[must_use]
pub fn erasure_grace_ms(days: &str) -> i64 {
    let days =
        days.parse().ok().filter(|days| (0..=MAX_ERASURE_GRACE_DAYS).contains(days)).unwrap_or(ERASURE_GRACE_DAYS);
    days.saturating_mul(24 * 60 * 60 * 1000)
}

/// Checks the days of grace before an erasure.
#[must_use]
pub fn erasure_grace(days: &str) -> Check {
    let name = "erasure_grace_days";
    let fits = days.parse::<i64>().is_ok_and(|days| (0..=MAX_ERASURE_GRACE_DAYS).contains(&days));
    let wrong =
        || format!("{name} must be a number of days from 0 to {MAX_ERASURE_GRACE_DAYS}; {ERASURE_GRACE_DAYS} is used.");
    Check::new(name, if fits { Ok(()) } else { Err(wrong()) })
}

/// Checks for an `http` or `https` address.
pub fn address(name: &'static str, value: &str, example: &str) -> Check {
    let wrong =
        || format!("{name} is not an http or https address: set {}, for example to {example}.", environment(name));
    Check::new(name, web_address(value).map(drop).ok_or_else(wrong))
}

/// Parses an `http` or `https` address without credentials.
#[must_use]
pub fn web_address(value: &str) -> Option<Uri> {
    let uri: Uri = value.parse().ok()?;
    let plain =
        uri.authority().is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty());
    (matches!(uri.scheme_str(), Some("http" | "https")) && plain).then_some(uri)
}

/// An entry in the form of Spin's `allowed_outbound_hosts`, `scheme://host:port`. `*` stands for any scheme, host or port. The host may also be
/// `*.domain` or an address range such as `10.0.0.0/8`, the port a range `from..to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedHost<'a> {
    scheme: &'a str,
    host: &'a str,
    ports: Option<Range<u16>>,
}

impl<'a> AllowedHost<'a> {
    /// Parses an entry. `None`: Spin would refuse it.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (scheme, rest) = value.trim_end_matches('/').split_once("://")?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (rest, ""),
        };
        let ports = match (port, scheme) {
            ("", "https") => Some(443..444),
            ("", "http") => Some(80..81),
            ("", _) => return None,
            ("*", _) => None,
            (port, _) => Some(match port.split_once("..") {
                Some((from, to)) => from.parse().ok()?..to.parse().ok()?,
                None => port.parse().ok()?..port.parse::<u16>().ok()?.saturating_add(1),
            }),
        };
        let name = range(host).map_or(host, |(address, _)| address);
        let host_fits = !name.is_empty() && !name.contains(['/', '@', '?', '#', ' ', ',']);
        (["*", "http", "https"].contains(&scheme) && host_fits).then_some(Self { scheme, host, ports })
    }

    /// Whether it is an address range, of which [`Self::allows`] knows nothing exact.
    #[must_use]
    pub fn is_range(&self) -> bool {
        range(self.host).is_some()
    }

    /// Whether it allows every host.
    #[must_use]
    pub fn is_anywhere(&self) -> bool {
        self.host == "*"
    }

    /// Whether it stands for nowhere: a host that does not exist (RFC 2606), as in `https://none.invalid`.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.host == "none.invalid"
    }

    /// Whether a request to this address is allowed. An address range allows every address here; the host checks it exactly.
    #[must_use]
    pub fn allows(&self, address: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (address.scheme_str(), address.host()) else { return false };
        let port = port_of(address);
        let host_fits = match self.host.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => self.host == "*" || self.host.eq_ignore_ascii_case(host) || self.is_range(),
        };
        let port_fits = self.ports.as_ref().is_none_or(|ports| ports.contains(&port));
        (self.scheme == "*" || self.scheme == scheme) && host_fits && port_fits
    }
}

/// The port of an `http` or `https` address.
#[must_use]
pub fn port_of(address: &Uri) -> u16 {
    address.port_u16().unwrap_or(if address.scheme_str() == Some("https") { 443 } else { 80 })
}

/// Parses an address range: an address and the length of its prefix.
fn range(host: &str) -> Option<(&str, u8)> {
    let (address, bits) = host.split_once('/')?;
    let known = address.parse::<IpAddr>().is_ok();
    bits.parse().ok().filter(|_| known).map(|bits| (address, bits))
}

/// Checks a variable that is used in `allowed_outbound_hosts`.
pub fn allowed_host(name: &'static str, value: &str) -> Check {
    let wrong = || {
        format!(
            "{name} must be scheme://host:port without a path, for example https://example.org:443; nothing can be reached through it."
        )
    };
    Check::new(name, AllowedHost::parse(value).map(drop).ok_or_else(wrong))
}

/// The name of the environment variable that sets a Spin variable.
#[must_use]
pub fn environment(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(check: &Check) -> bool {
        check.status == Status::Failed
    }

    #[test]
    fn a_setting_that_is_missing_is_named_with_its_environment_variable() {
        assert!(required("openai_api_key", "").detail.unwrap().contains("SPIN_VARIABLE_OPENAI_API_KEY"));
        assert!(!failed(&required("openai_api_key", "k")));
    }

    #[test]
    fn numbers_have_a_least() {
        let check = |value| failed(&number("n", value, 5, "7 is used"));
        assert_eq!(["5", "128000", "4", "-5", "many", ""].map(check), [false, false, true, true, true, true]);
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_no_password() {
        let check = |value| failed(&address("a", value, "https://x"));
        for wrong in ["", "chat.example.org", "localhost:80/v1", "ftp://x", "https://", "https://me:secret@x/v1"] {
            assert!(check(wrong), "{wrong}");
        }
        for right in ["https://api.example.org/v1?api-version=x", "http://127.0.0.1:4010/v1", "http://[::1]:11434"] {
            assert!(!check(right), "{right}");
        }
    }

    #[test]
    fn an_allowed_host_is_read_and_decides_as_spin_does() {
        for wrong in [
            "",
            "example.org",
            "https://",
            "https://x/path",
            "https://x:port",
            "ftp://x",
            "*://x",
            "https://a, https://b",
        ] {
            assert_eq!(AllowedHost::parse(wrong), None, "{wrong}");
        }
        let allows = |pattern, address: &str| AllowedHost::parse(pattern).unwrap().allows(&address.parse().unwrap());
        assert!(allows("https://*:443", "https://mail.example.org/jmap"));
        assert!(!allows("https://*:443", "https://mail.example.org:8443/jmap"));
        assert!(!allows("https://*:443", "http://mail.example.org/jmap"));
        assert!(allows("https://Example.org", "https://example.org/"));
        assert!(allows("*://*.example.org:*", "http://a.example.org:81/"));
        assert!(!allows("*://*.example.org:*", "http://example.org:81/"));
        assert!(allows("http://[::1]:5232", "http://[::1]:5232/x"));
        assert!(allows("http://10.0.0.0/8:8000..9000", "http://10.1.2.3:8080/x"));
        assert!(!allows("http://10.0.0.0/8:8000..9000", "http://10.1.2.3:9000/x"));
    }
}
