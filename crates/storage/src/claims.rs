//! Claims: how an executor takes a run, and what it reads with it, so that a turn needs no statement for that. Every subquery here is planned again with
//! each claim.

use domain::{Id, Run};

use crate::{
    Database, Statement, StorageError, Store, Value, model_dialects,
    runs::{ABANDONED, ABANDONED_NEW, CLAIMABLE, Lease, STORED_COLUMNS, SUSPENDED, failure, read_columns},
    sealed_texts::NO_KEY,
    tool_listings::{self, ToolOffers},
};

/// A run that was just claimed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The run.
    pub run: Run,
    /// How often the run has been claimed, this time included.
    pub attempt: u64,
    /// Whether the person has already asked to stop the run.
    pub cancel_requested: bool,
    /// The learned request dialect of the server for the run's model, as it was stored.
    pub dialect: Option<String>,
    /// What decides which of the offered tools the person's model gets.
    pub offers: ToolOffers,
}

/// The parameters of a claim, `?1` to `?4`.
fn claim_parameters(lease: Lease, lease_ms: i64, server: &str) -> Vec<Value> {
    vec![lease.run_id.into(), lease.owner.into(), lease_ms.into(), server.into()]
}

impl<D: Database> Store<D> {
    /// Claims a run for `lease_ms`, for an executor that asks the model at `server`. `None`: somebody executes the run, or it has ended. An abandoned
    /// run is returned with its failure; it must be ended, not executed.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim(&self, lease: Lease, lease_ms: i64, server: &str) -> Result<Option<Claim>, StorageError> {
        self.claim_early(lease, lease_ms, 0, server).await
    }

    /// Like [`Self::claim`], but also takes a run from an executor whose lease expires within `left_ms`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim_early(
        &self,
        lease: Lease,
        lease_ms: i64,
        left_ms: i64,
        server: &str,
    ) -> Result<Option<Claim>, StorageError> {
        let silent = format!("runs.state = 'processing' AND runs.lease_expires_at < now_ms() + {left_ms}");
        let condition = format!("({} OR {silent} OR lease_owner = ?2)", *CLAIMABLE);
        let more = format!(", cancel_requested = CASE WHEN {SUSPENDED} THEN 1 ELSE cancel_requested END");
        let parameters = claim_parameters(lease, lease_ms, server);
        self.claim_if(lease, "claim", ABANDONED, &more, &condition, parameters).await
    }

    /// Claims the owner's run if it was never claimed. Such a run has no log, so nothing has to be read before it is executed.
    /// The owner's token was just verified; if the owner is suspended at this moment, the first renewal of the lease says so.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim_new(
        &self,
        user_id: Id,
        lease: Lease,
        lease_ms: i64,
        server: &str,
    ) -> Result<Option<Claim>, StorageError> {
        let mut parameters = claim_parameters(lease, lease_ms, server);
        parameters.push(user_id.into());
        let condition = "(state = 'queued' AND attempt = 0 OR lease_owner = ?2) AND user_id = ?5";
        self.claim_if(lease, "claim_new", ABANDONED_NEW, "", condition, parameters).await
    }

    async fn claim_if(
        &self,
        lease: Lease,
        query: &'static str,
        abandoned: &str,
        more: &str,
        condition: &str,
        parameters: Vec<Value>,
    ) -> Result<Option<Claim>, StorageError> {
        let (code, message) = failure(abandoned);
        let sql = format!(
            "UPDATE runs SET state = 'processing', error_code = {code}, error_message = {message}, lease_owner = ?2, lease_expires_at = now_ms() + ?3,
                 attempt = attempt + 1, updated_at = now_ms() {more}
             WHERE id = ?1 AND {condition} RETURNING {STORED_COLUMNS}, attempt, cancel_requested, {},
                 {}, user_id, {}",
            model_dialects::OF_RUN,
            tool_listings::offers_of_run(),
            self.stored_key("runs.user_id")
        );
        let rows = self.database.query(Statement::new(query, sql, parameters).repeatably()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(query);
        // A run that can be claimed has no failure yet, or that of an abandoned one, which is ours.
        let run = read_columns(&mut columns, &NO_KEY)?;
        let attempt = u64::try_from(columns.integer()?).unwrap_or_default();
        let cancel_requested = columns.flag()?;
        let dialect = columns.optional_text()?.map(str::to_owned);
        let offers = tool_listings::read_offers(&mut columns)?;
        let user_id = columns.id()?;
        if let Err(error) = self.take_key(user_id, run.id, columns.optional_text()?).await {
            self.forget_attempt(lease).await?;
            return Err(error);
        }
        Ok(Some(Claim { run, attempt, cancel_requested, dialect, offers }))
    }

    /// A claim without its person's key was no attempt: when the key is back, the run goes on.
    async fn forget_attempt(&self, lease: Lease) -> Result<(), StorageError> {
        let sql = "UPDATE runs SET attempt = attempt - 1 WHERE id = ?1 AND lease_owner = ?2 AND attempt > 0";
        let statement = Statement::new("forget_attempt", sql, [lease.run_id.into(), lease.owner.into()]);
        self.database.query(statement).await?;
        Ok(())
    }
}
