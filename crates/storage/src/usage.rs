//! How much each person used, added up from their runs, the requests of their programs to models, and the record of their tool calls.

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
    /// What each model used in their runs.
    pub models: Vec<ModelUsage>,
    /// How many requests their programs sent to models.
    pub model_requests: u64,
    /// What each model used in these.
    pub programs: Vec<ModelUsage>,
    /// Tool calls that were recorded for them, also those that were refused.
    pub tool_calls: u64,
}

/// What a model used for somebody, as its server reported it; in requests of programs also as it was estimated, where the server did not say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelUsage {
    /// The model.
    pub model: String,
    /// Tokens that it read.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
    /// What those cost that know it, in millionths of the currency.
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

    /// What one person and their programs used since each of these moments, by model; the first must be the earliest.
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
        let known = "used.cost IS NOT NULL AND used.currency = ?4";
        let sums = |within: &str| {
            let sum = |column: &str, condition: &str| {
                format!("CAST(COALESCE(SUM(CASE WHEN {within} AND {condition} THEN used.{column} END), 0) AS bigint)")
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
        let of = |table: &str| {
            format!(
                "SELECT model, prompt_tokens, completion_tokens, cost, currency, created_at FROM {table}
                 WHERE user_id = ?1 AND id >= ?5 AND created_at >= ?2"
            )
        };
        let sql = format!(
            "SELECT used.model, {}, {} FROM ({} UNION ALL {}) AS used GROUP BY used.model ORDER BY used.model",
            sums("1 = 1"),
            sums("used.created_at >= ?3"),
            of("runs"),
            of("model_requests")
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
        // A call has a row more when its person is asked, or when it begins without a run.
        const TOOL_CALLS: &str =
            "(SELECT COUNT(*) FROM audit_events WHERE audit_events.user_id = page.id AND audit_events.at >= ?1
            AND audit_events.action = 'tool.call' AND audit_events.outcome NOT IN ('approval_asked', 'begun'))";
        let mut people: Vec<PersonUsage> = Vec::new();
        for row in self.used_in("usage", "runs", TOOL_CALLS, which, parameters.clone()).await? {
            match people.last_mut().filter(|person| person.user_id == row.user_id) {
                Some(person) => {
                    person.runs += row.times;
                    person.models.extend(row.model);
                }
                None => people.push(PersonUsage {
                    user_id: row.user_id,
                    email: row.email,
                    runs: row.times,
                    models: row.model.into_iter().collect(),
                    model_requests: 0,
                    programs: Vec::new(),
                    tool_calls: row.tool_calls,
                }),
            }
        }
        // The same people again, in the same order.
        let mut rows =
            self.used_in("usage_of_programs", "model_requests", "0", which, parameters).await?.into_iter().peekable();
        for person in &mut people {
            while let Some(row) = rows.next_if(|row| row.user_id >= person.user_id) {
                if row.user_id == person.user_id {
                    person.model_requests += row.times;
                    person.programs.extend(row.model);
                }
            }
        }
        Ok(people)
    }

    /// What some people used in each model, by the rows of a table, which is `runs` or has the same columns.
    async fn used_in(
        &self,
        query: &'static str,
        table: &str,
        tool_calls: &str,
        which: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<UsageRow>, StorageError> {
        let sql = format!(
            "SELECT page.id, page.email, used.model, COUNT(used.id), CAST(COALESCE(SUM(used.prompt_tokens), 0) AS bigint),
                 CAST(COALESCE(SUM(used.completion_tokens), 0) AS bigint), CAST(COALESCE(SUM(used.cost), 0) AS bigint),
                 CAST(COALESCE(SUM(CASE WHEN used.cost IS NULL THEN used.prompt_tokens END), 0) AS bigint),
                 CAST(COALESCE(SUM(CASE WHEN used.cost IS NULL THEN used.completion_tokens END), 0) AS bigint), {tool_calls}
             FROM (SELECT id, email FROM users WHERE {which}) AS page
             LEFT JOIN {table} AS used ON used.user_id = page.id AND used.id >= ?2 AND used.created_at >= ?1
             GROUP BY page.id, page.email, used.model ORDER BY page.id DESC, used.model"
        );
        let rows = self.database.query(Statement::new(query, sql, parameters)).await?;
        rows.iter().map(|row| read(query, row)).collect()
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
struct UsageRow {
    user_id: Id,
    email: String,
    times: u64,
    model: Option<ModelUsage>,
    tool_calls: u64,
}

fn read(query: &'static str, row: &Row) -> Result<UsageRow, StorageError> {
    let mut columns = row.columns(query);
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let (user_id, email) = (columns.id()?, columns.text()?.to_owned());
    let (model, times) = (columns.optional_text()?.map(str::to_owned), count(columns.integer()?));
    let usage = read_model(&mut columns, model.clone().unwrap_or_default())?;
    Ok(UsageRow { user_id, email, times, model: model.map(|_| usage), tool_calls: count(columns.integer()?) })
}
