//! Which hosts an address that came from outside may name: a person, a page, a redirect or a server's answer gave it. Each question has one answer for
//! all tools and for the way to MCP servers elsewhere. Pure: this crate must not look names up.
//!
//! [`is_inside`]: does a host name a part of this installation? Spin and the embedded host pass a request for `https://ops.spin.internal` to the
//! component `ops` in the same process, whatever the scheme, and a grant such as `https://*:443` includes that name.
//!
//! [`is_public`]: can everybody on the Internet reach this IP address? Each caller decides whether that is required.
//!
//! [`is_local`]: can only a local network know this name?
//!
//! [`is_this_machine`]: does a host always mean the machine itself?
//!
//! [`is_public_host`]: may everybody on the Internet know a host, be it a name or an IP address?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;

/// The names under which components of an application reach each other, and the application itself: these names, and all below them.
const INSIDE: [&str; 2] = ["spin.internal", "self.alt"];

/// Whether a host is a part of this installation, or names one.
#[must_use]
pub fn is_inside(host: &str) -> bool {
    // Normalized like a resolver does it: a dot at the end, case and percent-encoding do not matter.
    let host = percent_decode_str(host).decode_utf8_lossy().to_ascii_lowercase();
    let host = host.trim().trim_end_matches('.');
    INSIDE.iter().any(|name| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Whether everybody on the Internet can reach an address, by the registries of special-purpose addresses (RFC 6890 and its successors).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether only a local network can know a name (RFC 6761, section 6.3; RFC 6762; `.internal` is reserved for it).
#[must_use]
pub fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.rsplit_once('.').is_none_or(|(_, last)| ["localhost", "local", "internal"].contains(&last))
}

/// Whether everybody on the Internet may know a host: an IP address, in brackets if it is one of version 6, or a name. What a name resolves to is
/// not known here.
#[must_use]
pub fn is_public_host(host: &str) -> bool {
    address_of(host).map_or_else(|| !is_local(host) && !is_inside(host) && !ends_in_number(host), is_public)
}

/// Whether resolvers may take a host for an address of version 4 in another form, such as `127.1` or `0x7f.0.0.1` (WHATWG URL, "ends in a number"). No name
/// on the Internet ends so.
fn ends_in_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next();
    last.is_some_and(|last| last.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether a host always means the machine itself: `localhost`, `127.0.0.1`, `[::1]`.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    address_of(host).map_or_else(|| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// A host that is an IP address, as addresses write it: one of version 6 in brackets.
fn address_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0
        || (a == 100 && (64..128).contains(&b)) // carriers' NAT
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // relays of 6to4
        || (a == 198 && (18..20).contains(&b)) // benchmarks
        || a >= 240;
    !(reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

/// Global unicast is 2000::/3, without the reserved parts. An address that contains an IPv4 address is public if that one is.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let [g, h] = high.to_be_bytes();
    let [i, j] = low.to_be_bytes();
    let last = Ipv4Addr::new(g, h, i, j);
    let mapped = [a, b, c, d, e, f] == [0, 0, 0, 0, 0, 0xffff];
    let translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    if mapped || translated {
        return is_public_v4(last);
    }
    let reserved = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) // protocol assignments including Teredo; documentation
        || a == 0x2002 // 6to4
        || (a == 0x3fff && b < 0x1000); // documentation
    (0x2000..0x4000).contains(&a) && !reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_part_of_this_installation_is_inside_however_it_is_written() {
        for host in [
            "ops.spin.internal",
            "OPS.Spin.INTERNAL",
            "ops.spin.internal.",
            "ops.spin.internal..",
            "a.b.spin.internal",
            "spin.internal",
            ".spin.internal",
            "%6fps.spin%2einternal",
            " ops.spin.internal ",
            "self.alt",
            "SELF.ALT.",
            "x.self.alt",
        ] {
            assert!(is_inside(host), "{host}");
        }
        for host in [
            "",
            "internal",
            "myspin.internal",
            "spin.internal.example.com",
            "ops.spin.internal.example.com",
            "myself.alt",
            "mail.corp.internal",
            "127.0.0.1",
            "[::1]",
        ] {
            assert!(!is_inside(host), "{host}");
        }
    }

    #[test]
    fn a_host_is_public_unless_it_is_an_address_or_a_name_of_a_local_network() {
        for host in ["chat.example.org", "chat.example.org.", "8.8.8.8", "[2a00::1]"] {
            assert!(is_public_host(host), "{host}");
        }
        for host in [
            "",
            "chat",
            "localhost",
            "a.LOCALHOST",
            "chat.local",
            "chat.corp.internal.",
            "10.0.0.5",
            "127.0.0.1",
            "192.168.1.4",
            "[::1]",
            "[fd00::1]",
            "x.self.alt",
            "127.1",
            "10.1.",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "2130706433",
        ] {
            assert!(!is_public_host(host), "{host}");
        }
    }

    #[test]
    fn a_host_that_always_means_the_machine_itself_is_this_machine() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "localhost.example.org", "a.localhost", "127.0.0.1.example.org", "10.0.0.1", "[::2]", "::1"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn neighbours_of_reserved_ranges_are_public() {
        for address in [
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2a00::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
