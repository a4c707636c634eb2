//! The settings for programs that sign in.

use platform::variables::variable;

/// What `client_documents_host` is where no document may be requested: a host that does not exist (RFC 2606).
const NOWHERE: &str = "none.invalid";

#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// A private key as PEM, or empty.
    pub(crate) signing_key: String,
    /// Whether programs may be known by the address of a metadata document.
    pub(crate) reads_documents: bool,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        let reads_documents = !variable("client_documents_host").await.contains(NOWHERE);
        Self { signing_key: variable("signing_key").await, reads_documents }
    }
}
