//! Why a server's tools are not available, in words for people, and what the operator can do about it.

use mcp::{ClientError, TransportError};
use serde::{Deserialize, Serialize};

use crate::{cut, server::Server};

/// The longest quotation of a server's own words.
const MAX_WORDS_CHARS: usize = 300;

/// Why a server could not be asked for its tools.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// It refused the authorization, or wants one.
    Unauthorized,
    /// It knows the caller, and does not serve it.
    Forbidden,
    /// There is nothing at its address.
    NotFound,
    /// Its name does not resolve.
    NoName,
    /// Nothing accepts connections there.
    Refused,
    /// No secure connection can be made.
    Tls,
    /// The installation is not allowed to reach it.
    NotAllowed,
    /// It is not part of this installation.
    Absent,
    /// It did not answer in time.
    Silent,
    /// It has moved to another address.
    Moved {
        /// The address that it gives.
        location: String,
    },
    /// It, or a proxy in front of it, fails.
    Failing {
        /// The HTTP status.
        status: u16,
    },
    /// Another fault.
    Other {
        /// The known cause, in part the server's own words.
        words: String,
    },
}

impl Fault {
    /// The fault for a client's error. `words` is the error's text, in a form that may be shown.
    #[must_use]
    pub fn new(error: &ClientError, words: &str) -> Self {
        match error {
            ClientError::Http { status, .. } => match status.as_u16() {
                401 => Self::Unauthorized,
                403 => Self::Forbidden,
                404 | 405 | 410 => Self::NotFound,
                status => Self::Failing { status },
            },
            ClientError::Moved { location, .. } => Self::Moved { location: cut(location, MAX_WORDS_CHARS) },
            ClientError::Transport(error) => match error {
                TransportError::NotAllowed(_) => Self::NotAllowed,
                TransportError::NoName(_) => Self::NoName,
                TransportError::Refused(_) => Self::Refused,
                TransportError::Tls(_) => Self::Tls,
                TransportError::Absent => Self::Absent,
                TransportError::TimedOut => Self::Silent,
                TransportError::Connection(_) => Self::Other { words: cut(words, MAX_WORDS_CHARS) },
            },
            _ => Self::Other { words: cut(words, MAX_WORDS_CHARS) },
        }
    }

    /// What is wrong, for everybody.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Unauthorized => "The server refused the authorization.".to_owned(),
            Self::Forbidden => "The server does not serve this installation (403).".to_owned(),
            Self::NotFound => "There is no MCP server at its address.".to_owned(),
            Self::NoName => "The server's host name cannot be resolved (DNS).".to_owned(),
            Self::Refused => "The server refuses connections.".to_owned(),
            Self::Tls => "No secure connection to the server can be made (TLS).".to_owned(),
            Self::NotAllowed => "This installation may not reach the server.".to_owned(),
            Self::Absent => "The server is not part of this installation.".to_owned(),
            Self::Silent => "The server does not answer in time.".to_owned(),
            Self::Moved { location } => format!("The server is somewhere else and points to {location}."),
            Self::Failing { status } => format!("The server answers with the status {status}."),
            Self::Other { words } => format!("The server's answer cannot be used: {words}."),
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn advice(&self, server: &Server) -> &'static str {
        if !server.remote {
            return match self {
                Self::Absent => {
                    "Check the names in tool_servers, and that spin.toml has the component mcp-<name> for each."
                }
                Self::NotAllowed => {
                    "Check the names in tool_servers, and that each is in allowed_outbound_hosts of the component tools."
                }
                _ => "Look into the log of its component, mcp-<name>.",
            };
        }
        match self {
            // Each person asks it with a token of their own, so nothing here is wrong for all.
            Self::Unauthorized if server.is_personal() => {
                "It refuses this person's token. Connecting it again helps, if the account may use the server at all."
            }
            Self::Forbidden if server.is_personal() => {
                "The account of whoever asks may lack a right at the server. If it refuses everybody, ask its operator."
            }
            Self::Moved { .. } if server.is_personal() => {
                "Put the new address into its \"url\" in remote_mcp_servers, if you trust it. Everybody then connects it again."
            }
            Self::Unauthorized => {
                "Correct \"authorization\" for it in remote_mcp_servers: most servers want \"Bearer \" and a token that has not expired."
            }
            Self::Forbidden => {
                "Check \"authorization\" for it in remote_mcp_servers: the account behind it may lack a right."
            }
            Self::NotFound => "Check its \"url\" in remote_mcp_servers, the path too: often it ends in /mcp.",
            Self::NoName => "Check the host name in its \"url\" in remote_mcp_servers, and this machine's DNS.",
            Self::Refused => "Check host and port in its \"url\" in remote_mcp_servers, and whether the server runs.",
            Self::Tls => {
                "Check that its certificate is valid and is for the host in its \"url\" in remote_mcp_servers."
            }
            Self::NotAllowed | Self::Absent => {
                "Allow its host with the variable remote_mcp_host, as scheme://host:port."
            }
            Self::Silent => "Check whether the server runs and can be reached from here. The app retries by itself.",
            Self::Moved { .. } => {
                "Put the new address into its \"url\" in remote_mcp_servers, if you trust it: the authorization would go there."
            }
            Self::Failing { .. } => "Ask the server's operator. The app retries by itself.",
            Self::Other { .. } => "Check its \"url\" in remote_mcp_servers, or ask the server's operator.",
        }
    }
}
