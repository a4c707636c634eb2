//! The way out: one request, one answer. In the component it is the contract's HTTP client, in tests one of the machine.

use std::time::Duration;

use http::{Request, Response};
use tool_provider::Failure;

/// What the largest answer may have: what a tool may return, and more than all that is asked for at once.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How long one answer may take: three of them fit into the minute that a call has.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// Sends requests.
pub(crate) trait Transport {
    /// The answer, whatever its status; redirects are answers.
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure>;
}

/// What `allowed_outbound_hosts` allows.
pub(crate) struct Outside;

impl Transport for Outside {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure> {
        tool_provider::http::send(request, ANSWER_BYTES_MAX, ANSWER_WAIT).await
    }
}
