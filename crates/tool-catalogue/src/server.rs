//! The servers there are: those composed in `spin.toml`, and those elsewhere that the operator names.

use std::rc::Rc;

use cache::within;
use http::{HeaderValue, Uri};
use mcp::{Client, ClientOptions, Era, Implementation};

use crate::{Host, remote::RemoteServer, timing::ASK_LIMIT};

/// An answer that is longer is no answer: what the model sees of it is far less.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The longest piece of a server's words that goes on.
const MAX_WORDS_CHARS: usize = 500;

/// A server of tools.
#[derive(Clone, Debug)]
pub struct Server {
    /// What its tools' names begin with.
    pub name: String,
    url: Uri,
    authorization: Option<HeaderValue>,
    /// Whether it is somebody else's.
    pub remote: bool,
}

impl Server {
    /// The server that `spin.toml` composes under the id `mcp-<name>`.
    #[must_use]
    pub fn composed(name: &str) -> Option<Self> {
        let url = format!("http://mcp-{name}.spin.internal/mcp").parse().ok()?;
        Some(Self { name: name.to_owned(), url, authorization: None, remote: false })
    }

    /// A server that `remote_mcp_servers` names.
    #[must_use]
    pub fn remote(server: RemoteServer) -> Self {
        let RemoteServer { name, url, authorization } = server;
        Self { name, url, authorization, remote: true }
    }

    /// The name under which its listing is kept. Servers' names have no colon, so none is ever taken for one of another kind.
    pub(crate) fn kept_as(&self) -> String {
        if self.remote { self.name.clone() } else { format!("composed:{}", self.name) }
    }

    /// A server's own words, fit for a log and for a model: short, and without what we prove ourselves with.
    #[must_use]
    pub fn masked(&self, words: &str) -> String {
        let words = match self.secret() {
            Some(secret) => words.replace(secret, "[secret]"),
            None => words.to_owned(),
        };
        // Not before: half a secret would not be found.
        fit(&words)
    }

    /// What we prove ourselves with, without the word before it.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        let value = self.authorization.as_ref()?.to_str().ok()?;
        value.rsplit(' ').next().filter(|secret| !secret.is_empty())
    }

    /// Whether what it gives back is not everybody's: it is proven to it who asks.
    #[must_use]
    pub const fn is_authorized(&self) -> bool {
        self.authorization.is_some()
    }

    /// A client of it. What is composed speaks the newest revision; of others we know only what we have heard.
    pub fn client<H: Host>(&self, host: H) -> Client<H> {
        let software = Implementation {
            name: "edge-assistant".to_owned(),
            title: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let options = ClientOptions {
            authorization: self.authorization.clone(),
            era: (!self.remote).then_some(Era::Modern),
            ..ClientOptions::new(software, MAX_ANSWER_BYTES)
        };
        Client::new(host, self.url.clone(), options)
    }
}

/// Ends a client's session, if it has one; nobody waits for that.
pub fn close<H: Host>(host: &H, client: Rc<Client<H>>) {
    if client.has_session() {
        let clock = host.clone();
        host.spawn(async move {
            // A server is told as patiently as it is asked.
            within(&clock, ASK_LIMIT, client.close()).await;
        });
    }
}

/// Somebody else's words, short and on one line.
pub(crate) fn fit(words: &str) -> String {
    words.chars().take(MAX_WORDS_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use mcp::Content;
    use toolbox::{CallFailure, Outcome, Redaction};

    use super::*;

    fn server(authorization: &str) -> Server {
        let list = serde_json::json!([{"name": "wiki", "url": "https://h/mcp", "authorization": authorization}]);
        Server::remote(RemoteServer::parse_list(&list.to_string()).unwrap().remove(0))
    }

    #[test]
    fn what_a_server_repeats_of_our_authorization_is_struck_out_of_its_words_and_its_results() {
        for authorization in ["Bearer a-token-of-ours", "a-token-of-ours", "token  a-token-of-ours"] {
            let server = server(authorization);
            assert_eq!(server.masked("not a-token-of-ours!"), "not [secret]!", "{authorization}");
            let redaction = Redaction::new(server.secret());
            let said = Outcome {
                content: vec![Content::text("you are Bearer a-token-of-ours")],
                structured: Some(serde_json::json!({"headers": ["a-token-of-ours"]})),
                is_error: false,
            };
            let told = redaction.outcome(said);
            assert_eq!(told.content, [Content::text("you are Bearer [secret]")]);
            assert_eq!(told.structured, Some(serde_json::json!({"headers": ["[secret]"]})));
            let failure = redaction.failure(CallFailure::Upstream("403 for a-token-of-ours".to_owned()));
            assert_eq!(failure, CallFailure::Upstream("403 for [secret]".to_owned()));
        }
    }
}
