//! The limits that administrators set, as they are stored. Who is limited by which is decided in `web` (rates) and by [`crate::budgets`].

use std::fmt;

use domain::Id;
use serde_json::{Map, Value as Json};

use crate::{Database, Dialect, Row, Statement, StorageError, Store, api_keys::name_of, sealed_texts::NO_KEY};

/// Whom a limit is for, written `installation`, `role:…`, `user:…`, `group:…` or `key:…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Everybody together.
    Installation,
    /// Each person with this role.
    Role(String),
    /// A person.
    User(Id),
    /// The members of a group together.
    Group(Id),
    /// Whoever uses an API key.
    Key(Id),
}

impl Subject {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "installation" {
            return Some(Self::Installation);
        }
        match text.split_once(':')? {
            ("role", name) if !name.is_empty() => Some(Self::Role(name.to_owned())),
            ("user", id) => id.parse().ok().map(Self::User),
            ("group", id) => id.parse().ok().map(Self::Group),
            ("key", id) => id.parse().ok().map(Self::Key),
            _ => None,
        }
    }

    /// What it is: the word before the name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Role(_) => "role",
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Key(_) => "key",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Installation => f.write_str(kind),
            Self::Role(name) => write!(f, "{kind}:{name}"),
            Self::User(id) | Self::Group(id) | Self::Key(id) => write!(f, "{kind}:{id}"),
        }
    }
}

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
    /// Whom it is for.
    pub subject: Subject,
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
                subject: columns.read("whom a limit is for", Subject::parse)?,
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
            if let (Some(owner), Subject::Key(key)) = (owner, &limit.subject) {
                let opener = openers.get(owner).unwrap_or(&NO_KEY);
                limit.name = opener.open_optional(name_of(&key.to_string()), limit.name.as_deref())?;
            }
        }
        Ok(limits.into_iter().map(|(limit, _)| limit).collect())
    }

    /// Replaces all limits of a subject, if it exists at that moment. `is_built_in`: it is a role that is in no table and stays for ever.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_limits(
        &self,
        subject: &Subject,
        is_built_in: bool,
        limits: &[(LimitKind, u64)],
    ) -> Result<LimitsSet, StorageError> {
        const QUERY: &str = "set_limits";
        let new: Map<String, Json> =
            limits.iter().map(|(kind, amount)| (kind.as_str().to_owned(), Json::from(*amount))).collect();
        let (row, name) = match subject {
            Subject::Role(name) if !is_built_in => ("roles WHERE name", name.clone()),
            Subject::Installation | Subject::Role(_) => ("(SELECT '' AS name) AS always WHERE name", String::new()),
            Subject::User(id) => ("users WHERE id", id.to_string()),
            Subject::Group(id) => ("user_groups WHERE id", id.to_string()),
            Subject::Key(id) => ("api_keys WHERE id", id.to_string()),
        };
        // Who deletes it meanwhile waits, and then deletes these limits too. SQLite has one writer at a time anyway.
        let is_locked = self.database.dialect() == Dialect::Postgres && !name.is_empty();
        let lock = if is_locked { "FOR KEY SHARE" } else { "" };
        let exists = format!("EXISTS (SELECT 1 FROM {row} = ?3 {lock})");
        let sql = format!(
            "INSERT INTO limit_replacements (subject, limits, former) SELECT ?1, ?2, {BEFORE}
             WHERE {exists} AND (SELECT COUNT(*) FROM limits WHERE subject <> ?1) + {} <= {MAX_LIMITS} RETURNING former",
            limits.len()
        );
        let parameters = [subject.to_string().into(), Json::Object(new).to_string().into(), name.as_str().into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        if let Some(row) = rows.first() {
            let before = row.columns(QUERY).optional_text()?.unwrap_or_default().to_owned();
            return Ok(LimitsSet::Set { before });
        }
        let sql = format!("SELECT 1 WHERE EXISTS (SELECT 1 FROM {row} = ?1)");
        let there = self.database.query(Statement::new("limited_exists", sql, [name.as_str().into()])).await?;
        Ok(if there.is_empty() { LimitsSet::NoSubject } else { LimitsSet::TooMany })
    }
}

/// The limits of subject ?1 in one text.
const BEFORE: &str = "(SELECT string_agg(kind || '=' || amount, ' ')
    FROM (SELECT kind, amount FROM limits WHERE subject = ?1 ORDER BY kind) AS sorted)";

/// What came of setting limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LimitsSet {
    /// They are set.
    Set {
        /// Those that were there before, such as `tokens_per_day=1000 tokens_per_month=9000`; empty if there were none.
        before: String,
    },
    /// There is no such role, person, group or key.
    NoSubject,
    /// There are [`MAX_LIMITS`] already.
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_limit_is_for_is_read_as_it_is_written() {
        let id = Id::new();
        for text in ["installation".to_owned(), "role:member".to_owned(), format!("user:{id}"), format!("key:{id}")] {
            assert_eq!(Subject::parse(&text).map(|subject| subject.to_string()), Some(text));
        }
        for wrong in ["", "role:", "installation:x", "user:x", "nobody:x", "group"] {
            assert_eq!(Subject::parse(wrong), None, "{wrong}");
        }
    }
}
