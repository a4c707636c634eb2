//! The servers: those composed in `spin.toml`, and the remote ones that the operator names.

use std::rc::Rc;

use cache::within;
use domain::Id;
use http::{HeaderValue, Uri};
use mcp::{Client, ClientOptions, Era, Implementation};
use oauth_client::Registered;

use crate::{Host, remote::RemoteServer, timing::ASK_LIMIT};

/// The longest answer that is accepted. The model sees far less of it.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The beginning of composed servers' ids.
const COMPOSED: &str = "mcp-";

/// The longest quotation of a server's words.
const MAX_WORDS_CHARS: usize = 500;

/// A tool server.
#[derive(Clone, Debug)]
pub struct Server {
    /// The beginning of its tools' names.
    pub name: String,
    url: Uri,
    authorization: Option<HeaderValue>,
    /// The client that the operator registered at its authorization server.
    pub oauth: Option<Registered>,
    /// Whether it is outside this installation.
    pub remote: bool,
    /// The tools of one that is no server but a part of the app.
    built_in: Option<fn() -> Vec<mcp::Tool>>,
}

impl Server {
    /// The server that `spin.toml` composes under the id `mcp-<name>`.
    #[must_use]
    pub fn composed(name: &str) -> Option<Self> {
        let url = format!("http://{COMPOSED}{name}.spin.internal/mcp").parse().ok()?;
        Some(Self { name: name.to_owned(), url, authorization: None, oauth: None, remote: false, built_in: None })
    }

    /// A part of the app that has tools like a server. Nobody connects to it: whoever makes calls makes these itself.
    #[must_use]
    pub fn built_in(name: &str, tools: fn() -> Vec<mcp::Tool>) -> Self {
        let (name, url) = (name.to_owned(), Uri::default());
        Self { name, url, authorization: None, oauth: None, remote: false, built_in: Some(tools) }
    }

    /// Whether it is [a part of the app](Self::built_in).
    #[must_use]
    pub const fn is_built_in(&self) -> bool {
        self.built_in.is_some()
    }

    /// Its tools, if it is a part of the app.
    pub(crate) fn own_tools(&self) -> Option<Vec<mcp::Tool>> {
        self.built_in.map(|tools| tools())
    }

    /// A server that `remote_mcp_servers` names.
    #[must_use]
    pub fn remote(server: RemoteServer) -> Self {
        let RemoteServer { name, url, authorization, oauth } = server;
        Self { name, url, authorization, oauth, remote: true, built_in: None }
    }

    /// Its MCP endpoint.
    #[must_use]
    pub const fn url(&self) -> &Uri {
        &self.url
    }

    /// Whether people connect it for themselves, if it wants a token: the operator has configured none.
    #[must_use]
    pub const fn is_personal(&self) -> bool {
        self.remote && self.authorization.is_none()
    }

    /// The same server as somebody asks it who has connected it. `None`: the token fits into no header.
    #[must_use]
    pub fn connected(&self, access_token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {access_token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self { authorization: Some(authorization), ..self.clone() })
    }

    /// What its requests are proven with.
    #[must_use]
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The name under which its list is stored. Servers' names have no colon, so the kinds of names never collide.
    pub(crate) fn kept_as(&self) -> String {
        match (self.remote, self.is_built_in()) {
            (true, _) => self.name.clone(),
            (false, true) => format!("built-in:{}", self.name),
            (false, false) => format!("composed:{}", self.name),
        }
    }

    /// A server's own words for a log or a model: short, and without our secret.
    #[must_use]
    pub fn masked(&self, words: &str) -> String {
        let words = match self.secret() {
            Some(secret) => words.replace(secret, "[secret]"),
            None => words.to_owned(),
        };
        // The words are cut last: half a secret would not be found.
        fit(&words)
    }

    /// The secret of our authorization, without the scheme before it.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        let value = self.authorization.as_ref()?.to_str().ok()?;
        value.rsplit(' ').next().filter(|secret| !secret.is_empty())
    }

    /// Whether our requests prove who we are. Its results may then be private.
    #[must_use]
    pub const fn is_authorized(&self) -> bool {
        self.authorization.is_some()
    }

    /// A client of this server. A composed server is shown who calls, for whom and in which run or request (`for_whom`), and speaks the newest revision;
    /// of a remote server, the client finds out, and it is shown nothing of the installation's own.
    pub async fn client<H: Host>(&self, host: H, for_whom: Option<Id>, request_id: &str) -> Client<H> {
        let authorization = if self.remote {
            self.authorization.clone()
        } else {
            host.prove(&format!("{COMPOSED}{}", self.name), for_whom, request_id).await
        };
        let software = Implementation {
            name: "edge-assistant".to_owned(),
            title: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let options = ClientOptions {
            authorization,
            era: (!self.remote).then_some(Era::Modern),
            ..ClientOptions::new(software, MAX_ANSWER_BYTES)
        };
        Client::new(host, self.url.clone(), options)
    }
}

/// Ends a client's session, if it has one, in the background.
pub fn close<H: Host>(host: &H, client: Rc<Client<H>>) {
    if client.has_session() {
        let clock = host.clone();
        host.spawn(async move {
            // The timeout is the same as for a list.
            within(&clock, ASK_LIMIT, client.close()).await;
        });
    }
}

/// Words from outside, short and on one line.
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
