//! The way out: one request, one answer. In the component it is the contract's HTTP client, in tests one of the machine.

use std::time::Duration;

use http::{Request, Response};
use tool_provider::Failure;

/// What the largest answer may have: ten times what a model reads of it.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Sends requests.
pub(crate) trait Transport {
    /// The answer, whatever its status; redirects are answers.
    async fn send(&self, request: Request<Vec<u8>>, limit: Duration) -> Result<Response<Vec<u8>>, Failure>;
}

/// What `allowed_outbound_hosts` allows.
pub(crate) struct Outside;

impl Transport for Outside {
    async fn send(&self, request: Request<Vec<u8>>, limit: Duration) -> Result<Response<Vec<u8>>, Failure> {
        tool_provider::http::send(request, ANSWER_BYTES_MAX, limit).await
    }
}

/// Whether a request that failed with these words may have reached the host all the same.
pub(crate) fn may_have_arrived(words: &str, host: &str) -> bool {
    // The words of the contract's client; of what it says in others it is not known.
    let never_sent = [
        format!("this tool may not reach {host}"),
        format!("there is no host {host}"),
        format!("{host} cannot be reached"),
    ];
    !never_sent.iter().any(|known| known == words)
}
