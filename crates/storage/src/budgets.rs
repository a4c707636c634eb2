//! Budgets of tokens and money, by day and by month in UTC, for a person, a group, an API key and the installation (docs/adr/0038).
//!
//! A round of a run reserves before the model is asked, in all budgets that count for it or in none, and is settled with what was used. Triggers keep
//! the sums and end a charge with its run, so nothing stays reserved for a run that is over. What a token costs is not known here.

use domain::{
    Id, Timestamp,
    prices::{MILLIONTHS, Price},
};

use crate::{
    Database, Dialect, Row, Statement, StorageError, Store,
    limits::{LimitKind, Subject},
    runs::Lease,
};

/// A budget, and how much is left of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Whose it is.
    pub subject: Subject,
    /// Tokens or money, of a day or a month.
    pub kind: LimitKind,
    /// How much may be used.
    pub amount: u64,
    /// What is left of it, without what is reserved.
    pub left: u64,
    /// What would be left if nothing were reserved for (other) answers in progress.
    pub left_unreserved: u64,
    /// When that was so, by the database's clock, which also says when the budget renews.
    pub at: Timestamp,
}

impl Budget {
    /// When it begins anew.
    #[must_use]
    pub fn renewed_at(&self) -> Timestamp {
        if self.kind.is_of_day() { self.at.next_day() } else { self.at.next_month() }
    }

    /// For the person: which budget is used up, when it renews, and whom to ask.
    #[must_use]
    pub fn used_up(&self) -> String {
        let renews = match self.kind.is_of_day() {
            true => "at 00:00 UTC",
            false => "on the first of the month, 00:00 UTC",
        };
        format!(
            "Nothing, or too little for this, is left of {}. It renews {renews}. Ask an administrator if you need more.",
            self.named()
        )
    }

    /// For the person: which budget has something left when the answers in progress are done.
    #[must_use]
    pub fn reserved(&self) -> String {
        format!("The rest of {} is reserved for answers in progress. Try again in a moment.", self.named())
    }

    fn named(&self) -> String {
        let period = if self.kind.is_of_day() { "a day" } else { "a month" };
        let amount = match self.kind.is_money() {
            true => format!("{}.{:02}", self.amount / MILLIONTHS, self.amount % MILLIONTHS / 10_000),
            false => format!("{} tokens", self.amount),
        };
        let whose = match self.subject {
            Subject::User(_) => "your budget",
            Subject::Group(_) => "the budget of a group that you are in",
            Subject::Key(_) => "the budget of this API key",
            Subject::Installation | Subject::Role(_) => "the budget of this installation",
        };
        format!("{whose} of {amount} {period}")
    }
}

/// What the next round of a run may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundEstimate {
    /// The request's tokens, as they are estimated.
    pub prompt_tokens: u64,
    /// The most tokens of the answer.
    pub answer_tokens: u64,
    /// What they cost; 0 if it is not known.
    pub price: Price,
}

/// The end of a try to reserve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reservation {
    /// It is reserved, or no budget counts.
    Reserved,
    /// Nothing is reserved: one of these has too little left.
    Short(Vec<Budget>),
    /// The lease does not hold.
    LeaseLost,
}

/// The SQL condition for a row of `budgets` that counts for a person and an API key, both parameters.
pub(crate) fn counts(user_id: &str, api_key_id: &str) -> String {
    format!(
        "(budgets.subject = 'installation' OR budgets.subject = 'user:' || CAST({user_id} AS text)
          OR budgets.subject = 'key:' || CAST({api_key_id} AS text)
          OR budgets.subject IN (SELECT 'group:' || group_id FROM user_group_members WHERE user_group_members.user_id = {user_id}))"
    )
}

/// A budget and what is left, in one text of a list.
pub(crate) const ROOMS: &str =
    "string_agg(subject || ' ' || kind || ' ' || amount || ' ' || room || ' ' || (room + reserved), ',')";

/// The SQL expression for 1 if one of the budgets in a table has too little left for so many tokens, or for what they cost, both parameters; else 0.
pub(crate) fn is_short(tokens: &str, cost: &str, from: &str) -> String {
    format!(
        "COALESCE((SELECT MAX(CASE WHEN room < CASE WHEN kind LIKE 'tokens%' THEN CAST({tokens} AS bigint) ELSE CAST({cost} AS bigint) END
             THEN 1 ELSE 0 END) FROM {from}), 0)"
    )
}

/// Nothing is reserved, because of one of these.
pub(crate) fn short(query: &'static str, rooms: &str, at: Timestamp) -> Result<Reservation, StorageError> {
    let budgets = parsed(rooms, at);
    let is_odd = budgets.len() < rooms.split(',').count();
    // A budget that cannot be read is no budget that has something left.
    if is_odd {
        Err(StorageError::Row { query, column: 0, expected: "budgets" })
    } else {
        Ok(Reservation::Short(budgets))
    }
}

fn parsed(rooms: &str, at: Timestamp) -> Vec<Budget> {
    let budget = |room: &str| {
        let mut words = room.split(' ');
        let (subject, kind) = (Subject::parse(words.next()?)?, LimitKind::parse(words.next()?)?);
        let mut number = || words.next()?.parse::<i64>().ok().map(|number| u64::try_from(number).unwrap_or_default());
        Some(Budget { subject, kind, amount: number()?, left: number()?, left_unreserved: number()?, at })
    };
    rooms.split(',').filter_map(budget).collect()
}

impl<D: Database> Store<D> {
    /// Reserves for the next round of a run, in the place of what it reserved before for the same round.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reserve_budget(&self, lease: Lease, round: RoundEstimate) -> Result<Reservation, StorageError> {
        const QUERY: &str = "reserve_budget";
        let RoundEstimate { prompt_tokens, answer_tokens, price } = round;
        let sql = format!(
            "INSERT INTO budget_reservations (run_id, lease_owner, tokens, cost, prompt_tokens, input_price, output_price, rooms, is_short)
             SELECT runs.id, runs.lease_owner, CAST(?3 AS bigint), CAST(?4 AS bigint), CAST(?5 AS bigint), CAST(?6 AS bigint), CAST(?7 AS bigint),
                 (SELECT {ROOMS} FROM budgets_of_runs WHERE run_id = ?1), {}
             FROM runs WHERE runs.id = ?1 AND runs.lease_owner = ?2 RETURNING rooms, is_short, now_ms()",
            is_short("?3", "?4", "budgets_of_runs WHERE run_id = ?1")
        );
        let parameters = [
            lease.run_id.into(),
            lease.owner.into(),
            prompt_tokens.saturating_add(answer_tokens).into(),
            price.cost(prompt_tokens, answer_tokens).into(),
            prompt_tokens.into(),
            price.input.into(),
            price.output.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        let Some(row) = rows.first() else { return Ok(Reservation::LeaseLost) };
        let mut columns = row.columns(QUERY);
        let rooms = columns.optional_text()?.unwrap_or_default();
        let (is_short, at) = (columns.flag()?, columns.timestamp()?);
        if is_short { short(QUERY, rooms, at) } else { Ok(Reservation::Reserved) }
    }

    /// Settles the round that a run has reserved for, when the model's server reported no tokens: with the estimate of the request if it was
    /// accepted, and with this many tokens of an answer. If nothing is reserved, it does nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn settle_budget(&self, lease: Lease, accepted: bool, answer_tokens: u64) -> Result<(), StorageError> {
        const PROMPT: &str = "(CASE WHEN CAST(?3 AS bigint) = 1 THEN prompt_tokens ELSE 0 END)";
        let tokens = format!("settled_tokens + {PROMPT} + CAST(?4 AS bigint)");
        let cost =
            format!("settled_cost + ({PROMPT} * input_price + CAST(?4 AS bigint) * output_price + 999999) / 1000000");
        // The run is locked before its charge, as when it ends, so that the lease holds until this is committed. SQLite has one writer at a time anyway.
        let lock = if self.database.dialect() == Dialect::Postgres { "FOR SHARE" } else { "" };
        let sql = format!(
            "UPDATE run_charges SET settled_tokens = {tokens}, tokens = {tokens}, settled_cost = {cost}, cost = {cost}
             WHERE run_id = ?1 AND tokens > settled_tokens
               AND EXISTS (SELECT 1 FROM runs WHERE runs.id = ?1 AND runs.lease_owner = ?2 {lock})"
        );
        let parameters = [lease.run_id.into(), lease.owner.into(), i64::from(accepted).into(), answer_tokens.into()];
        self.database.query(Statement::new("settle_budget", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Whether a budget of money counts for a run.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_budget_of_money(&self, run_id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM budgets_of_runs WHERE run_id = ?1 AND kind LIKE 'cost%' LIMIT 1";
        Ok(!self.database.query(Statement::new("has_budget_of_money", sql, [run_id.into()])).await?.is_empty())
    }

    /// The budgets that count for a person and the key that they use, with what is left now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn budgets_of(&self, user_id: Id, api_key_id: Option<Id>) -> Result<Vec<Budget>, StorageError> {
        const QUERY: &str = "budgets_of";
        let sql = format!(
            "SELECT subject, kind, amount, amount - taken, amount - taken + reserved, now_ms() FROM budgets WHERE {}
             ORDER BY subject, kind",
            counts("?1", "?2")
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into(), api_key_id.into()])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }
}

fn read(query: &'static str, row: &Row) -> Result<Budget, StorageError> {
    let mut columns = row.columns(query);
    let amount = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Budget {
        subject: columns.read("whose a budget is", Subject::parse)?,
        kind: columns.read("a kind of limit", LimitKind::parse)?,
        amount: amount(columns.integer()?),
        left: amount(columns.integer()?),
        left_unreserved: amount(columns.integer()?),
        at: columns.timestamp()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_cannot_be_read_lets_nothing_through() {
        let at = Timestamp::from_millis(0);
        let read = |rooms| short("test", rooms, at).map(|reservation| matches!(reservation, Reservation::Short(_)));
        assert_eq!(read("installation tokens_per_day 10 -3 7").ok(), Some(true));
        for odd in [
            "",
            "installation tokens_per_day 10 -9.2e18 7",
            "installation tokens_per_day 10 1 7,user:x cost_per_day 1 1 1",
        ] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }
}
