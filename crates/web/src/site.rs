//! The installation's public address, and whether a request came through it: over https, and from our own pages.
//!
//! A proxy's headers can only make the checks stricter, so forging them gains nothing.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use network_address::is_this_machine;
use problem::Problem;

use crate::Result;

/// The scheme according to a proxy, in the common header; the other form is RFC 7239's.
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The request's address according to Spin.
const SPIN_FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");

/// The installation's public address.
#[derive(Clone, Default, Debug)]
pub struct Site {
    /// Without a slash at its end; empty when not configured.
    public_url: String,
}

impl Site {
    /// For an address, which may be empty.
    #[must_use]
    pub fn new(public_url: &str) -> Self {
        Self { public_url: public_url.trim_end_matches('/').to_owned() }
    }

    /// Whether the person uses https, according to our public address, Spin or a proxy.
    #[must_use]
    pub fn is_https(&self, headers: &HeaderMap) -> bool {
        let is_https = |url: &str| url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        is_https(&self.public_url)
            || text(headers, &SPIN_FULL_URL).is_some_and(is_https)
            || forwarded_proto(headers).is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
    }

    /// The installation's address for programs: the configured one. For a request from the machine itself, the request's own address. Any other
    /// host name in a request proves nothing.
    #[must_use]
    pub fn address(&self, headers: &HeaderMap) -> Option<String> {
        if !self.public_url.is_empty() {
            return Some(self.public_url.clone());
        }
        let host = text(headers, &header::HOST).filter(|host| is_this_machine(name_of(host)))?;
        let scheme = if self.is_https(headers) { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }

    /// Whether the request names our public host, or a host that no page on the internet can have, such as the machine's own address.
    #[must_use]
    pub fn is_ours(&self, headers: &HeaderMap) -> bool {
        let Some((_, ours)) = self.public_url.split_once("://") else { return true };
        let Some(host) = text(headers, &header::HOST).map(name_of) else { return true };
        host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(name_of(ours))
            || host.starts_with('[')
            || !host.contains('.')
            || host.parse::<std::net::Ipv4Addr>().is_ok()
    }

    /// The public address; empty when not configured.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Browsers send cookies with requests of other sites' pages too, so a change must come from one of our pages.
    ///
    /// # Errors
    /// 403 when the page is on another host, or came over plain http while we use https.
    pub fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<()> {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let host = text(headers, &header::HOST);
        let ours = origin.is_some_and(|(scheme, from)| {
            Some(from) == host && (scheme == "https" || (scheme == "http" && !self.is_https(headers)))
        });
        if ours {
            return Ok(());
        }
        let detail = "This request came from another site and was refused.";
        Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail).into())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The scheme that the person used. It is the first one, because every proxy appends its own.
fn forwarded_proto(headers: &HeaderMap) -> Option<&str> {
    if let Some(protos) = text(headers, &X_FORWARDED_PROTO) {
        return protos.split(',').next().map(str::trim);
    }
    let first = text(headers, &header::FORWARDED)?.split(',').next()?;
    let pairs = first.split(';').filter_map(|pair| pair.split_once('='));
    let mut protos = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("proto"));
    protos.next().map(|(_, proto)| proto.trim().trim_matches('"'))
}

/// A host without its port; an IPv6 address keeps its brackets.
fn name_of(host: &str) -> &str {
    let end = if host.starts_with('[') { host.find(']').map(|end| end + 1) } else { host.find([':', '/']) };
    end.and_then(|end| host.get(..end)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn whether_the_person_came_over_https_is_said_by_the_operator_the_host_or_a_proxy() {
        let site = Site::new("");
        for secure in [
            [("x-forwarded-proto", "https")],
            [("x-forwarded-proto", "HTTPS, http")],
            [("forwarded", "for=192.0.2.1;Proto=\"https\", for=10.0.0.1;proto=http")],
            [("spin-full-url", "https://chat.example.org/")],
        ] {
            assert!(site.is_https(&headers(&secure)), "{secure:?}");
        }
        for plain in [
            [("x-forwarded-proto", "http, https")],
            [("x-forwarded-proto", "")],
            [("forwarded", "for=192.0.2.1")],
            [("spin-full-url", "http://127.0.0.1:3000/")],
        ] {
            assert!(!site.is_https(&headers(&plain)), "{plain:?}");
            assert!(Site::new("https://chat.example.org").is_https(&headers(&plain)));
        }
    }

    #[test]
    fn a_change_comes_from_our_own_page_and_over_https_if_we_are() {
        let (open, secure) = (Site::new(""), Site::new("https://chat.example.org/"));
        let check = |site: &Site, pairs: &[(&'static str, &'static str)]| {
            site.check_origin(&Method::POST, &headers(pairs)).is_ok()
        };
        let host = ("host", "chat.example.org");
        let (https, http) = (("origin", "https://chat.example.org"), ("origin", "http://chat.example.org"));
        assert!(check(&open, &[host, https]) && check(&open, &[host, http]) && check(&open, &[host]));
        assert!(check(&secure, &[host, https]) && check(&secure, &[host]));
        assert!(!check(&secure, &[host, http]));
        assert!(!check(&open, &[host, http, ("x-forwarded-proto", "https")]));
        for other in ["https://evil.example", "null", "https://x@chat.example.org", "ftp://chat.example.org", ""] {
            assert!(!check(&open, &[host, ("origin", other)]), "{other}");
        }
        assert!(!check(&open, &[("origin", "https://chat.example.org")]), "no host");
    }

    #[test]
    fn a_name_that_came_with_the_request_is_believed_on_the_machine_itself_alone() {
        let at = |site: &Site, host: &'static str| site.address(&headers(&[("host", host)]));
        let open = Site::new("");
        for host in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST", "127.1.2.3"] {
            assert_eq!(at(&open, host), Some(format!("http://{host}")));
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::1", "10.0.0.1", ""] {
            assert_eq!(at(&open, host), None, "{host}");
        }
        assert_eq!(at(&Site::new("https://chat.example.org/"), "evil.example").unwrap(), "https://chat.example.org");
    }

    #[test]
    fn a_request_is_meant_for_our_public_host_or_for_the_machine_it_reached() {
        let ours = |public_url: &str, host: &'static str| Site::new(public_url).is_ours(&headers(&[("host", host)]));
        for host in [
            "chat.example.org",
            "CHAT.example.org:443",
            "chat.example.org.",
            "127.0.0.1:3000",
            "10.1.2.3",
            "[::1]:3000",
            "localhost",
            "edge-assistant",
        ] {
            assert!(ours("https://chat.example.org", host), "{host}");
        }
        for host in ["evil.example", "evil.example:443", "chat.example.org.evil.example", "127.0.0.1.evil.example"] {
            assert!(!ours("https://chat.example.org:8443", host), "{host}");
            assert!(ours("", host), "{host}: nobody said where we are");
        }
    }
}
