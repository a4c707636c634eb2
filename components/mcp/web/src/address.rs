//! The addresses that `fetch` may read: pages that anybody on the Internet can read, over TLS.
//!
//! Why only TLS: a host resolves a name itself when it connects, and neither Spin nor the embedded host lets a component look names up first. So this
//! component cannot know whether `http://rebind.example` is 169.254.169.254. With TLS, the server must prove that it is the named host, which a
//! metadata service or a router cannot. For the same reason, the manifest grants only `https://*:443`. A private server with a public certificate for
//! its name is still possible: docs/tools.md says how an operator prevents that.

use std::net::IpAddr;

use tool_provider::Failure;
use upstream::address;
use url::{Host, Url};

/// Longer addresses are data, not a location. Servers accept up to about 8,000.
pub(crate) const MAX_URL_CHARS: usize = 2_048;

/// Names that are not on the Internet: special use (RFC 6761, 6762, 8375, 9476), `.internal` (reserved by ICANN, and used by Spin for components),
/// and common names of private networks.
const PRIVATE_SUFFIXES: [&str; 15] = [
    "alt",
    "arpa",
    "corp",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "test",
];

/// An address that may be fetched: `http` becomes `https`, and the fragment is dropped.
///
/// # Errors
/// [`Failure::InvalidArguments`].
pub(crate) fn checked(mut url: Url) -> Result<Url, Failure> {
    if url.as_str().chars().count() > MAX_URL_CHARS {
        return refused(format!("The address is longer than {MAX_URL_CHARS} characters."));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return refused(format!("\"{}:\" addresses cannot be read: only https and http.", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("The address has a name or a password in it: leave them out.".to_owned());
    }
    if let Some(port) = url.port() {
        return refused(format!("Port {port} is not allowed: only addresses without a port can be read."));
    }
    match url.host() {
        Some(Host::Domain(name)) if is_private_name(name) => {
            return refused(format!("{name} is not a name on the Internet: only public pages can be read."));
        }
        Some(Host::Ipv4(address)) => public(IpAddr::V4(address))?,
        Some(Host::Ipv6(address)) => public(IpAddr::V6(address))?,
        Some(Host::Domain(_)) => {}
        None => return refused("The address names no host.".to_owned()),
    }
    url.set_fragment(None);
    if url.scheme() == "http" && url.set_scheme("https").is_err() {
        return refused("The address cannot be read over https.".to_owned());
    }
    Ok(url)
}

/// Refuses an IP address that is not public.
///
/// # Errors
/// [`Failure::InvalidArguments`].
pub(crate) fn public(ip: IpAddr) -> Result<(), Failure> {
    if address::is_public(ip) {
        Ok(())
    } else {
        refused(format!("{ip} is a private or reserved address: only public pages can be read."))
    }
}

fn refused<T>(words: String) -> Result<T, Failure> {
    Err(Failure::InvalidArguments(words))
}

fn is_private_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    // `url` has made the name lower case. A name without a dot always belongs to the local network.
    address::is_inside(name) || name.rsplit_once('.').is_none_or(|(_, last)| PRIVATE_SUFFIXES.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(url: &str) -> Result<String, Failure> {
        checked(Url::parse(url).unwrap()).map(String::from)
    }

    #[test]
    fn public_pages_are_read_over_https() {
        for (url, read) in [
            ("https://www.rust-lang.org/learn?a=b#get-started", "https://www.rust-lang.org/learn?a=b"),
            ("http://www.rust-lang.org", "https://www.rust-lang.org/"),
            ("HTTP://Bücher.DE:80/x", "https://xn--bcher-kva.de/x"),
            ("https://1.1.1.1/", "https://1.1.1.1/"),
            ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
            ("https://localhost.rust-lang.org:443/", "https://localhost.rust-lang.org/"),
        ] {
            assert_eq!(taken(url).unwrap(), read);
        }
    }

    #[test]
    fn everything_private_is_refused_however_it_is_written() {
        for url in [
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://printer.local/",
            "https://vault.internal/",
            "http://mcp-clock.spin.internal/",
            "https://ops.spin.internal../ready",
            "https://self.alt/",
            "https://localhost../",
            "https://intranet/",
            "https://router.lan./",
            "https://1.168.192.in-addr.arpa/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://%31%32%37.0.0.1/",
            "https://127。0。0。1/",
            "https://0.0.0.0/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://172.31.255.255/",
            "https://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data/",
            "https://100.64.0.1/",
            "https://100.127.255.255/",
            "https://192.0.0.8/",
            "https://192.0.2.1/",
            "https://198.18.0.1/",
            "https://198.19.255.255/",
            "https://203.0.113.9/",
            "https://224.0.0.1/",
            "https://240.0.0.1/",
            "https://255.255.255.255/",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[::7f00:1]/",
            "https://[64:ff9b::10.0.0.1]/",
            "https://[64:ff9b:1::1]/",
            "https://[100::1]/",
            "https://[fc00::1]/",
            "https://[fd12:3456::1]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://[ff02::1]/",
            "https://[2001::1]/",
            "https://[2001:db8::1]/",
            "https://[2002:7f00:1::]/",
            "https://[3fff::1]/",
        ] {
            let refusal = taken(url);
            assert!(matches!(refusal, Err(Failure::InvalidArguments(_))), "{url}: {refusal:?}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_page_is_refused_in_words() {
        let long = format!("https://rust-lang.org/{}", "a".repeat(MAX_URL_CHARS));
        for (url, words) in [
            ("ftp://rust-lang.org/", "\"ftp:\""),
            ("file:///etc/passwd", "\"file:\""),
            ("javascript:alert(1)", "\"javascript:\""),
            ("data:text/plain,x", "\"data:\""),
            ("https://somebody:secret@rust-lang.org/", "password"),
            ("https://rust-lang.org@evil.org/", "password"),
            ("https://rust-lang.org:8443/", "Port 8443"),
            ("http://rust-lang.org:443/", "Port 443"),
            ("https://rust-lang.org:80/", "Port 80"),
            ("https://rust-lang.org:22/", "Port 22"),
            (long.as_str(), "longer than"),
        ] {
            let Err(Failure::InvalidArguments(said)) = taken(url) else { panic!("{url} was taken") };
            assert!(said.contains(words), "{url}: {said}");
        }
    }
}
