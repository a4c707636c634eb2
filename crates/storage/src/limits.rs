//! The limits that administrators set, as they are stored. Who is limited by which is decided in `web` (rates) and by [`crate::budgets`].

use domain::Id;
use serde_json::{Map, Value as Json};

use crate::{Database, Row, Statement, StorageError, Store, api_keys::name_of, sealed_texts::NO_KEY};

/// What a limit limits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LimitKind {
    /// Requests of a person in a minute, in all sessions.
    PersonRequests,
    /// Requests of a session, or of an API key, in a minute.
    SessionRequests,
    /// Tool calls of a person in a minute.
    ToolCalls,
    /// Calls of a person in a minute of one tool that may change something.
    ToolChanges,
    /// Tokens in a day.
    TokensPerDay,
    /// Tokens in a month.
    TokensPerMonth,
    /// Money in a day, in millionths of the currency.
    CostPerDay,
    /// Money in a month, likewise.
    CostPerMonth,
}

impl LimitKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PersonRequests,
        Self::SessionRequests,
        Self::ToolCalls,
        Self::ToolChanges,
        Self::TokensPerDay,
        Self::TokensPerMonth,
        Self::CostPerDay,
        Self::CostPerMonth,
    ];

    /// The name as it is stored and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PersonRequests => "person_requests_per_minute",
            Self::SessionRequests => "session_requests_per_minute",
            Self::ToolCalls => "tool_calls_per_minute",
            Self::ToolChanges => "tool_changes_per_minute",
            Self::TokensPerDay => "tokens_per_day",
            Self::TokensPerMonth => "tokens_per_month",
            Self::CostPerDay => "cost_per_day",
            Self::CostPerMonth => "cost_per_month",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it is a budget of a day or a month, and not a rate.
    #[must_use]
    pub const fn is_budget(self) -> bool {
        matches!(self, Self::TokensPerDay | Self::TokensPerMonth | Self::CostPerDay | Self::CostPerMonth)
    }

    /// Whether it is a budget of a day.
    #[must_use]
    pub const fn is_of_day(self) -> bool {
        matches!(self, Self::TokensPerDay | Self::CostPerDay)
    }

    /// Whether it is a budget of money.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self, Self::CostPerDay | Self::CostPerMonth)
    }
}

/// A limit, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredLimit {
    /// `installation`, or `role:`, `user:`, `group:` or `key:` and a name or an id.
    pub subject: String,
    /// Its name for people: a role's, a group's or a key's name, or an address. `None`: the installation, or it is gone.
    pub name: Option<String>,
    /// What it limits.
    pub kind: LimitKind,
    /// How much. Of a rate, 0 means no limit; of a budget, nothing.
    pub amount: u64,
    /// Of a budget, what is taken of it in its present day or month: what was used, and what is reserved for answers that are being written.
    pub taken: Option<u64>,
}

/// Limits on a page. There are a few for each role, group, key and person that has any.
pub const MAX_LIMITS: usize = 1_000;

impl<D: Database> Store<D> {
    /// All limits that are set, at most [`MAX_LIMITS`], by subject.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn limits(&self) -> Result<Vec<StoredLimit>, StorageError> {
        const QUERY: &str = "limits";
        let sql = format!(
            "SELECT limits.subject, CASE
                     WHEN limits.subject LIKE 'role:%' THEN substr(limits.subject, 6)
                     WHEN limits.subject LIKE 'user:%' THEN (SELECT email FROM users WHERE id = substr(limits.subject, 6))
                     WHEN limits.subject LIKE 'group:%' THEN (SELECT name FROM user_groups WHERE id = substr(limits.subject, 7))
                     WHEN limits.subject LIKE 'key:%' THEN api_keys.name
                 END, limits.kind, limits.amount, budgets.taken, api_keys.user_id FROM limits
             LEFT JOIN api_keys ON limits.subject LIKE 'key:%' AND api_keys.id = substr(limits.subject, 5)
             LEFT JOIN budgets ON budgets.subject = limits.subject AND budgets.kind = limits.kind
             ORDER BY limits.subject, limits.kind LIMIT {MAX_LIMITS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            let limit = StoredLimit {
                subject: columns.text()?.to_owned(),
                name: columns.optional_text()?.map(str::to_owned),
                kind: columns.read("a kind of limit", LimitKind::parse)?,
                amount: u64::try_from(columns.integer()?).unwrap_or_default(),
                taken: columns.optional_integer()?.map(|taken| u64::try_from(taken).unwrap_or_default()),
            };
            Ok((limit, columns.optional_id()?))
        };
        let mut limits = rows.iter().map(read).collect::<Result<Vec<(StoredLimit, Option<Id>)>, StorageError>>()?;
        let openers = self.openers(limits.iter().filter_map(|(_, owner)| *owner), &rows).await?;
        for (limit, owner) in &mut limits {
            if let (Some(owner), Some(key)) = (owner, limit.subject.strip_prefix("key:")) {
                let opener = openers.get(owner).unwrap_or(&NO_KEY);
                limit.name = opener.open_optional(name_of(key), limit.name.as_deref())?;
            }
        }
        Ok(limits.into_iter().map(|(limit, _)| limit).collect())
    }

    /// Replaces all limits of a subject. `false`: there are [`MAX_LIMITS`] already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_limits(&self, subject: &str, limits: &[(LimitKind, u64)]) -> Result<bool, StorageError> {
        let limits: Map<String, Json> =
            limits.iter().map(|(kind, amount)| (kind.as_str().to_owned(), Json::from(*amount))).collect();
        let sql = format!(
            "INSERT INTO limit_changes (subject, limits) SELECT ?1, ?2
             WHERE (SELECT COUNT(*) FROM limits WHERE subject <> ?1) + {} <= {MAX_LIMITS} RETURNING subject",
            limits.len()
        );
        let parameters = [subject.into(), Json::Object(limits).to_string().into()];
        let statement = Statement::new("set_limits", sql, parameters).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Whether there is an API key with this id, whosever it is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn api_key_exists(&self, key_id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM api_keys WHERE id = ?1";
        Ok(!self.database.query(Statement::new("api_key_exists", sql, [key_id.into()])).await?.is_empty())
    }
}
