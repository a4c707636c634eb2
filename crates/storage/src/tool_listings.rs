//! What tool servers last said they have, so that an instance need not ask them all before it can answer; and what of it may be offered to
//! whom.

use domain::{Id, Timestamp};

use crate::{Database, Statement, StorageError, Store, tool_policies, tool_secrets::MAX_SECRETS};

/// Servers whose listings are read: more than an installation has.
pub const MAX_LISTINGS: usize = 64;

/// What all servers have together, as it may be offered, is kept beside their listings. No server has this name.
const ALL: &str = "";

/// What may be offered is believed for so long at most, whoever has it made anew: the time between two messages in a lively installation, not
/// the night after which another version answers.
const RECENT_MS: i64 = 60_000;

/// What decides what a person's model is offered.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolOffers {
    /// What may be offered to anybody, as whoever stored it wrote it. Empty: it is being made for the first time, or it was too long to keep.
    pub offerable: Option<String>,
    /// Whether it still counts, or somebody has it made anew, by the database's clock.
    pub fresh: bool,
    /// Whether it is not much older than it counts.
    pub recent: bool,
    /// Patterns of the tools that the installation or the person denies.
    pub denied: Vec<String>,
    /// Which secrets the person has entered: server and name.
    pub secrets: Vec<(String, String)>,
}

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
             FROM tool_listings WHERE server <> '{ALL}' ORDER BY fetched_at DESC, server LIMIT {MAX_LISTINGS}"
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
        let sql = format!(
            "UPDATE tool_listings SET ttl_ms = now_ms() - fetched_at + ?1
             WHERE fetched_at + ttl_ms <= now_ms() AND server <> '{ALL}' RETURNING server"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [ttl_ms.into()])).await?;
        rows.iter().map(|row| Ok(row.columns(QUERY).text()?.to_owned())).collect()
    }

    /// What decides what a person's model is offered, in one statement.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn tool_offers(&self, user_id: Id) -> Result<ToolOffers, StorageError> {
        const QUERY: &str = "tool_offers";
        let policies = tool_policies::selected();
        let sql = format!(
            "SELECT 'offerable', listing, CASE WHEN fetched_at + ttl_ms > now_ms() THEN 'fresh' ELSE '' END,
                 CASE WHEN fetched_at + {RECENT_MS} > now_ms() THEN 'recent' ELSE '' END
             FROM tool_listings WHERE server = '{ALL}'
             UNION ALL SELECT 'denied', policies.pattern, '', '' FROM ({policies}) AS policies
             WHERE policies.effect = 'deny'
             UNION ALL SELECT 'secret', secrets.server, secrets.name, ''
             FROM (SELECT server, name FROM tool_secrets WHERE user_id = ?1 LIMIT {MAX_SECRETS}) AS secrets"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let mut offers = ToolOffers::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            match columns.text()? {
                "denied" => offers.denied.push(columns.text()?.to_owned()),
                "secret" => offers.secrets.push((columns.text()?.to_owned(), columns.text()?.to_owned())),
                _ => {
                    offers.offerable = Some(columns.text()?.to_owned());
                    offers.fresh = !columns.text()?.is_empty();
                    offers.recent = !columns.text()?.is_empty();
                }
            }
        }
        Ok(offers)
    }

    /// Stores what may be offered to anybody, which counts for `ttl_ms`.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn save_offerable_tools(&self, offerable: &str, ttl_ms: i64) -> Result<(), StorageError> {
        self.save_tool_listing(ALL, offerable, ttl_ms).await
    }

    /// Takes it on to have that made, if there is none or it does not count any more: until `ttl_ms` from now it counts for everybody else, an
    /// empty text if there was none. Of several who ask at once, one hears `true`.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn claim_offerable_tools(&self, ttl_ms: i64) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO tool_listings (server, listing, fetched_at, ttl_ms) VALUES ('{ALL}', '', 0, now_ms() + ?1)
             ON CONFLICT (server) DO UPDATE SET ttl_ms = now_ms() - tool_listings.fetched_at + ?1
             WHERE tool_listings.fetched_at + tool_listings.ttl_ms <= now_ms() RETURNING server"
        );
        let rows = self.database.query(Statement::new("claim_offerable_tools", sql, [ttl_ms.into()])).await?;
        Ok(!rows.is_empty())
    }
}
