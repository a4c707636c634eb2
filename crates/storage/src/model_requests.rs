//! Requests of programs to models (docs/adr/0048): each takes from its limits and reserves in its budgets when it begins, and is settled with what it used
//! when it ends. Must not know what was said.

use domain::{Cost, Id};

use crate::{
    Database, Statement, StorageError, Store, Value,
    budgets::{self, ROOMS, Reservation, RoundEstimate},
    rate_limits::{Asked, Bucket, Quota, RETRY_AFTER_US, STATES, asked, quotas},
};

/// A request that is to begin.
#[derive(Clone, Copy, Debug)]
pub struct NewModelRequest<'a> {
    /// Its id.
    pub id: Id,
    /// Who sends it.
    pub user_id: Id,
    /// The API key that it came with, if it came with one: its budget counts too.
    pub api_key_id: Option<Id>,
    /// `chat_completions`, `responses` or `embeddings`.
    pub api: &'a str,
    /// The model.
    pub model: &'a str,
    /// The limits that it takes from.
    pub limits: &'a [Bucket],
    /// What it reserves.
    pub estimate: RoundEstimate,
}

/// What came of beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begun {
    /// Whether it has reserved. If it has not, or if a limit is reached, it has not begun.
    pub reservation: Reservation,
    /// Whether any budget counts for it.
    pub has_budgets: bool,
    /// What is left of each limit. One that is reached says how long to wait.
    pub left: Vec<Quota>,
}

/// What a request used.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ModelRequestUsage {
    /// Who answered; `None`: nobody did.
    pub provider: Option<String>,
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// The provider did not say the tokens.
    pub is_estimated: bool,
    /// What they cost, if it is known.
    pub cost: Option<Cost>,
}

impl<D: Database> Store<D> {
    /// Begins a request: takes from all limits, reserves in all budgets, and stores it; or does nothing of these.
    ///
    /// # Errors
    /// Those of the database. If its answer was lost, it is unknown whether the request began;
    /// [`Self::settle_model_request`] ends it then, and does nothing to one that is not there.
    pub async fn begin_model_request(&self, new: &NewModelRequest<'_>) -> Result<Begun, StorageError> {
        const QUERY: &str = "begin_model_request";
        let RoundEstimate { prompt_tokens, answer_tokens, price } = new.estimate;
        let mut parameters: Vec<Value> = vec![
            new.id.into(),
            new.user_id.into(),
            new.api_key_id.into(),
            new.api.into(),
            new.model.into(),
            prompt_tokens.saturating_add(answer_tokens).into(),
            price.cost(prompt_tokens, answer_tokens).into(),
        ];
        let Asked { table, parameters: more, limits } = asked(new.limits, parameters.len() + 1);
        parameters.push(limits);
        parameters.extend(more);
        let sql = format!(
            "WITH {table}, counting AS (
                 SELECT subject, kind, amount, amount - taken AS room, reserved FROM budgets WHERE {})
             INSERT INTO model_request_beginnings (id, user_id, api_key_id, api, model, tokens, cost, created_at, limits, now_us, retry_after_us,
                 states, rooms, is_short)
             SELECT CAST(?1 AS text), CAST(?2 AS text), CAST(?3 AS text), CAST(?4 AS text), CAST(?5 AS text), CAST(?6 AS bigint),
                 CAST(?7 AS bigint), now_ms(), CAST(?8 AS text), now_ms() * 1000, {RETRY_AFTER_US}, {STATES}, (SELECT {ROOMS} FROM counting), {}
             RETURNING states, rooms, is_short, created_at",
            budgets::counts("?2", "?3"),
            budgets::is_short("?6", "?7", "counting")
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let row = rows.first().ok_or(StorageError::Row { query: QUERY, column: 0, expected: "a row" })?;
        let mut columns = row.columns(QUERY);
        let left = quotas(new.limits, columns.optional_text()?.unwrap_or_default());
        let rooms = columns.optional_text()?.unwrap_or_default();
        let (is_short, at) = (columns.flag()?, columns.timestamp()?);
        let reservation = if is_short { budgets::short(QUERY, rooms, at)? } else { Reservation::Reserved };
        Ok(Begun { reservation, has_budgets: !rooms.is_empty(), left })
    }

    /// Ends a request with what it used. One that has ended stays as it is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn settle_model_request(
        &self,
        user_id: Id,
        id: Id,
        usage: &ModelRequestUsage,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE model_requests SET provider = ?3, prompt_tokens = CAST(?4 AS bigint), completion_tokens = CAST(?5 AS bigint),
                 is_estimated = CAST(?6 AS bigint), cost = CAST(?7 AS bigint), currency = ?8, ended_at = now_ms()
             WHERE id = ?1 AND user_id = ?2 AND ended_at IS NULL";
        let cost = usage.cost.as_ref();
        let parameters: [Value; 8] = [
            id.into(),
            user_id.into(),
            usage.provider.as_deref().into(),
            usage.prompt_tokens.into(),
            usage.completion_tokens.into(),
            i64::from(usage.is_estimated).into(),
            cost.map(|cost| cost.millionths).into(),
            cost.map(|cost| cost.currency.as_str()).into(),
        ];
        self.database.query(Statement::new("settle_model_request", sql, parameters).repeatably()).await?;
        Ok(())
    }
}
