//! Remote servers, as the operator names them in `remote_mcp_servers`.

use http::{HeaderValue, Uri};
use oauth_client::Registered;
use serde::Deserialize;
use toolbox::ServerName;

/// A server outside this installation.
#[derive(Clone, Debug)]
pub struct RemoteServer {
    /// The beginning of its tools' names here.
    pub name: ServerName,
    /// Its MCP endpoint.
    pub url: Uri,
    /// The value of `Authorization`, the same for everybody; shown to nobody. Without it, a server that wants one is connected by each person.
    pub authorization: Option<HeaderValue>,
    /// The client that the operator registered at its authorization server.
    pub oauth: Option<Registered>,
}

/// What is wrong with the list, and where. The list is never quoted, because it contains secrets.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRemote {
    /// It is not a list of servers.
    #[error(
        "it must be a JSON list of {{\"name\", \"url\", \"authorization\"?, \"oauth\"?}}; line {line}, column {column} is not"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A server has no name.
    #[error("a server has no name")]
    Name,
    /// A server's address is invalid.
    #[error("the url of {0:?} is not an http or https address")]
    Url(ServerName),
    /// A server is for everybody and for each person at once.
    #[error("{0:?} has both an authorization and oauth")]
    Both(ServerName),
    /// A server's authorization cannot be sent.
    #[error("the authorization of {0:?} has characters that no header can have")]
    Authorization(ServerName),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    url: String,
    #[serde(default)]
    authorization: Option<String>,
    #[serde(default)]
    oauth: Option<Registered>,
}

impl RemoteServer {
    /// Reads the list; an empty text is an empty list.
    ///
    /// # Errors
    /// [`InvalidRemote`].
    pub fn parse_list(json: &str) -> Result<Vec<Self>, InvalidRemote> {
        if json.trim().is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<Entry> = serde_json::from_str(json)
            .map_err(|error| InvalidRemote::Json { line: error.line(), column: error.column() })?;
        entries.into_iter().map(Self::read).collect()
    }

    fn read(entry: Entry) -> Result<Self, InvalidRemote> {
        let Entry { name, url, authorization, oauth } = entry;
        if name.trim().is_empty() {
            return Err(InvalidRemote::Name);
        }
        let uri: Uri = url.parse().map_err(|_| InvalidRemote::Url(name.clone()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(InvalidRemote::Url(name));
        }
        if authorization.is_some() && oauth.is_some() {
            return Err(InvalidRemote::Both(name));
        }
        let authorization = match authorization.map(|text| HeaderValue::from_str(&text)) {
            None => None,
            Some(Err(_)) => return Err(InvalidRemote::Authorization(name)),
            Some(Ok(mut value)) => {
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { name, url: uri, authorization, oauth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_without_its_secrets() {
        let list = r#"[{"name":"wiki","url":"https://wiki.example.org/mcp","authorization":"Bearer abc"},{"name":"n","url":"http://h/"}]"#;
        let servers = RemoteServer::parse_list(list).unwrap();
        assert_eq!((servers.len(), servers[0].name.as_str(), servers[0].url.path()), (2, "wiki", "/mcp"));
        assert!(!format!("{servers:?}").contains("abc"));
        assert!(RemoteServer::parse_list(" ").unwrap().is_empty());
        for (wrong, named) in [
            (r#"[{"name":"a","url":"https://h","authorisation":"abc"}]"#, "line 1"),
            (r#"[{"name":" ","url":"https://abc"}]"#, "no name"),
            (r#"[{"name":"a","url":"abc"}]"#, "\"a\""),
            (r#"[{"name":"a","url":"https://h","authorization":"abc\n"}]"#, "\"a\""),
            (
                r#"[{"name":"a","url":"https://h","authorization":"abc","oauth":{"client_id":"abc","issuer":"https://i"}}]"#,
                "both",
            ),
        ] {
            let error = RemoteServer::parse_list(wrong).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains("abc"), "{error}");
        }
    }
}
