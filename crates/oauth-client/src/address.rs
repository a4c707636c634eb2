//! Addresses that metadata name. Whoever runs a server elsewhere could name any: one of this installation, or one in the network it stands in.

use std::net::IpAddr;

use network_address::{is_inside, is_local, is_public, is_this_machine};
use url::{Host, Url};

use crate::OAuthError;

/// The longest address that is used. Those of real servers have some hundred bytes.
const MAX_ADDRESS_BYTES: usize = 2_048;
/// The longest piece of an address that is repeated.
const MAX_SHOWN_CHARS: usize = 200;

/// Reads an address that the MCP server at `server`, or its authorization server, named.
///
/// It must be https. Plain http is only used where the operator configured plain http for the server itself: on the same host, or on this machine
/// if the server is on this machine. A literal IP address must be a public one, and a name must not be one of a local network, unless it is the
/// server's own host or the server is on this machine. What other names resolve to is not known here: the runtime checks that.
pub(crate) fn named_by(server: &Url, address: &str) -> Result<Url, OAuthError> {
    let refused = || OAuthError::Address(address.chars().filter(|c| !c.is_control()).take(MAX_SHOWN_CHARS).collect());
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(refused());
    }
    let url = Url::parse(address).map_err(|_| refused())?;
    let has_own_host = url.host() == server.host();
    let is_here = server.host_str().is_some_and(is_this_machine);
    let is_allowed = match url.scheme() {
        "https" => true,
        "http" => server.scheme() == "http" && (has_own_host || is_here && url.host_str().is_some_and(is_this_machine)),
        _ => false,
    };
    let is_reachable = match url.host() {
        None => false,
        Some(Host::Domain(name)) => !is_inside(name) && (has_own_host || is_here || !is_local(name)),
        Some(Host::Ipv4(address)) => has_own_host || is_public(IpAddr::V4(address)) || is_here,
        Some(Host::Ipv6(address)) => has_own_host || is_public(IpAddr::V6(address)) || is_here,
    };
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_allowed && is_reachable && is_plain { Ok(url) } else { Err(refused()) }
}

/// A host and its port, for messages.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_and_leads_neither_inside_nor_into_the_network_around() {
        let used = |server: &str, address: &str| named_by(&Url::parse(server).unwrap(), address).is_ok();
        for address in ["https://auth.example.com/token", "https://auth.example.com:8443", "https://8.8.8.8/token"] {
            assert!(used("https://mcp.example.com/mcp", address), "{address}");
        }
        for address in [
            "http://auth.example.com/token",
            "http://mcp.example.com/token",
            "https://ops.spin.internal/ready",
            "https://OPS.spin.internal./ready",
            "https://self.alt/",
            "https://10.0.0.1/token",
            "https://127.0.0.1/token",
            "https://[::1]/token",
            "https://169.254.169.254/latest",
            "https://0x7f.1/token",
            "https://localhost:8443/token",
            "https://a.LOCALHOST/token",
            "https://intranet/token",
            "https://printer.local./token",
            "https://metadata.google.internal/token",
            "https://user@auth.example.com/",
            "https://auth.example.com/#token",
            "ftp://auth.example.com/",
            "javascript:alert(1)",
            "auth.example.com",
            "",
        ] {
            assert!(!used("https://mcp.example.com/mcp", address), "{address}");
        }
        assert!(used("http://127.0.0.1:8000/mcp", "http://localhost:9000/token"));
        assert!(used("http://mcp.lan:8000/mcp", "http://mcp.lan:9000/token"));
        assert!(used("https://intranet/mcp", "https://intranet:8443/token"));
        assert!(!used("http://mcp.lan:8000/mcp", "http://auth.lan/token"));
        assert!(!used("http://mcp.lan:8000/mcp", "http://127.0.0.1/token"));
        assert!(!used("https://mcp.example.com/mcp", &format!("https://h/{}", "x".repeat(MAX_ADDRESS_BYTES))));
    }
}
