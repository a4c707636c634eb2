//! Claims: how an executor takes a run, and what it reads with it, so that a turn needs no statement for that. Every subquery here is planned again with
//! each claim.

use domain::{ConversationSettings, FILES_SERVER, Id, ModelSettings, ResponseFormat, Run, memory::MEMORY_SERVER};

use crate::{
    Database, Statement, StorageError, Store, Value, conversation_settings,
    database::places,
    files_of_runs,
    memories::{self, KnownFact},
    messages::{FORMAT_OF_RUN, read_format},
    model_dialects,
    model_providers::{self, StoredProvider},
    runs::{ABANDONED, ABANDONED_NEW, CLAIMABLE, Lease, STORED_COLUMNS, SUSPENDED, failure, read_columns},
    sealed_texts::{NO_KEY, Opener},
    tool_listings::{self, ToolOffers},
};

/// A run that was just claimed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The run.
    pub run: Run,
    /// Whose it is.
    pub user_id: Id,
    /// How often the run has been claimed, this time included.
    pub attempt: u64,
    /// Whether the person has already asked to stop the run.
    pub cancel_requested: bool,
    /// The learned request dialects for the run's model, as they were stored, each with its server.
    pub dialects: Vec<(String, String)>,
    /// The providers that administrators added.
    pub providers: Vec<StoredProvider>,
    /// What decides which of the offered tools the person's model gets.
    pub offers: ToolOffers,
    /// How the model is to answer: the settings that the conversation had when the run was made.
    pub settings: ModelSettings,
    /// Nobody is there who could approve a call.
    pub unattended: bool,
    /// The conversation began elsewhere, where something private may have been read.
    pub began_elsewhere: bool,
    /// The form that the answer must have.
    pub response_format: Option<ResponseFormat>,
    /// What the person had remembered, the newest first. `None`: nothing is remembered or used in this conversation, because the person does not want it, it
    /// is a temporary chat, or a program speaks in it.
    pub memories: Option<Vec<KnownFact>>,
}

/// What a claim needs to know.
struct Claiming<'a> {
    query: &'static str,
    abandoned: &'a str,
    /// Further assignments.
    more: &'a str,
    condition: &'a str,
    /// `?4` and what follows.
    parameters: Vec<Value>,
    servers: &'a str,
}

impl<D: Database> Store<D> {
    /// Claims a run for `lease_ms`, for an executor that may ask these model servers (addresses with spaces between them). `None`: somebody executes the run, or it has ended. An abandoned
    /// run is returned with its failure; it must be ended, not executed.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim(&self, lease: Lease, lease_ms: i64, servers: &str) -> Result<Option<Claim>, StorageError> {
        self.claim_early(lease, lease_ms, 0, servers).await
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
        servers: &str,
    ) -> Result<Option<Claim>, StorageError> {
        let silent = format!("runs.state = 'processing' AND runs.lease_expires_at < now_ms() + {left_ms}");
        let condition = format!("({} OR {silent} OR lease_owner = ?2)", *CLAIMABLE);
        let more = format!(", cancel_requested = CASE WHEN {SUSPENDED} THEN 1 ELSE cancel_requested END");
        let (condition, more) = (condition.as_str(), more.as_str());
        let claiming =
            Claiming { query: "claim", abandoned: ABANDONED, more, condition, parameters: Vec::new(), servers };
        self.claim_if(lease, lease_ms, claiming).await
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
        servers: &str,
    ) -> Result<Option<Claim>, StorageError> {
        let condition = "(state = 'queued' AND attempt = 0 OR lease_owner = ?2) AND user_id = ?4";
        let (query, parameters) = ("claim_new", vec![user_id.into()]);
        let claiming = Claiming { query, abandoned: ABANDONED_NEW, more: "", condition, parameters, servers };
        self.claim_if(lease, lease_ms, claiming).await
    }

    async fn claim_if(
        &self,
        lease: Lease,
        lease_ms: i64,
        claiming: Claiming<'_>,
    ) -> Result<Option<Claim>, StorageError> {
        let Claiming { query, abandoned, more, condition, parameters: more_parameters, servers } = claiming;
        let mut parameters: Vec<Value> = vec![lease.run_id.into(), lease.owner.into(), lease_ms.into()];
        parameters.extend(more_parameters);
        let first = parameters.len() + 1;
        parameters.extend(servers.split(' ').map(Value::from));
        let placeholders = places(first..=parameters.len());
        let (code, message) = failure(abandoned);
        let sql = format!(
            "UPDATE runs SET state = 'processing', error_code = {code}, error_message = {message}, lease_owner = ?2, lease_expires_at = now_ms() + ?3,
                 attempt = attempt + 1, updated_at = now_ms() {more}
             WHERE id = ?1 AND {condition} RETURNING {STORED_COLUMNS}, attempt, cancel_requested, {},
                 {}, {}, {}, {FORMAT_OF_RUN}, user_id, {}, {}, {}",
            model_dialects::of_run(&placeholders),
            model_providers::OF_RUN,
            tool_listings::offers_of_run(),
            conversation_settings::columns("runs"),
            self.stored_key("runs.user_id"),
            memories::of_run(),
            files_of_runs::IN_RUN
        );
        let rows = self.database.query(Statement::new(query, sql, parameters).repeatably()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(query);
        // A run that can be claimed has no failure yet, or that of an abandoned one, which is ours.
        let run = read_columns(&mut columns, &NO_KEY)?;
        let attempt = u64::try_from(columns.integer()?).unwrap_or_default();
        let cancel_requested = columns.flag()?;
        let dialects = model_dialects::read(columns.optional_text()?);
        let providers = model_providers::read(columns.optional_text()?);
        let mut offers = tool_listings::read_offers(&mut columns)?;
        let (settings_id, settings) = (columns.optional_id()?, columns.optional_text()?);
        let (format, user_id) = (columns.optional_text()?, columns.id()?);
        let (key, facts, has_files) = (columns.optional_text()?, columns.optional_text()?, columns.flag()?);
        let key = match self.take_key(user_id, run.id, key).await {
            Ok(key) => key,
            Err(error) => {
                self.forget_attempt(lease).await?;
                return Err(error);
            }
        };
        let opener = Opener::new(Some(key));
        let ConversationSettings { model: settings, unattended, began_elsewhere, .. } =
            conversation_settings::read(settings_id, settings, &opener)?;
        let response_format = read_format(run.message_id, format, &opener)?;
        offers.chosen.clone_from(&settings.tools);
        let memories = memories::read_of_run(facts.filter(|_| !unattended), &opener)?;
        if memories.is_none() {
            offers.denied.push(format!("{MEMORY_SERVER}:*"));
        }
        // Without files there is nothing to read, and no word about it in the prompt.
        if !has_files {
            offers.denied.push(format!("{FILES_SERVER}:*"));
        }
        Ok(Some(Claim {
            run,
            user_id,
            attempt,
            cancel_requested,
            dialects,
            providers,
            offers,
            settings,
            unattended,
            began_elsewhere,
            response_format,
            memories,
        }))
    }

    /// A claim without its person's key was no attempt: when the key is back, the run goes on.
    async fn forget_attempt(&self, lease: Lease) -> Result<(), StorageError> {
        let sql = "UPDATE runs SET attempt = attempt - 1 WHERE id = ?1 AND lease_owner = ?2 AND attempt > 0";
        let statement = Statement::new("forget_attempt", sql, [lease.run_id.into(), lease.owner.into()]);
        self.database.query(statement).await?;
        Ok(())
    }
}
