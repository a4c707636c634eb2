//! How much each person used, added up from their runs and the record of their tool calls.

use domain::{Id, Timestamp, prices::Price};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::{Columns, after_page},
};

/// What somebody used in a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonUsage {
    /// Their account.
    pub user_id: Id,
    /// Its address.
    pub email: String,
    /// How many runs they started.
    pub runs: u64,
    /// What each model used for them.
    pub models: Vec<ModelUsage>,
    /// Tool calls that were recorded for them, also those that were refused.
    pub tool_calls: u64,
}

/// What a model used for somebody, as its server reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelUsage {
    /// The model.
    pub model: String,
    /// Tokens that it read.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
    /// What the runs cost that know it, in millionths of the currency.
    pub cost: u64,
    /// Of the others, the tokens that the model read and wrote.
    pub uncosted: (u64, u64),
}

impl ModelUsage {
    /// What it cost, in millionths of the currency, where the model has this price today; and the tokens of which nobody knows what they cost.
    #[must_use]
    pub fn cost_at(&self, price: Option<Price>) -> (u64, u64) {
        let (read, written) = self.uncosted;
        match price {
            Some(price) => (self.cost.saturating_add(price.cost(read, written)), 0),
            None => (self.cost, read.saturating_add(written)),
        }
    }
}

impl<D: Database> Store<D> {
    /// What each person used since a moment, the newest accounts first, before the one at which the page before ended. Reads the runs
    /// of the people on the page.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn usage(
        &self,
        since: Timestamp,
        before: Option<Id>,
        limit: u32,
    ) -> Result<Vec<PersonUsage>, StorageError> {
        let mut parameters = vec![since.as_millis().into(), first_run(since).into()];
        let place = after_page("id", before, &mut parameters);
        self.usage_where(&format!("1 = 1 {place} ORDER BY id DESC LIMIT {limit}"), parameters).await
    }

    /// What one person used since a moment. `None`: the account is gone.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn usage_of(&self, user_id: Id, since: Timestamp) -> Result<Option<PersonUsage>, StorageError> {
        let parameters = vec![since.as_millis().into(), first_run(since).into(), user_id.into()];
        Ok(self.usage_where("id = ?3", parameters).await?.into_iter().next())
    }

    /// What one person used since each of these moments, by model; the first must be the earliest.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn spent_by(
        &self,
        user_id: Id,
        since: [Timestamp; 2],
        currency: &str,
    ) -> Result<[Vec<ModelUsage>; 2], StorageError> {
        const QUERY: &str = "spent_by";
        // What is not known in this currency counts at today's prices, as where the cost is not known at all.
        let known = "runs.cost IS NOT NULL AND runs.currency = ?4";
        let sums = |within: &str| {
            let sum = |column: &str, condition: &str| {
                format!("CAST(COALESCE(SUM(CASE WHEN {within} AND {condition} THEN runs.{column} END), 0) AS bigint)")
            };
            [
                sum("prompt_tokens", "1 = 1"),
                sum("completion_tokens", "1 = 1"),
                sum("cost", known),
                sum("prompt_tokens", &format!("NOT ({known})")),
                sum("completion_tokens", &format!("NOT ({known})")),
            ]
            .join(", ")
        };
        let sql = format!(
            "SELECT runs.model, {}, {} FROM runs WHERE runs.user_id = ?1 AND runs.id >= ?5 AND runs.created_at >= ?2
             GROUP BY runs.model ORDER BY runs.model",
            sums("1 = 1"),
            sums("runs.created_at >= ?3")
        );
        let [first, second] = since;
        let parameters = [
            user_id.into(),
            first.as_millis().into(),
            second.as_millis().into(),
            currency.into(),
            first_run(first).into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let (mut longer, mut shorter) = (Vec::new(), Vec::new());
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let model = columns.text()?.to_owned();
            longer.push(read_model(&mut columns, model.clone())?);
            shorter.push(read_model(&mut columns, model)?);
        }
        Ok([longer, shorter])
    }

    async fn usage_where(&self, which: &str, parameters: Vec<Value>) -> Result<Vec<PersonUsage>, StorageError> {
        const QUERY: &str = "usage";
        // A call has a row more when its person is asked, or when it begins without a run.
        let sql = format!(
            "SELECT page.id, page.email, runs.model, COUNT(runs.id), CAST(COALESCE(SUM(runs.prompt_tokens), 0) AS bigint),
                 CAST(COALESCE(SUM(runs.completion_tokens), 0) AS bigint), CAST(COALESCE(SUM(runs.cost), 0) AS bigint),
                 CAST(COALESCE(SUM(CASE WHEN runs.cost IS NULL THEN runs.prompt_tokens END), 0) AS bigint),
                 CAST(COALESCE(SUM(CASE WHEN runs.cost IS NULL THEN runs.completion_tokens END), 0) AS bigint),
                 (SELECT COUNT(*) FROM audit_events WHERE audit_events.user_id = page.id AND audit_events.at >= ?1
                     AND audit_events.action = 'tool.call'
                     AND audit_events.outcome NOT IN ('approval_asked', 'begun'))
             FROM (SELECT id, email FROM users WHERE {which}) AS page
             LEFT JOIN runs ON runs.user_id = page.id AND runs.id >= ?2 AND runs.created_at >= ?1
             GROUP BY page.id, page.email, runs.model ORDER BY page.id DESC, runs.model"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let mut people: Vec<PersonUsage> = Vec::new();
        for row in &rows {
            let usage = read(QUERY, row)?;
            match people.last_mut().filter(|person| person.user_id == usage.user_id) {
                Some(person) => {
                    person.runs += usage.runs;
                    person.models.extend(usage.models);
                }
                None => people.push(usage),
            }
        }
        Ok(people)
    }
}

/// Runs are found by their ids, which begin with the time of the host that made them. Hosts' clocks are no further apart than this.
const CLOCKS_APART_MS: i64 = 24 * 60 * 60 * 1000;

fn first_run(since: Timestamp) -> Id {
    Id::first_of(Timestamp::from_millis(since.as_millis().saturating_sub(CLOCKS_APART_MS)))
}

fn read_model(columns: &mut Columns<'_>, model: String) -> Result<ModelUsage, StorageError> {
    let mut count = || columns.integer().map(|number| u64::try_from(number).unwrap_or_default());
    let (prompt_tokens, completion_tokens, cost) = (count()?, count()?, count()?);
    Ok(ModelUsage { model, prompt_tokens, completion_tokens, cost, uncosted: (count()?, count()?) })
}

/// A person with one of their models.
fn read(query: &'static str, row: &Row) -> Result<PersonUsage, StorageError> {
    let mut columns = row.columns(query);
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let (user_id, email) = (columns.id()?, columns.text()?.to_owned());
    let (model, runs) = (columns.optional_text()?.map(str::to_owned), count(columns.integer()?));
    let usage = read_model(&mut columns, model.clone().unwrap_or_default())?;
    let models = model.map(|_| usage).into_iter().collect();
    Ok(PersonUsage { user_id, email, runs, models, tool_calls: count(columns.integer()?) })
}
