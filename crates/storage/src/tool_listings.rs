//! What tool servers last said they have, so that an instance need not ask them all before it can answer.

use domain::Timestamp;

use crate::{Database, Statement, StorageError, Store};

/// Servers whose listings are read: more than an installation has.
pub const MAX_LISTINGS: usize = 64;

/// A server's last good listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolListing {
    /// The server's name.
    pub server: String,
    /// As whoever stored it wrote it.
    pub listing: String,
    /// When it was stored.
    pub fetched_at: Timestamp,
    /// Whether it still counts, by the database's clock.
    pub fresh: bool,
}

impl<D: Database> Store<D> {
    /// All listings, old ones too, the newest first.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn tool_listings(&self) -> Result<Vec<ToolListing>, StorageError> {
        const QUERY: &str = "tool_listings";
        let sql = format!(
            "SELECT server, listing, fetched_at, CASE WHEN fetched_at + ttl_ms > now_ms() THEN 1 ELSE 0 END
             FROM tool_listings ORDER BY fetched_at DESC, server LIMIT {MAX_LISTINGS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(ToolListing {
                    server: columns.text()?.to_owned(),
                    listing: columns.text()?.to_owned(),
                    fetched_at: columns.timestamp()?,
                    fresh: columns.flag()?,
                })
            })
            .collect()
    }

    /// Stores what a server says it has, which counts for `ttl_ms`, instead of what it said before.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn save_tool_listing(&self, server: &str, listing: &str, ttl_ms: i64) -> Result<(), StorageError> {
        let sql = "INSERT INTO tool_listings (server, listing, fetched_at, ttl_ms) VALUES (?1, ?2, now_ms(), ?3)
                   ON CONFLICT (server) DO UPDATE SET listing = excluded.listing, fetched_at = excluded.fetched_at,
                       ttl_ms = excluded.ttl_ms";
        let parameters = [server.into(), listing.into(), ttl_ms.into()];
        self.database.query(Statement::new("save_tool_listing", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Takes it on to ask the servers anew whose listings do not count any more: until `ttl_ms` from now these count for everybody else. Of several
    /// who ask at once, each server is one's alone.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn claim_tool_listings(&self, ttl_ms: i64) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "claim_tool_listings";
        let sql = "UPDATE tool_listings SET ttl_ms = now_ms() - fetched_at + ?1
                   WHERE fetched_at + ttl_ms <= now_ms() RETURNING server";
        let rows = self.database.query(Statement::new(QUERY, sql, [ttl_ms.into()])).await?;
        rows.iter().map(|row| Ok(row.columns(QUERY).text()?.to_owned())).collect()
    }
}
