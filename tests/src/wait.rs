//! Waits for conditions. Every wait has a limit and says what it waited for; none is only a pause.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

/// Far longer than anything takes, also on a busy machine, so that a wait fails only if its condition never comes.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The poll interval.
const POLL: Duration = Duration::from_millis(10);

/// Waits for a future.
///
/// # Errors
/// When it takes longer than [`LIMIT`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(LIMIT, future).await.with_context(|| format!("waited {LIMIT:?} in vain for {what}"))
}

/// Polls a condition until it returns a value.
///
/// # Errors
/// When there is none within [`LIMIT`], and the errors of `condition`.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = condition().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {LIMIT:?} in vain for {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}
