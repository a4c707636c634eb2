//! Why a connection cannot be made or kept.

use http::StatusCode;
use mcp::TransportError;

/// Why there are no tokens. The messages name hosts and quote a server's words, cut; never a secret.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// An address that no request may go to and no person may be sent to.
    #[error("it names the address {0}, which is not used: an address must be https and outside of this installation")]
    Address(String),
    /// There was no answer.
    #[error("{host} cannot be reached: {cause}")]
    Transport {
        /// The host that was asked.
        host: String,
        /// Why not.
        #[source]
        cause: TransportError,
    },
    /// An answer without a reason.
    #[error("{host} answered {status}")]
    Status {
        /// The host that was asked.
        host: String,
        /// Its status.
        status: StatusCode,
    },
    /// An answer that cannot be read.
    #[error("the answer of {host} cannot be used: {cause}")]
    Malformed {
        /// The host that was asked.
        host: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A refusal in OAuth's words (RFC 6749, section 5.2; RFC 7591, section 3.2.2).
    #[error("{host} refused: {words}")]
    Refused {
        /// The host that was asked.
        host: String,
        /// The status, which some servers choose freely.
        status: StatusCode,
        /// The code of the error.
        code: String,
        /// The code, and what was said about it if no secret was sent; cut.
        words: String,
    },
    /// The metadata are those of somebody else (RFC 8414, section 3.3; RFC 9728, section 3.3).
    #[error("the metadata at {host} are about another server")]
    OtherServer {
        /// The host that was asked.
        host: String,
    },
    /// The answer came from another authorization server than the one that was asked (RFC 9207).
    #[error("the answer came from another authorization server")]
    OtherIssuer,
    /// There is no metadata anywhere.
    #[error("it does not say which authorization server it belongs to")]
    NoMetadata,
    /// PKCE with S256 is required (OAuth 2.1, section 7.5.2).
    #[error("its authorization server does not offer PKCE with S256, without which a code could be stolen")]
    NoPkce,
    /// No way to get a client id.
    #[error(
        "its authorization server takes no new clients by itself, so an administrator has to register this installation there"
    )]
    NoRegistration,
    /// The host gave no random bytes.
    #[error("no random bytes")]
    Random(#[from] getrandom::Error),
}

impl OAuthError {
    /// Whether asking again with the same refresh token can never succeed. Everything else, also what nobody knows, may be over in a minute.
    #[must_use]
    pub fn is_final(&self) -> bool {
        let Self::Refused { status, code, .. } = self else { return false };
        let is_passing =
            status.is_server_error() || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        !is_passing && FINAL.contains(&code.as_str())
    }
}

/// RFC 6749, section 5.2; the last two are the words of GitHub and of Slack for a refresh token that is not valid.
const FINAL: [&str; 5] =
    ["invalid_grant", "invalid_client", "unauthorized_client", "bad_refresh_token", "invalid_refresh_token"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_never_be_otherwise_is_final() {
        let refused = |status: u16, code: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            OAuthError::Refused { host: String::new(), status, code: code.to_owned(), words: String::new() }.is_final()
        };
        for (status, code) in [(400, "invalid_grant"), (401, "invalid_client"), (200, "bad_refresh_token")] {
            assert!(refused(status, code), "{status} {code}");
        }
        for (status, code) in [
            (429, "too_many_requests"),
            (429, "invalid_grant"),
            (400, "temporarily_unavailable"),
            (403, "Forbidden"),
            (500, "invalid_grant"),
        ] {
            assert!(!refused(status, code), "{status} {code}");
        }
        assert!(!OAuthError::NoMetadata.is_final());
    }
}
