//! Which models servers listed, as their own lists say. Nothing is interpreted here.

use crate::{Database, Statement, StorageError, Store};

/// How long a list counts: servers get a new model every few weeks. One that is empty, or could not be read just now, is asked for sooner.
const FRESH_MS: i64 = 60 * 60 * 1000;
const EMPTY_FRESH_MS: i64 = 60 * 1000;

/// More servers than an installation has. The oldest lists beyond it are not read.
const MAX_LISTINGS: usize = 100;

/// The list of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelListing {
    /// Its address.
    pub server: String,
    /// The names of its models.
    pub models: Vec<String>,
    /// Whether it should be made anew.
    pub is_old: bool,
}

/// The list of a server, if there is one.
#[must_use]
pub fn of_server<'a>(listings: &'a [ModelListing], server: &str) -> Option<&'a ModelListing> {
    listings.iter().find(|listing| listing.server == server)
}

/// The models that a server lists.
#[must_use]
pub fn models_of<'a>(listings: &'a [ModelListing], server: &str) -> &'a [String] {
    of_server(listings, server).map(|listing| listing.models.as_slice()).unwrap_or_default()
}

impl<D: Database> Store<D> {
    /// The lists of all servers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn model_listings(&self) -> Result<Vec<ModelListing>, StorageError> {
        const QUERY: &str = "model_listings";
        let sql = format!(
            "SELECT server, models, CASE WHEN {} THEN 1 ELSE 0 END FROM model_listings
             ORDER BY listed_at DESC, server LIMIT {MAX_LISTINGS}",
            is_old()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(ModelListing {
                    server: columns.text()?.to_owned(),
                    models: serde_json::from_str(columns.text()?)?,
                    is_old: columns.flag()?,
                })
            })
            .collect()
    }

    /// Whether the caller shall ask a server for its list: of those who find it missing or old at the same moment, one does.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn claim_model_listing(&self, server: &str) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO model_listings (server, models, listed_at) VALUES (?1, '[]', now_ms())
             ON CONFLICT (server) DO UPDATE SET listed_at = excluded.listed_at - CASE WHEN model_listings.models = '[]' THEN 0 ELSE {FRESH_MS} - {EMPTY_FRESH_MS} END
             WHERE {} RETURNING server",
            is_old()
        );
        let statement = Statement::new("claim_model_listing", sql, [server.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Stores the list of a server.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_model_listing(&self, server: &str, models: &[String]) -> Result<(), StorageError> {
        let sql = "INSERT INTO model_listings (server, models, listed_at) VALUES (?1, ?2, now_ms())
                   ON CONFLICT (server) DO UPDATE SET models = excluded.models, listed_at = excluded.listed_at";
        let parameters = [server.into(), serde_json::to_string(models)?.into()];
        self.database.query(Statement::new("save_model_listing", sql, parameters).repeatably()).await?;
        Ok(())
    }
}

fn is_old() -> String {
    format!(
        "model_listings.listed_at < now_ms() - CASE WHEN model_listings.models = '[]' THEN {EMPTY_FRESH_MS} ELSE {FRESH_MS} END"
    )
}
