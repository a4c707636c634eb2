//! The last tool lists of all servers, so that an instance need not ask them before it can answer; and the offers that are the same for everybody.

use std::iter;

use domain::Id;

use crate::{Database, Statement, StorageError, Store, Value, tool_policies, tool_secrets::MAX_SECRETS};

/// The servers whose lists are read: more than an installation has.
pub const MAX_LISTINGS: usize = 64;

/// The row for the offers that are the same for everybody, made from all servers' lists. No server has this name.
pub const OFFERABLE: &str = "";

/// The row for the claim of a request that is asking the servers. No server has this name.
const ASKING: &str = " ";

/// The facts that decide which tools a person's model is offered.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolOffers {
    /// The offers that are the same for everybody.
    pub offerable: Option<ToolListing>,
    /// Whether a request is asking the servers now ([`Store::claim_tool_listings`]).
    pub is_claimed: bool,
    /// Patterns of the tools that the installation or the person denies.
    pub denied: Vec<String>,
    /// The server and name of each secret that the person has entered.
    pub secrets: Vec<(String, String)>,
}

/// The stored lists of all servers.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolListings {
    /// Each server's last list, also an old one; the newest first.
    pub servers: Vec<ToolListing>,
    /// See [`ToolOffers::is_claimed`].
    pub is_claimed: bool,
}

/// A server's last list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolListing {
    /// The server's name, or [`OFFERABLE`].
    pub server: String,
    /// The list, as it was stored.
    pub listing: String,
    /// How many milliseconds the list is still valid, by the database's clock. If negative, it has expired that long ago.
    pub counts_for_ms: i64,
}

/// A list to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewListing<'a> {
    /// The server's name, or [`OFFERABLE`].
    pub server: &'a str,
    /// The list. This crate does not interpret it.
    pub listing: &'a str,
    /// How many milliseconds the list is valid from now on.
    pub ttl_ms: i64,
}

impl<D: Database> Store<D> {
    /// The stored lists of all servers, in one statement.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tool_listings(&self) -> Result<ToolListings, StorageError> {
        const QUERY: &str = "tool_listings";
        // A claim counts only if it is the newest of all rows.
        let sql = format!(
            "SELECT server, listing, fetched_at + ttl_ms - now_ms() FROM tool_listings
             WHERE server <> '{OFFERABLE}' ORDER BY fetched_at DESC, server LIMIT {MAX_LISTINGS} + 1"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut listings = ToolListings::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (server, listing) = (columns.text()?.to_owned(), columns.text()?.to_owned());
            let counts_for_ms = columns.integer()?;
            if server == ASKING {
                listings.is_claimed = counts_for_ms > 0;
            } else {
                listings.servers.push(ToolListing { server, listing, counts_for_ms });
            }
        }
        Ok(listings)
    }

    /// Claims to ask the servers, for `for_ms` milliseconds or until their lists are stored. Of concurrent requests, at any host, only one gets
    /// `true`.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn claim_tool_listings(&self, for_ms: i64) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO tool_listings (server, listing, fetched_at, ttl_ms) VALUES ('{ASKING}', '', now_ms(), ?1)
             ON CONFLICT (server) DO UPDATE SET fetched_at = excluded.fetched_at, ttl_ms = excluded.ttl_ms
             WHERE tool_listings.fetched_at + tool_listings.ttl_ms <= now_ms() RETURNING server"
        );
        let rows = self.database.query(Statement::new("claim_tool_listings", sql, [for_ms.into()])).await?;
        Ok(!rows.is_empty())
    }

    /// Replaces the servers' lists and releases the claim, in one statement. Each server at most once.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn save_tool_listings(&self, listings: &[NewListing<'_>]) -> Result<(), StorageError> {
        let done = NewListing { server: ASKING, listing: "", ttl_ms: 0 };
        let rows = (0..=listings.len()).map(|row| {
            let first = row * 3;
            format!("(?{}, ?{}, now_ms(), ?{})", first + 1, first + 2, first + 3)
        });
        let sql = format!(
            "INSERT INTO tool_listings (server, listing, fetched_at, ttl_ms) VALUES {}
             ON CONFLICT (server) DO UPDATE SET listing = excluded.listing, fetched_at = excluded.fetched_at,
                 ttl_ms = excluded.ttl_ms",
            rows.collect::<Vec<_>>().join(", ")
        );
        let parameters = iter::once(&done)
            .chain(listings)
            .flat_map(|new| [new.server.into(), new.listing.into(), new.ttl_ms.into()]);
        let parameters: Vec<Value> = parameters.collect();
        self.database.query(Statement::new("save_tool_listings", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// The facts that decide which tools a person's model is offered, in one statement.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn tool_offers(&self, user_id: Id) -> Result<ToolOffers, StorageError> {
        const QUERY: &str = "tool_offers";
        let policies = tool_policies::selected();
        let sql = format!(
            "SELECT 'offerable', listing, CAST(fetched_at + ttl_ms - now_ms() AS TEXT)
             FROM tool_listings WHERE server = '{OFFERABLE}'
             UNION ALL SELECT 'claimed', '', ''
             FROM tool_listings WHERE server = '{ASKING}' AND fetched_at + ttl_ms > now_ms()
             UNION ALL SELECT 'denied', policies.pattern, '' FROM ({policies}) AS policies
             WHERE policies.effect = 'deny'
             UNION ALL SELECT 'secret', secrets.server, secrets.name
             FROM (SELECT server, name FROM tool_secrets WHERE user_id = ?1 LIMIT {MAX_SECRETS}) AS secrets"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let mut offers = ToolOffers::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            match columns.text()? {
                "claimed" => offers.is_claimed = true,
                "denied" => offers.denied.push(columns.text()?.to_owned()),
                "secret" => offers.secrets.push((columns.text()?.to_owned(), columns.text()?.to_owned())),
                _ => {
                    let (server, listing) = (OFFERABLE.to_owned(), columns.text()?.to_owned());
                    // The number is text here. If it cannot be read, the list counts as expired.
                    let counts_for_ms = columns.text()?.parse().unwrap_or(i64::MIN);
                    offers.offerable = Some(ToolListing { server, listing, counts_for_ms });
                }
            }
        }
        Ok(offers)
    }
}
