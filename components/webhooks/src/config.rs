//! The settings of this component: where messages may go.

use http::Uri;
use network_address::{is_inside, is_public_host};
use platform::variables::variable;
use web::settings::{AllowedHost, environment, port_of, web_address};

/// The variable. `spin.toml` grants what it names, so the host refuses every other address too.
const WEBHOOK_HOST: &str = "webhook_host";

/// Addresses are shorter, and the sealed text has room for the secret beside it.
const MAX_ADDRESS_BYTES: usize = 2_000;

/// What is configured.
#[derive(Clone, Default, Debug)]
pub(crate) struct Config {
    /// In the form of Spin's `allowed_outbound_hosts`.
    pub(crate) webhook_host: String,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        Self { webhook_host: variable(WEBHOOK_HOST).await }
    }

    /// Where webhooks may be. `None`: nowhere.
    pub(crate) fn allowed(&self) -> Option<&str> {
        self.grant().map(|_| self.webhook_host.as_str())
    }

    /// A range of addresses allows nothing here: names are not looked up, so nobody would know what it means.
    fn grant(&self) -> Option<AllowedHost<'_>> {
        let grant = AllowedHost::parse(&self.webhook_host)?;
        (!grant.is_range() && !grant.is_nowhere()).then_some(grant)
    }

    /// The server of an address at which a webhook may be, as scheme, host and port. The error is for the person.
    pub(crate) fn server_of(&self, url: &str) -> Result<String, String> {
        let address = web_address(url).filter(|_| url.len() <= MAX_ADDRESS_BYTES && !url.contains('#'));
        let Some(address) = address else {
            return Err(
                "Enter an http or https address without a user and a password, such as https://example.org/hooks."
                    .to_owned(),
            );
        };
        let Some(grant) = self.grant() else {
            return Err(format!(
                "This installation sends no webhooks. Whoever deploys it can say where they may go, with {}=https://*:443 for any address over TLS.",
                environment(WEBHOOK_HOST)
            ));
        };
        let host = address.host().unwrap_or_default();
        // A grant of everything is meant for the Internet, not for what only this network can reach.
        let is_outside = !is_inside(host) && (!grant.is_anywhere() || is_public_host(host));
        if is_outside && grant.allows(&address) {
            return Ok(server(&address));
        }
        Err(format!(
            "This installation sends no webhooks there. The variable {WEBHOOK_HOST} says where they may go, now: {}. Whoever deploys it can change {}.",
            self.webhook_host,
            environment(WEBHOOK_HOST)
        ))
    }
}

fn server(address: &Uri) -> String {
    let (scheme, host) = (address.scheme_str().unwrap_or_default(), address.host().unwrap_or_default());
    format!("{scheme}://{}:{}", host.to_ascii_lowercase(), port_of(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(webhook_host: &str, url: &str) -> Option<String> {
        Config { webhook_host: webhook_host.to_owned() }.server_of(url).ok()
    }

    #[test]
    fn nothing_is_allowed_until_somebody_says_where() {
        assert_eq!(at("https://none.invalid", "https://example.org/"), None);
        assert_eq!(at("https://none.invalid", "https://none.invalid/"), None);
        assert_eq!(at("", "https://example.org/"), None);
    }

    #[test]
    fn anywhere_over_tls_is_the_internet_and_no_part_of_this_installation() {
        let anywhere = "https://*:443";
        assert_eq!(at(anywhere, "https://Example.org/a?b=c").as_deref(), Some("https://example.org:443"));
        for url in [
            "http://example.org/",
            "https://example.org:8443/",
            "https://tools.spin.internal/",
            "https://self.alt/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://localhost/",
            "https://router.local/",
            "https://user:password@example.org/",
            "https://example.org/#part",
            "ftp://example.org/",
            "example.org",
            "",
        ] {
            assert_eq!(at(anywhere, url), None, "{url}");
        }
        assert_eq!(at(anywhere, &format!("https://example.org/{}", "a".repeat(2_000))), None);
    }

    #[test]
    fn however_everything_is_granted_it_is_the_internet() {
        for anywhere in ["https://*", "http://*", "https://*:*", "*://*:*"] {
            for host in
                ["10.0.0.5", "127.1", "0x7f.0.0.1", "0177.0.0.1", "10.1", "169.254.169.254", "localhost", "[::1]"]
            {
                for scheme in ["http", "https"] {
                    assert_eq!(at(anywhere, &format!("{scheme}://{host}/")), None, "{anywhere} {scheme}://{host}");
                }
            }
        }
        assert!(at("https://*", "https://example.org/").is_some());
        for range in ["https://10.0.0.0/8:443", "https://0.0.0.0/0:443"] {
            assert_eq!(at(range, "https://10.0.0.5/"), None);
            assert_eq!(at(range, "https://example.org/"), None);
        }
    }

    #[test]
    fn what_is_named_is_allowed_also_in_this_network() {
        assert_eq!(at("http://127.0.0.1:9000", "http://127.0.0.1:9000/hook").as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(at("http://127.0.0.1:9000", "http://127.0.0.1:9001/hook"), None);
        assert_eq!(at("http://tools.spin.internal", "http://tools.spin.internal/internal/calls"), None);
        assert_eq!(
            at("https://*.example.org:443", "https://a.example.org/").as_deref(),
            Some("https://a.example.org:443")
        );
    }
}
