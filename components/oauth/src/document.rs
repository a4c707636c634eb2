//! Client-id metadata documents: a program is known by the https address of a document about it (draft-ietf-oauth-client-id-metadata-document).
//!
//! Such a document is requested only for somebody who is signed in, from a host with a public name, without following redirects, and within limits.
//! Over TLS, whoever answers must prove the name, which most routers and metadata services inside a network cannot. What can is a server inside
//! whose public name leads to a private address: `block_networks` or a narrower `client_documents_host` keeps that out (docs/configuration.md), and
//! what went wrong is for the log, not for the person.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use http::{Request, StatusCode, header};
use send_wrapper::SendWrapper;
use serde::Deserialize;
use url::{Host, Url};

use crate::client::{Client, InvalidClient};

/// It is stored with each grant. As long as browsers' address bars and proxies take for certain.
const MAX_URL_BYTES: usize = 1024;
/// Three times what the draft recommends (section 6.6).
const MAX_BYTES: usize = 16 * 1024;
/// A person waits for it.
const WAIT: Duration = Duration::from_secs(5);
/// Endings of names that are not public: of this application's parts, of a private network, of nothing (RFC 6761, RFC 6762, RFC 8375, RFC 9476).
const NOT_PUBLIC: [&str; 9] = ["internal", "alt", "local", "localhost", "arpa", "test", "example", "invalid", "onion"];

/// Where documents come from.
pub(crate) trait Documents: Clone + Send + Sync + 'static {
    /// The body of the response with the status 200.
    fn fetch(&self, address: &Url) -> impl Future<Output = Result<Vec<u8>, DocumentError>> + Send;
}

/// Why a program is not known by its document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The address.
    #[error("its client_id is not an https address with a path, on a host with a public name")]
    Address,
    /// There is no document there.
    #[error("its description could not be requested: {0}")]
    Unanswered(String),
    /// The document is something else.
    #[error("its description is not what a client metadata document is: {0}")]
    Malformed(String),
    /// The document is about another program.
    #[error("its description has another client_id than its address")]
    OtherClient,
    /// The program would have to prove itself, which is not possible here.
    #[error("its description wants it to authenticate, and only public clients can sign in here")]
    NotPublic,
    /// What it says cannot be used.
    #[error("its description cannot be used: {0}")]
    Invalid(#[from] InvalidClient),
}

/// What a document says, as far as it matters here.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
}

/// Whether a `client_id` is the address of a document, as far as its beginning says.
pub(crate) fn is_document_url(client_id: &str) -> bool {
    client_id.starts_with("https://")
}

/// The program with this `client_id`.
pub(crate) async fn read(documents: &impl Documents, client_id: &str) -> Result<Client, DocumentError> {
    let address = address(client_id).ok_or(DocumentError::Address)?;
    let host = address.host_str().map(str::to_owned);
    let body = documents.fetch(&address).await?;
    let document: Document =
        serde_json::from_slice(&body).map_err(|error| DocumentError::Malformed(error.to_string()))?;
    if document.client_id != client_id {
        return Err(DocumentError::OtherClient);
    }
    if document.token_endpoint_auth_method.is_some_and(|method| method != "none") {
        return Err(DocumentError::NotPublic);
    }
    Ok(Client::new(document.client_id, document.client_name.as_deref(), document.redirect_uris, host)?)
}

/// An address as the draft wants it (section 3): https, with a path, without user name, fragment and dots as segments, in its normal form.
fn address(client_id: &str) -> Option<Url> {
    let url = Url::parse(client_id).ok().filter(|url| url.as_str() == client_id && client_id.len() <= MAX_URL_BYTES)?;
    let Some(Host::Domain(name)) = url.host() else { return None };
    let name = name.trim_end_matches('.');
    let is_public = name.contains('.') && name.rsplit('.').next().is_some_and(|ending| !NOT_PUBLIC.contains(&ending));
    let is_plain = url.scheme() == "https"
        && url.path().len() > 1
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    (is_public && is_plain).then_some(url)
}

/// Spin's outbound HTTP, to where `client_documents_host` allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outside;

impl Documents for Outside {
    fn fetch(&self, address: &Url) -> impl Future<Output = Result<Vec<u8>, DocumentError>> + Send {
        let request = Request::get(address.as_str()).header(header::ACCEPT, "application/json").body(Bytes::new());
        // A guest has one thread, so this never moves to another.
        SendWrapper::new(async move {
            let failed = |error: &dyn std::fmt::Display| DocumentError::Unanswered(error.to_string());
            let request = request.map_err(|error| failed(&error))?;
            let exchange = async {
                let answer = platform::http_client::send(request).await.map_err(|error| failed(&error))?;
                if answer.status != StatusCode::OK {
                    return Err(DocumentError::Unanswered(format!("it is answered with the status {}", answer.status)));
                }
                let mut body = answer.body;
                let mut bytes = Vec::new();
                while let Some(piece) = body.try_next().await.map_err(|error| failed(&error))? {
                    bytes.extend_from_slice(&piece);
                    if bytes.len() > MAX_BYTES {
                        return Err(DocumentError::Malformed(format!("it has more than {MAX_BYTES} bytes")));
                    }
                }
                Ok(bytes)
            };
            let late = || DocumentError::Unanswered("it did not come in time".to_owned());
            platform::within(WAIT, exchange).await.unwrap_or_else(|| Err(late()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_at_an_https_address_with_a_path_on_a_public_name() {
        for right in ["https://app.example.org/oauth/client.json", "https://example.com:8443/a?b=c", "https://x.co/a"] {
            assert!(address(right).is_some(), "{right}");
        }
        for wrong in [
            "http://app.example.org/client.json",
            "https://app.example.org",
            "https://app.example.org/",
            "https://app.example.org/a/../client.json",
            "https://app.example.org/./client.json",
            "https://APP.example.org/client.json",
            "https://app.example.org:443/client.json",
            "https://user@app.example.org/client.json",
            "https://app.example.org/client.json#x",
            "https://127.0.0.1/client.json",
            "https://2130706433/client.json",
            "https://[::1]/client.json",
            "https://10.0.0.1/client.json",
            "https://169.254.169.254/latest",
            "https://localhost/client.json",
            "https://router.local/client.json",
            "https://ops.spin.internal/client.json",
            "https://ops.spin.internal./client.json",
            "https://self.alt/client.json",
            "https://intranet/client.json",
        ] {
            assert!(address(wrong).is_none(), "{wrong}");
        }
        assert!(address(&format!("https://app.example.org/{}", "x".repeat(MAX_URL_BYTES))).is_none());
    }
}
