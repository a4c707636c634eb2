//! The address of an API, from the document's `servers`. An address is refused if others could read secrets on the way.

use serde_json::{Map, Value};
use upstream::address;
use url::{Host, Url};

use crate::value::{self, text};

/// How many servers of a list are examined.
const SERVERS_MAX: usize = 20;
/// How many variables of an address are filled in.
const VARIABLES_MAX: usize = 20;

/// The address of an operation: the first usable server of the innermost list.
///
/// # Errors
/// The reason why no server is usable.
pub(crate) fn address(levels: [&Map<String, Value>; 3]) -> Result<Url, String> {
    let servers = levels.into_iter().map(|level| value::list(level, "servers")).find(|servers| !servers.is_empty());
    let mut fault = "it names no server: add `servers` with an address such as https://api.example.com".to_owned();
    for server in servers.unwrap_or_default().iter().take(SERVERS_MAX).filter_map(Value::as_object) {
        match usable(server) {
            Ok(url) => return Ok(url),
            Err(words) => fault = words,
        }
    }
    Err(fault)
}

fn usable(server: &Map<String, Value>) -> Result<Url, String> {
    let mut address = text(server, "url").unwrap_or("/").to_owned();
    for (name, variable) in value::entries(server, "variables").take(VARIABLES_MAX) {
        // A port is often written as a number.
        let first = || variable.get("enum").and_then(Value::as_array).and_then(|values| values.first());
        if let Some(chosen) = variable.get("default").or_else(first).and_then(value::plain) {
            address = address.replace(&format!("{{{name}}}"), &chosen);
        }
    }
    let shown = value::cut(&address, 100);
    if address.contains(['{', '}']) {
        return Err(format!("its server {shown} has a variable without a default"));
    }
    let url = Url::parse(&address)
        .map_err(|_| format!("its server {shown} is not a complete address: write https:// and the server's name"))?;
    if url.host_str().is_some_and(address::is_inside) {
        return Err(format!("its server {shown} is a part of this installation, where no tool may go"));
    }
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(format!("its server {shown} is not https, as all but those of this machine must be"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("the address of its server has a password or a query".to_owned());
    }
    Ok(url)
}
