//! `allowed_outbound_hosts`: Spin's syntax, and Spin's decision whether a component may send a request to an address.
//!
//! Entries are `scheme://host[:port]`, and each part may be `*`. The host may also be `*.domain`, an address range or `self`, the port
//! `from..to`. This module only decides; the host looks up names, logs and sends.

use anyhow::{Context, Result, bail};
use http::Uri;
use ipnet::IpNet;
use url::Host;

use crate::variables::Variables;

/// The suffix after a component's id in the name by which other components call it.
const CHAINING_SUFFIX: &str = ".spin.internal";

/// The names by which a component calls the application that it is part of.
const SELF_NAMES: [&str; 2] = ["self", "self.alt"];

/// The hosts one component may send requests to.
#[derive(Debug, Default)]
pub struct AllowedHosts(Vec<AllowedHost>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct AllowedHost {
    /// `None`: any.
    scheme: Option<String>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// With its leading dot.
    Subdomain(String),
    ToSelf,
    Literal(Host),
    Range(IpNet),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PortPattern {
    Any,
    One(u16),
    /// The end is excluded.
    Range(std::ops::Range<u16>),
}

impl AllowedHosts {
    /// Parses a component's entries after filling in variables. `components` are the ids that `http://*.spin.internal` stands for.
    ///
    /// # Errors
    /// An entry that Spin also refuses, or one with an unknown variable.
    pub fn new(entries: &[String], variables: &Variables, components: &[&str]) -> Result<Self> {
        let mut allowed = Vec::new();
        for entry in entries {
            let filled = variables.fill(entry)?;
            // As in Spin, an optional endpoint that is not configured grants nothing; a literal empty entry is an error.
            if filled != *entry && ["", "http://", "https://"].contains(&filled.as_str()) {
                continue;
            }
            let host = AllowedHost::parse(&filled).with_context(|| format!("in the entry {entry:?}"))?;
            if host.host == HostPattern::Subdomain(CHAINING_SUFFIX.to_owned()) {
                allowed.extend(components.iter().map(|id| AllowedHost {
                    host: HostPattern::Literal(Host::Domain(format!("{id}{CHAINING_SUFFIX}"))),
                    ..host.clone()
                }));
            } else {
                allowed.push(host);
            }
        }
        Ok(Self(allowed))
    }

    /// Whether a request to this absolute address may be sent.
    #[must_use]
    pub fn allow(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return false };
        let Ok(host) = Host::parse(host) else { return false };
        let Some(port) = uri.port_u16().or_else(|| well_known_port(scheme)) else { return false };
        self.0.iter().any(|allowed| allowed.allows(scheme, &host, port))
    }

    /// Whether an entry covers the application itself or a name below `spin.internal`, by any scheme and port. Final dots of a name are ignored.
    #[must_use]
    pub fn reach_the_application(&self) -> bool {
        self.0.iter().any(|allowed| allowed.host.reaches_the_application())
    }

    /// Whether the component may send requests to the application itself without naming a host.
    #[must_use]
    pub fn allow_self(&self) -> bool {
        self.0.iter().any(|allowed| {
            let scheme = allowed.scheme.as_deref();
            matches!(allowed.host, HostPattern::Any | HostPattern::ToSelf)
                && matches!(scheme, None | Some("http" | "https"))
        })
    }
}

/// The component that an address names with `.spin.internal`.
#[must_use]
pub fn chained_component(uri: &Uri) -> Option<&str> {
    uri.host()?.strip_suffix(CHAINING_SUFFIX).filter(|id| !id.contains('.'))
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self> {
        let entry = entry.trim();
        let Some((scheme, rest)) = entry.split_once("://") else {
            bail!("{entry:?} has no scheme: write scheme://host[:port], for example \"https://example.com\"");
        };
        if scheme != "*" && !scheme.chars().all(char::is_alphabetic) {
            bail!("the scheme {scheme:?} may have only letters, or be *");
        }
        let (host, port) = match rest.rsplit_once(':') {
            None => (rest, ""),
            Some((host, "")) => (host, ""),
            // A bare IPv6 address has colons but no port.
            Some(_) if HostPattern::parse(rest).is_ok() => (rest, ""),
            Some((host, tail)) => match tail.split_once('/') {
                None => (host, tail),
                Some((port, "")) => (host, port),
                Some(_) => bail!("{entry:?} has a path: Spin accepts none here"),
            },
        };
        Ok(Self {
            host: HostPattern::parse(host).with_context(|| format!("the host {host:?} is not valid"))?,
            port: PortPattern::parse(port, scheme).with_context(|| format!("the port {port:?} is not valid"))?,
            scheme: (scheme != "*").then(|| scheme.to_owned()),
        })
    }

    fn allows(&self, scheme: &str, host: &Host, port: u16) -> bool {
        self.scheme.as_ref().is_none_or(|allowed| allowed == scheme)
            && self.host.allows(host)
            && match &self.port {
                PortPattern::Any => true,
                PortPattern::One(allowed) => *allowed == port,
                PortPattern::Range(range) => range.contains(&port),
            }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self> {
        let host = host.trim();
        if host == "*" {
            return Ok(Self::Any);
        }
        if SELF_NAMES.contains(&host) {
            return Ok(Self::ToSelf);
        }
        if host.starts_with('{') {
            bail!("lists are not supported: write one entry for each");
        }
        if let Ok(range) = host.parse::<IpNet>() {
            return Ok(Self::Range(range.trunc()));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.contains('/') {
            bail!("it has a path: Spin accepts none here");
        }
        if let Some(domain) = host.strip_prefix("*.") {
            return match Host::parse(domain)? {
                Host::Domain(domain) if !domain.contains('*') => Ok(Self::Subdomain(format!(".{domain}"))),
                _ => bail!("only a domain may follow \"*.\""),
            };
        }
        if host.contains('*') {
            bail!("\"*\" may stand only for the whole host or at its start, as in \"*.example.com\"");
        }
        Ok(Self::Literal(Host::parse(host)?))
    }

    fn reaches_the_application(&self) -> bool {
        match self {
            Self::Any | Self::ToSelf => true,
            Self::Subdomain(suffix) => {
                let suffix = suffix.trim_end_matches('.');
                suffix.ends_with(CHAINING_SUFFIX)
                    || CHAINING_SUFFIX.ends_with(suffix)
                    || SELF_NAMES.iter().any(|name| name.ends_with(suffix))
            }
            Self::Literal(Host::Domain(domain)) => {
                let domain = domain.trim_end_matches('.');
                SELF_NAMES.contains(&domain) || format!(".{domain}").ends_with(CHAINING_SUFFIX)
            }
            Self::Literal(_) | Self::Range(_) => false,
        }
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomain(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::Literal(literal), host) => literal == host,
            (Self::Range(range), Host::Ipv4(address)) => range.contains(&std::net::IpAddr::V4(*address)),
            (Self::Range(range), Host::Ipv6(address)) => range.contains(&std::net::IpAddr::V6(*address)),
            (Self::Subdomain(_) | Self::Range(_) | Self::ToSelf, _) => false,
        }
    }
}

impl PortPattern {
    fn parse(port: &str, scheme: &str) -> Result<Self> {
        if port.is_empty() {
            return well_known_port(scheme)
                .map(Self::One)
                .with_context(|| format!("the scheme {scheme:?} has no default port: write one, or \":*\""));
        }
        if port == "*" {
            return Ok(Self::Any);
        }
        match port.split_once("..") {
            Some((start, end)) => Ok(Self::Range(start.parse()?..end.parse()?)),
            None => Ok(Self::One(port.parse()?)),
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn variables() -> Variables {
        let declared =
            toml::from_str("base = { default = 'https://api.example.com' }\nempty = { default = '' }").unwrap();
        Variables::settle(&declared, &HashMap::new(), |_| None).unwrap()
    }

    fn hosts(entries: &[&str]) -> Result<AllowedHosts> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        AllowedHosts::new(&entries, &variables(), &["chat", "tools"])
    }

    #[track_caller]
    fn check(entry: &str, yes: &[&str], no: &[&str]) {
        let allowed = hosts(&[entry]).unwrap();
        for uri in yes {
            assert!(allowed.allow(&uri.parse().unwrap()), "{entry} must allow {uri}");
        }
        for uri in no {
            assert!(!allowed.allow(&uri.parse().unwrap()), "{entry} must not allow {uri}");
        }
    }

    #[test]
    fn an_entry_grants_its_scheme_host_and_port_only() {
        check(
            "https://example.com",
            &["https://example.com/x?y", "https://example.com:443/", "https://EXAMPLE.com/"],
            &["http://example.com/", "https://example.com:8443/", "https://www.example.com/", "https://example.org/"],
        );
        check("http://127.0.0.1:*", &["http://127.0.0.1:9/", "http://127.0.0.1/"], &["http://127.0.0.2:9/"]);
        check(
            "http://localhost:8000..8010",
            &["http://localhost:8000/", "http://localhost:8009/"],
            &["http://localhost:8010/"],
        );
    }

    #[test]
    fn wildcards_stand_for_a_whole_part() {
        check("https://*:*", &["https://a.b:1/", "https://1.2.3.4/"], &["http://a.b/"]);
        check("*://*:*", &["http://a.b/", "https://[::1]:5/"], &[]);
        check(
            "https://*.example.com",
            &["https://a.example.com/", "https://a.b.example.com/"],
            &["https://example.com/"],
        );
    }

    #[test]
    fn ranges_match_addresses_and_never_names() {
        check("http://10.0.0.0/8:*", &["http://10.1.2.3:5/"], &["http://11.0.0.1/", "http://example.com/"]);
        check("http://[::1]", &["http://[::1]/"], &["http://127.0.0.1/"]);
    }

    #[test]
    fn chaining_needs_the_exact_component_or_the_wildcard() {
        check("http://chat.spin.internal", &["http://chat.spin.internal/x"], &["http://tools.spin.internal/x"]);
        check("http://*.spin.internal", &["http://tools.spin.internal/"], &["http://stranger.spin.internal/"]);
        assert_eq!(chained_component(&Uri::from_static("http://chat.spin.internal/x")), Some("chat"));
        assert_eq!(chained_component(&Uri::from_static("http://a.chat.spin.internal/x")), None);
        assert_eq!(chained_component(&Uri::from_static("http://spin.internal.example.com/x")), None);
    }

    #[test]
    fn variables_are_filled_in_and_an_empty_one_grants_nothing() {
        check("{{ base }}", &["https://api.example.com/"], &["https://example.com/"]);
        check("{{ empty }}", &[], &["https://example.com/"]);
        check("https://{{ empty }}", &[], &["https://example.com/"]);
    }

    #[test]
    fn requests_to_the_application_itself_need_self_or_any() {
        assert!(hosts(&["http://self"]).unwrap().allow_self());
        assert!(hosts(&["*://*:*"]).unwrap().allow_self());
        assert!(!hosts(&["http://example.com"]).unwrap().allow_self());
    }

    #[test]
    fn the_application_is_reached_however_its_names_are_written() {
        for entry in [
            "*://*:*",
            "https://*:443",
            "postgres://*",
            "http://self",
            "https://self.alt:443",
            "http://s%65lf",
            "http://*.alt",
            "http://spin.internal",
            "http://chat.spin.internal",
            "http://CHAT.Spin.Internal.:80",
            "http://stranger.spin.internal:*",
            "http://chat.spin%2einternal",
            "http://chat.ｓｐｉｎ.internal",
            "http://chat.spin。internal",
            "http://chat.spin.in\u{ad}ternal",
            "http://*.spin.internal",
            "http://*.spin%2Einternal",
            "http://*.internal",
            "http://*.chat.spin.internal",
        ] {
            assert!(hosts(&[entry]).unwrap().reach_the_application(), "{entry}");
        }
        for entry in [
            "https://*.example.com",
            "http://127.0.0.1:8000",
            "http://[::1]:*",
            "http://10.0.0.0/8:*",
            "https://spin.internal.example",
            "https://myspin.internal",
            "https://self.example",
        ] {
            assert!(!hosts(&[entry]).unwrap().reach_the_application(), "{entry}");
        }
    }

    #[test]
    fn what_spin_refuses_is_refused() {
        for bad in [
            "",
            "*",
            "example.com",
            "https://example.com/path",
            "https://example.com:80/path",
            "ftp://example.com",
            "https://a.*.com",
            "https://{a,b}",
            "ht+tp://a",
            "https://a:port",
            "*://example.com",
        ] {
            assert!(hosts(&[bad]).is_err(), "{bad:?}");
        }
    }
}
