//! The way out: one request, one answer. In the component it is the contract's HTTP client, in tests one of the machine.

use std::time::Duration;

use http::{Request, Response};
use tool_provider::Failure;

/// What the largest answer may have: what a tool may return, and more than is asked for at once as a rule.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Sends requests.
pub(crate) trait Transport {
    /// The answer within this time, whatever its status; redirects are answers.
    async fn send(&self, request: Request<Vec<u8>>, limit: Duration) -> Result<Response<Vec<u8>>, Failure>;
}

/// What `allowed_outbound_hosts` allows.
pub(crate) struct Outside;

impl Transport for Outside {
    async fn send(&self, request: Request<Vec<u8>>, limit: Duration) -> Result<Response<Vec<u8>>, Failure> {
        tool_provider::http::send(request, ANSWER_BYTES_MAX, limit).await
    }
}
