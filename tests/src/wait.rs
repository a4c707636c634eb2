//! Waiting for conditions. Every wait has a limit and says what it waited for; none is a mere pause.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

/// Far longer than anything takes, so that only what never happens fails, on a busy machine too.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits for a future.
///
/// # Errors
/// When it takes longer than [`LIMIT`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(LIMIT, future).await.with_context(|| format!("waited {LIMIT:?} in vain for {what}"))
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// When there is none within [`LIMIT`], and what `condition` returns.
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
