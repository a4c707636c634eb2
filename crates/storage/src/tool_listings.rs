//! What tool servers last said they have, so that an instance need not ask them all before it can answer; and what of it may be offered to
//! whom.

use std::iter;

use domain::Id;

use crate::{
    Database, Statement, StorageError, Store, Value, access::roles_of_user, tool_policies, tool_secrets::MAX_SECRETS,
};

/// Servers whose listings are read: more than an installation has.
pub const MAX_LISTINGS: usize = 64;

/// The name under which is kept what may be offered to anybody of what all servers have together. No server has this name.
pub const OFFERABLE: &str = "";

/// The name under which is kept that somebody asks the servers. No server has this name.
const ASKING: &str = " ";

/// What decides what a person's model is offered.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolOffers {
    /// What may be offered to anybody.
    pub offerable: Option<ToolListing>,
    /// Somebody has taken it on to ask the servers ([`Store::claim_tool_listings`]).
    pub is_claimed: bool,
    /// Patterns of the tools that the installation or the person denies.
    pub denied: Vec<String>,
    /// Which secrets the person has entered: server and name.
    pub secrets: Vec<(String, String)>,
    /// The names of the person's roles; none if they are suspended.
    pub roles: Vec<String>,
}

/// What is kept of all servers.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolListings {
    /// Each server's last listing, old ones too, the newest first.
    pub servers: Vec<ToolListing>,
    /// As in [`ToolOffers`].
    pub is_claimed: bool,
}

/// A server's last listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolListing {
    /// The server's name, or [`OFFERABLE`].
    pub server: String,
    /// As whoever stored it wrote it.
    pub listing: String,
    /// For how many milliseconds it still counts, by the database's clock; less than nothing is since when it does not.
    pub counts_for_ms: i64,
}

/// A listing to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewListing<'a> {
    /// The server's name, or [`OFFERABLE`].
    pub server: &'a str,
    /// Anything.
    pub listing: &'a str,
    /// For how many milliseconds it counts from now on.
    pub ttl_ms: i64,
}

impl<D: Database> Store<D> {
    /// What is kept of all servers, in one statement.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn tool_listings(&self) -> Result<ToolListings, StorageError> {
        const QUERY: &str = "tool_listings";
        // The claim is the newest of all rows, or it does not count.
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

    /// Takes it on to ask the servers, for so many milliseconds or until their lists are stored. Of all who try meanwhile, at whichever host, one
    /// hears `true`.
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

    /// Stores what servers say they have, instead of what they said before, in one statement, which gives back what was claimed. Each name once.
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

    /// What decides what a person's model is offered, in one statement.
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
             FROM (SELECT server, name FROM tool_secrets WHERE user_id = ?1 LIMIT {MAX_SECRETS}) AS secrets
             UNION ALL SELECT 'roles', roles.names, '' FROM ({}) AS roles",
            roles_of_user()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let mut offers = ToolOffers::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            match columns.text()? {
                "claimed" => offers.is_claimed = true,
                "roles" => offers.roles.extend(columns.text()?.split_whitespace().map(str::to_owned)),
                "denied" => offers.denied.push(columns.text()?.to_owned()),
                "secret" => offers.secrets.push((columns.text()?.to_owned(), columns.text()?.to_owned())),
                _ => {
                    let (server, listing) = (OFFERABLE.to_owned(), columns.text()?.to_owned());
                    // A number, as the database wrote it; whoever reads it otherwise finds it old.
                    let counts_for_ms = columns.text()?.parse().unwrap_or(i64::MIN);
                    offers.offerable = Some(ToolListing { server, listing, counts_for_ms });
                }
            }
        }
        Ok(offers)
    }
}
