//! How often one address may ask for tokens and register programs. Strangers reach both, so nothing that people share is taken from.

use http::HeaderMap;
use storage::{
    Database,
    rate_limits::{Limit, RetryAfterMs},
};
use web::{
    Result,
    client_address::{ClientAddress, client_address},
};

use crate::{document::Documents, refusal::Refusal, routes::OAuth};

/// An office whose programs all start in the morning.
const PER_MINUTE: u32 = 120;
/// The same for an address that may be that of a proxy, so of everybody.
const SHARED_PER_MINUTE: u32 = 1_200;

/// Counts a request from an address; `what` it is for has a limit of its own, so that nobody who registers programs keeps others from their tokens.
/// The refusal, if there were too many.
pub(crate) async fn take<D: Database, F: Documents>(
    oauth: &OAuth<D, F>,
    what: &str,
    headers: &HeaderMap,
) -> Result<Option<Refusal>> {
    let ClientAddress { network, may_be_shared } = client_address(headers, oauth.config.client_address_header.as_ref());
    let per_minute = if may_be_shared { SHARED_PER_MINUTE } else { PER_MINUTE };
    let limit = Limit::per_minute(format!("oauth:{what}:{network}"), per_minute);
    let taken = oauth.store().take_rate(&[limit]).await?;
    Ok(taken.err().map(|RetryAfterMs(wait_ms)| Refusal::too_many(wait_ms.div_ceil(1_000).max(1))))
}
