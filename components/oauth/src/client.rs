//! Programs that sign in: what is known of one, and where its person may be sent back to. A program is known by a registration ([`crate::registration`])
//! or by its metadata document ([`crate::document`]).
//!
//! Pure. All of it is what a program says of itself: only the hosts of a document and of a redirect are proved, by TLS.

use url::{Host, Url};

/// Names are shown on one line.
pub(crate) const MAX_NAME_CHARS: usize = 100;
/// Programs have one or two, for each of their platforms.
pub(crate) const MAX_REDIRECTS: usize = 10;
/// As long as browsers' address bars and proxies take for certain.
pub(crate) const MAX_REDIRECT_BYTES: usize = 1024;

/// Private schemes of editors that take a person back to a program on their own machine (RFC 8252, section 7.1). Others are not taken: a browser
/// does something else with some of them, such as running `javascript:`.
const EDITOR_SCHEMES: [&str; 4] = ["cursor", "vscode", "vscode-insiders", "windsurf"];

/// A program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// `client_id`.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    /// The host of its metadata document, which proves whose program it is.
    pub(crate) host: Option<String>,
}

/// What a program says of itself that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum InvalidClient {
    /// A name that cannot be shown.
    #[error("client_name has at most {MAX_NAME_CHARS} characters on one line")]
    Name,
    /// None, or too many.
    #[error("redirect_uris has 1 to {MAX_REDIRECTS} addresses")]
    Redirects,
    /// One of them is unsafe.
    #[error(
        "a redirect_uri is https, or http to the machine itself (127.0.0.1, [::1], localhost), without a fragment, of at most \
         {MAX_REDIRECT_BYTES} bytes"
    )]
    Redirect,
}

impl Client {
    /// Checks what a program says of itself. One without a name is called by where it has people sent back to.
    pub(crate) fn new(
        id: String,
        name: Option<&str>,
        redirect_uris: Vec<String>,
        host: Option<String>,
    ) -> Result<Self, InvalidClient> {
        if redirect_uris.is_empty() || redirect_uris.len() > MAX_REDIRECTS {
            return Err(InvalidClient::Redirects);
        }
        if !redirect_uris.iter().all(|uri| safe_redirect(uri).is_some()) {
            return Err(InvalidClient::Redirect);
        }
        let name = match name.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) if name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control) => {
                return Err(InvalidClient::Name);
            }
            Some(name) => name.to_owned(),
            None => host.clone().or_else(|| redirect_uris.first().map(|uri| redirect_place(uri))).unwrap_or_default(),
        };
        Ok(Self { id, name, redirect_uris, host })
    }

    /// Whether a person may be sent to this address: exactly one of the program's, but on the machine itself with any port (RFC 8252, section 7.3).
    pub(crate) fn may_redirect_to(&self, uri: &str) -> bool {
        let Some(sought) = safe_redirect(uri) else { return false };
        self.redirect_uris.iter().any(|known| {
            known == uri
                || (is_local(&sought)
                    && safe_redirect(known).is_some_and(|known| without_port(&known) == without_port(&sought)))
        })
    }
}

/// An address to which a code may be sent.
fn safe_redirect(uri: &str) -> Option<Url> {
    let url = Url::parse(uri).ok().filter(|_| uri.len() <= MAX_REDIRECT_BYTES)?;
    let is_plain = url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // It is sent as it is written, in a header too.
        && uri.bytes().all(|byte| byte.is_ascii_graphic());
    let is_safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_local(&url),
        scheme => EDITOR_SCHEMES.contains(&scheme),
    };
    (is_plain && is_safe).then_some(url)
}

/// Whether an address is on the machine itself.
fn is_local(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

fn without_port(url: &Url) -> (Option<&str>, &str, Option<&str>) {
    (url.host_str(), url.path(), url.query())
}

/// Whether a redirect leads to the machine itself, where any program may wait for it.
pub(crate) fn is_on_this_computer(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() != "https")
}

/// Where a redirect leads, for people: a host, the machine itself, or a program on it.
pub(crate) fn redirect_place(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) if is_local(&url) => "this computer".to_owned(),
        Ok(url) if url.scheme() == "https" => url.host_str().unwrap_or_default().to_owned(),
        Ok(url) => format!("{} on this computer", url.scheme()),
        Err(_) => String::new(),
    }
}

/// An address with more parameters in its query.
pub(crate) fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let between = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{between}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(redirects: &[&str]) -> Result<Client, InvalidClient> {
        Client::new("id".into(), None, redirects.iter().map(|uri| (*uri).to_owned()).collect(), None)
    }

    #[test]
    fn a_person_is_sent_exactly_where_the_program_said_or_to_another_port_of_their_own_machine() {
        let client = client(&[
            "https://app.example.org/cb?a=1",
            "http://127.0.0.1/callback",
            "http://localhost:8080/cb",
            "http://[::1]/",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ])
        .unwrap();
        for right in [
            "https://app.example.org/cb?a=1",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:49152/callback",
            "http://localhost:1/cb",
            "http://[::1]:5000/",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ] {
            assert!(client.may_redirect_to(right), "{right}");
        }
        for wrong in [
            "",
            "https://app.example.org/cb",
            "https://app.example.org/cb?a=1&b=2",
            "https://app.example.org/cb/?a=1",
            "https://app.example.org:8443/cb?a=1",
            "http://app.example.org/cb?a=1",
            "https://evil.example/cb?a=1",
            "https://app.example.org.evil.example/cb?a=1",
            "http://127.0.0.1/other",
            "http://127.0.0.1/callback?x=1",
            "http://127.0.0.1/callback#x",
            "http://user@127.0.0.1/callback",
            "http://127.0.0.1.evil.example/callback",
            "http://localhost/callback",
            "https://127.0.0.1/callback",
            "cursor://evil/oauth/callback",
            "javascript:alert(1)",
        ] {
            assert!(!client.may_redirect_to(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_program_has_safe_addresses_and_a_name_on_one_line() {
        for unsafe_uri in [
            "http://app.example.org/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "myapp://callback",
            "https://a.example/#x",
            "https://u:p@a.example/",
            "/callback",
            "http://10.0.0.1/",
            "https://a.example/\u{e9}",
            "https://a.example/a b",
        ] {
            assert_eq!(client(&[unsafe_uri]), Err(InvalidClient::Redirect), "{unsafe_uri}");
        }
        assert_eq!(client(&[]), Err(InvalidClient::Redirects));
        assert_eq!(client(&["http://localhost/"; MAX_REDIRECTS + 1]), Err(InvalidClient::Redirects));
        let named = |name: &str| Client::new("id".into(), Some(name), vec!["https://a.example/cb".into()], None);
        assert_eq!(named("Claude").unwrap().name, "Claude");
        assert_eq!(named(" ").unwrap().name, "a.example");
        for wrong in ["a\nb", &"x".repeat(MAX_NAME_CHARS + 1)] {
            assert_eq!(named(wrong), Err(InvalidClient::Name));
        }
    }

    #[test]
    fn what_is_added_to_an_address_cannot_be_taken_for_its_own() {
        let added = with_parameters("https://a.example/cb?x=1", &[("state", "a&code=b#c"), ("iss", "https://b")]);
        assert_eq!(added, "https://a.example/cb?x=1&state=a%26code%3Db%23c&iss=https%3A%2F%2Fb");
        assert_eq!(with_parameters("https://a.example/cb", &[("code", "1")]), "https://a.example/cb?code=1");
    }
}
