//! Addresses that people enter in a tool's settings. Which hosts they may name is decided by the crate `network-address`. [`entered`] refuses an
//! address of a part of this installation with a message, and [`crate::Outside`] sends no request there. This module must not look names up.

pub use network_address::{is_inside, is_public};
use tool_provider::Failure;
use url::Url;

/// The address of a server from a tool's settings. Without a scheme, it is https. `example` is an example of an address.
///
/// # Errors
/// [`Failure::NotConfigured`] if it is not an address, contains a user name or password, or leads into this installation.
pub fn entered(address: &str, example: &str) -> Result<Url, Failure> {
    let address = address.trim();
    let address = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let is_usable = |url: &Url| {
        matches!(url.scheme(), "https" | "http")
            && url.username().is_empty()
            && url.password().is_none()
            && url.has_host()
    };
    let Some(url) = Url::parse(&address).ok().filter(is_usable) else {
        let words = format!("The address in this tool's settings is not valid. A valid one looks like {example}.");
        return Err(Failure::NotConfigured(words));
    };
    if url.host_str().is_some_and(is_inside) {
        return Err(Failure::NotConfigured(format!(
            "The address in this tool's settings names a part of this installation, where no tool may go. Enter the address of your own \
             server, which looks like {example}."
        )));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_enters_is_an_address_of_a_server_elsewhere() {
        let entered = |address| entered(address, "https://mail.example.com/");
        for (address, read) in [
            (" mail.example.com ", "https://mail.example.com/"),
            ("http://127.0.0.1:8080/jmap", "http://127.0.0.1:8080/jmap"),
            ("https://mail.corp.internal", "https://mail.corp.internal/"),
            ("HTTPS://Mail.Example.COM.", "https://mail.example.com./"),
        ] {
            assert_eq!(entered(address).unwrap().as_str(), read, "{address}");
        }
        let words = |address| match entered(address) {
            Err(Failure::NotConfigured(words)) => words,
            other => panic!("{address}: {other:?}"),
        };
        for address in
            ["", "ftp://mail.example.com/", "https://me@mail.example.com/", "https://:x@mail.example.com", "https://"]
        {
            assert!(words(address).contains("is not valid"), "{address}");
        }
        for address in [
            "https://ops.spin.internal/ready",
            "http://ops.spin.internal",
            "ops.spin.internal",
            "https://OPS.SPIN.INTERNAL:443/ready",
            "https://ops.spin.internal:3000/",
            "https://ops.spin.internal./ready",
            "https://%6Fps.spin%2Einternal/ready",
            "https://ｏps.spin。internal/ready",
            "https://ⓞps.ˢpin.internal/ready",
            "https://o\tps.spin.internal/ready",
            "https:\\\\ops.spin.internal\\ready://",
            "https:///ops.spin.internal/",
            "http://self.alt/api",
            "https://a.self.alt./",
        ] {
            let said = words(address);
            assert!(
                said.contains("part of this installation") && said.contains("https://mail.example.com/"),
                "{address}: {said}"
            );
        }
    }
}
