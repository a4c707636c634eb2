//! Where a request comes from, to count attempts: the address that the host saw, or the one that a proxy names in a header.
//!
//! It proves nothing about who somebody is. A header counts only if the operator says that a proxy sets it: anybody can send one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};

/// The address and port of the connection, according to Spin.
const SPIN_CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");

/// Where a request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    /// The address; of IPv6, the network that a line usually has (RFC 6177: /56), because a client has as many addresses as it likes.
    pub network: String,
    /// It may be that of a proxy, which everybody has.
    pub may_be_shared: bool,
}

/// The address that attempts are counted by. `proxy_header` is set by a proxy in front; of several addresses in it, the last was added by the proxy
/// that the request came from. Without it, the connection counts; if it comes from this machine or a private network, that may be a proxy.
#[must_use]
pub fn client_address(headers: &HeaderMap, proxy_header: Option<&HeaderName>) -> ClientAddress {
    let named = proxy_header.and_then(|name| headers.get_all(name).iter().next_back()?.to_str().ok());
    if let Some(address) = named.and_then(|list| parse(list.rsplit(',').next()?.trim())) {
        return ClientAddress { network: network(address), may_be_shared: false };
    }
    // A client may send this header, too. Spin adds its own behind that.
    let connection = headers.get_all(SPIN_CLIENT_ADDR).iter().next_back().and_then(|value| value.to_str().ok());
    connection.and_then(parse).map_or_else(
        || ClientAddress { network: "unknown".to_owned(), may_be_shared: true },
        |address| ClientAddress { network: network(address), may_be_shared: may_be_a_proxy(address) },
    )
}

/// An address, with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    Some(address.or_else(bare)?.to_canonical())
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/56", Ipv6Addr::new(a, b, c, d & 0xff00, 0, 0, 0, 0))
        }
    }
}

fn may_be_a_proxy(address: IpAddr) -> bool {
    /// RFC 6598: between a carrier and its customers, and inside some clouds.
    fn is_shared(address: Ipv4Addr) -> bool {
        let [a, b, ..] = address.octets();
        a == 100 && (64..128).contains(&b)
    }
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared(address)
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

    fn address(pairs: &[(&'static str, &'static str)], proxy_header: Option<&HeaderName>) -> (String, bool) {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        let ClientAddress { network, may_be_shared } = client_address(&headers, proxy_header);
        (network, may_be_shared)
    }

    #[test]
    fn the_connection_counts_and_one_that_may_be_a_proxy_is_marked() {
        for (connection, counted, may_be_shared) in [
            ("203.0.113.7:49152", "203.0.113.7", false),
            ("[2001:db8:1:2ff:3:4:5:6]:443", "2001:db8:1:200::/56", false),
            ("[::ffff:203.0.113.7]:443", "203.0.113.7", false),
            ("127.0.0.1:3000", "127.0.0.1", true),
            ("[::1]:3000", "::/56", true),
            ("10.1.2.3:80", "10.1.2.3", true),
            ("172.16.0.1:80", "172.16.0.1", true),
            ("192.168.1.1:80", "192.168.1.1", true),
            ("100.64.0.1:80", "100.64.0.1", true),
            ("[fd00::1]:80", "fd00::/56", true),
            ("[fe80::1]:80", "fe80::/56", true),
            ("0.0.0.0:0", "0.0.0.0", true),
            ("", "unknown", true),
            ("somebody", "unknown", true),
        ] {
            let headers = [("spin-client-addr", connection), ("x-real-ip", "198.51.100.1")];
            assert_eq!(address(&headers, None), (counted.to_owned(), may_be_shared), "{connection}");
        }
        assert_eq!(address(&[], None), ("unknown".to_owned(), true));
        let forged = [("spin-client-addr", "192.0.2.66:1"), ("spin-client-addr", "203.0.113.7:1")];
        assert_eq!(address(&forged, None).0, "203.0.113.7");
    }

    #[test]
    fn a_header_counts_if_a_proxy_sets_it_and_of_several_addresses_the_one_it_added() {
        let connection = ("spin-client-addr", "203.0.113.7:1");
        let counted = |headers: &[(&'static str, &'static str)]| {
            let (network, may_be_shared) = address(headers, Some(&REAL_IP));
            assert!(!may_be_shared, "{headers:?}");
            network
        };
        for (value, expected) in [
            ("198.51.100.1", "198.51.100.1"),
            ("192.0.2.66, 198.51.100.1", "198.51.100.1"),
            ("192.0.2.66,10.0.0.9", "10.0.0.9"),
            ("198.51.100.1:8080", "198.51.100.1"),
            ("[2001:db8:1:2:3::]", "2001:db8:1::/56"),
            ("unknown", "203.0.113.7"),
            ("198.51.100.1, ", "203.0.113.7"),
        ] {
            assert_eq!(counted(&[connection, ("x-real-ip", value)]), expected, "{value}");
        }
        assert_eq!(counted(&[connection, ("x-real-ip", "192.0.2.66"), ("x-real-ip", "198.51.100.1")]), "198.51.100.1");
        assert_eq!(counted(&[connection]), "203.0.113.7");
    }
}
