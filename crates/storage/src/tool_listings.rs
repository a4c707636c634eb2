//! The last tool lists of all servers, so that an instance need not ask them before it can answer; and the offers that are the same for everybody.

use std::{iter, sync::Arc};

use crate::{Database, Statement, StorageError, Store, Value, database::Columns, tool_policies::INSTALLATION};

/// The servers whose lists are read: more than an installation has.
pub const MAX_LISTINGS: usize = 64;

/// The row for the offers that are the same for everybody, made from all servers' lists. No server has this name.
pub const OFFERABLE: &str = "";

/// The row for the claim of a request that is asking the servers. No server has this name.
const ASKING: &str = " ";

pub(crate) const BETWEEN_ENTRIES: char = '\n';
pub(crate) const BETWEEN_NAMES: char = '\t';

/// Stands for a list that the reader knows. No list is written like this.
const KNOWN: &str = "=";

/// What decides which of the offers a person's model gets. It is read with the claim of the person's run.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolOffers {
    /// Patterns of the tools that the installation or the person denies, or that have no place in this conversation.
    pub denied: Vec<String>,
    /// The server and name of each secret that the person has entered.
    pub secrets: Vec<(String, String)>,
    /// What the servers offer that the person has connected: a JSON list of lists, as they were stored; empty if there is none.
    pub connected: String,
    /// Patterns of the tools that the conversation may use; `None`: all.
    pub chosen: Option<Vec<String>>,
}

/// The offers that are the same for everybody, as they are stored.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct KeptOffers {
    /// The list, if there is one.
    pub list: Option<KeptList>,
    /// Whether a request is asking the servers now ([`Store::claim_tool_listings`]).
    pub is_claimed: bool,
}

/// The list of these offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptList {
    /// A list that is stored later has a higher version.
    pub version: i64,
    /// The list as it was stored. `None` if it has the version that the reader knows.
    pub listing: Option<Arc<str>>,
    /// How many milliseconds the list is still valid, by the database's clock. If negative, it has expired that long ago.
    pub counts_for_ms: i64,
}

/// The stored lists of all servers.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolListings {
    /// Each server's last list, also an old one; the newest first.
    pub servers: Vec<ToolListing>,
    /// See [`KeptOffers::is_claimed`].
    pub is_claimed: bool,
}

/// A server's last list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolListing {
    /// The server's name.
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

    /// Changes a server's list, which stays as old as it is, if it is still `former`. Where there is none, it is stored as one that has expired. A claim
    /// to ask the servers goes on. `false`: there is another list meanwhile.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn amend_tool_listing(&self, server: &str, former: &str, listing: &str) -> Result<bool, StorageError> {
        let sql = "INSERT INTO tool_listings (server, listing, fetched_at, ttl_ms) VALUES (?1, ?3, now_ms(), 0)
                   ON CONFLICT (server) DO UPDATE SET listing = excluded.listing WHERE tool_listings.listing = ?2
                   RETURNING server";
        let parameters = [server.into(), former.into(), listing.into()];
        Ok(!self.database.query(Statement::new("amend_tool_listing", sql, parameters)).await?.is_empty())
    }

    /// The offers that are the same for everybody. The list itself is read only if it has another version than `known_version`.
    ///
    /// # Errors
    /// As [`Self::tool_listings`].
    pub async fn kept_offers(&self, known_version: Option<i64>) -> Result<KeptOffers, StorageError> {
        const QUERY: &str = "kept_offers";
        let rows = self.database.query(Statement::new(QUERY, kept_rows("?1"), [known_version.into()])).await?;
        let mut kept = KeptOffers::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (kind, version, listing) = (columns.integer()?, columns.text()?, columns.text()?);
            kept.read(kind, version, listing, columns.integer()?);
        }
        Ok(kept)
    }
}

/// What a row of [`kept_rows`] is.
const OFFERS: i64 = 5;
const CLAIM: i64 = 6;

/// Selects the rows of [`KeptOffers::read`]. `known_version` is a parameter. The numbers of their kinds are used by no other row of
/// [`Store::access_state`].
pub(crate) fn kept_rows(known_version: &str) -> String {
    format!(
        "SELECT CASE server WHEN '{OFFERABLE}' THEN {OFFERS} ELSE {CLAIM} END, CAST(fetched_at AS text),
             CASE WHEN fetched_at = CAST({known_version} AS bigint) THEN '{KNOWN}' ELSE listing END, fetched_at + ttl_ms - now_ms()
         FROM tool_listings WHERE server IN ('{OFFERABLE}', '{ASKING}')"
    )
}

impl KeptOffers {
    /// Reads a row of [`kept_rows`].
    pub(crate) fn read(&mut self, kind: i64, version: &str, listing: &str, counts_for_ms: i64) {
        if kind == CLAIM {
            self.is_claimed = counts_for_ms > 0;
        } else if let (OFFERS, Ok(version)) = (kind, version.parse()) {
            let listing = (listing != KNOWN).then(|| listing.into());
            self.list = Some(KeptList { version, listing, counts_for_ms });
        }
    }
}

/// Between the JSON lists of connections: no JSON contains it.
const BETWEEN_LISTS: char = '\u{1e}';

/// The columns of [`read_offers`] in a statement about `runs`, so a turn needs no extra statement. Each subquery is planned with every claim, so rows
/// come as lines of a text. Control characters separate its parts: patterns and names contain none. Connections have a subquery of their own: in one
/// with the secrets (`UNION ALL`), PostgreSQL plans a third longer. What was lost is offered too, so that its tools do not vanish: a call
/// says what to do.
pub(crate) fn offers_of_run() -> String {
    format!(
        "(SELECT string_agg(pattern, '{BETWEEN_ENTRIES}') FROM tool_policies
          WHERE tool_policies.user_id IN ('{INSTALLATION}', runs.user_id) AND effect = 'deny'),
         (SELECT string_agg(tool_secrets.server || '{BETWEEN_NAMES}' || name, '{BETWEEN_ENTRIES}') FROM tool_secrets
          WHERE tool_secrets.user_id = runs.user_id),
         (SELECT string_agg(offers, '{BETWEEN_LISTS}') FROM tool_connections WHERE tool_connections.user_id = runs.user_id)"
    )
}

pub(crate) fn read_offers(columns: &mut Columns<'_>) -> Result<ToolOffers, StorageError> {
    let denied = columns.optional_text()?.unwrap_or_default().split(BETWEEN_ENTRIES);
    let denied = denied.filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect();
    let secrets = columns.optional_text()?.unwrap_or_default().split(BETWEEN_ENTRIES);
    let secrets = secrets.filter_map(|secret| secret.split_once(BETWEEN_NAMES));
    let secrets = secrets.map(|(server, name)| (server.to_owned(), name.to_owned())).collect();
    let connected = columns.optional_text()?.map(|lists| {
        let mut lists: Vec<&str> = lists.split(BETWEEN_LISTS).collect();
        // The database gives them in any order, and a model's provider remembers only what begins alike.
        lists.sort_unstable();
        format!("[{}]", lists.join(","))
    });
    Ok(ToolOffers { denied, secrets, connected: connected.unwrap_or_default(), chosen: None })
}
