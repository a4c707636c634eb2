//! The settings for programs that sign in.

use http::HeaderName;
use platform::variables::variable;
use web::settings::AllowedHost;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// A private key as PEM, or empty.
    pub(crate) signing_key: String,
    /// Whether programs may be known by the address of a metadata document.
    pub(crate) reads_documents: bool,
    /// The header in which a proxy in front names the client's address, if there is one. `auth` checks it for `/ready`.
    pub(crate) client_address_header: Option<HeaderName>,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        let documents_host = variable("client_documents_host").await;
        let reads_documents = AllowedHost::parse(&documents_host).is_some_and(|host| !host.is_nowhere());
        let client_address_header = variable("client_address_header").await.parse().ok();
        Self { signing_key: variable("signing_key").await, reads_documents, client_address_header }
    }
}
