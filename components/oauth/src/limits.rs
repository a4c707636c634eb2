//! How often one address may ask for tokens and register programs. Strangers reach both, so nothing that people share is taken from.

use http::HeaderMap;
use problem::Problem;
use storage::{
    Database,
    rate_limits::{Limit, RetryAfterMs},
};
use web::{
    Result,
    client_address::{ClientAddress, client_address},
};

use crate::{document::Documents, routes::OAuth};

/// An office whose programs all start in the morning.
const PER_MINUTE: u32 = 120;
/// The same for an address that may be that of a proxy, so of everybody.
const SHARED_PER_MINUTE: u32 = 1_200;

/// Counts a request from an address.
///
/// # Errors
/// 429.
pub(crate) async fn take<D: Database, F: Documents>(oauth: &OAuth<D, F>, headers: &HeaderMap) -> Result<()> {
    let ClientAddress { network, may_be_shared } = client_address(headers, oauth.config.client_address_header.as_ref());
    let per_minute = if may_be_shared { SHARED_PER_MINUTE } else { PER_MINUTE };
    let limit = Limit::per_minute(format!("oauth:{network}"), per_minute);
    let taken = oauth.store().take_rate(&[limit]).await?;
    taken.map_err(|RetryAfterMs(wait_ms)| {
        let wait_s = wait_ms.div_ceil(1_000).max(1);
        let detail = format!("Too many requests come from this address. Try again in {wait_s} s.");
        Problem::rate_limited(detail, wait_s).with_limit("address").into()
    })
}
