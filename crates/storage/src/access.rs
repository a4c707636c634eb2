//! What every instance must know to decide about a token: the keys that sign tokens, the installation's own roles, and whose tokens became void
//! lately. One statement, so that an instance can ask often. An instance that executes runs reads the offers of tools with it.

use std::collections::BTreeSet;

use domain::{Id, Timestamp, User};

use crate::{
    Database, Statement, StorageError, Store, Value,
    database::Columns,
    inside_keys::{self, InsideKey},
    limits::{LimitKind, Subject},
    roles::StoredRole,
    signing_keys,
    tool_listings::{BETWEEN_ENTRIES, BETWEEN_NAMES, KeptOffers, kept_rows},
    users::{GROUP_ROLES, ROLE, WITH_GROUPS, columns, identity_counts, read_users},
};

/// Accounts, and sessions, of which an instance remembers that their tokens are void. It reads them all twice a second. If there were more lately, it
/// asks about each older token.
pub const MAX_VOID: usize = 100;

/// Kinds of rows; those of the offers are between these and the first ones.
const INSIDE_KEY: i64 = 20;
const OWN_KEY: i64 = 21;
/// Rows of limits of roles, and the row that says that there are budgets, beside those of [`tool_listings`](crate::tool_listings).
const LIMIT: i64 = 22;
const BUDGET: i64 = 23;
/// The row that says that there are rules about how long conversations are kept.
const RETENTION_RULE: i64 = 24;
/// The row that says that there are webhooks.
const WEBHOOK: i64 = 25;

/// A key that tokens are signed with, without its private half.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    /// `kid`.
    pub id: String,
    /// A JWK.
    pub jwk: String,
}

/// The key with which a component proves that it calls, with its private half.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// `kid`.
    pub id: String,
    /// PEM, as it is stored: [`Store::private_half`] opens it.
    pub private_key: String,
}

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What an instance knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessState {
    /// The database's clock.
    pub now: Timestamp,
    /// The keys, the oldest first.
    pub keys: Vec<PublicKey>,
    /// The installation's own roles.
    pub roles: Vec<StoredRole>,
    /// The rates that are set for roles.
    pub role_limits: Vec<RoleLimit>,
    /// Whether anybody has a budget.
    pub has_budgets: bool,
    /// Whether a rule deletes conversations.
    pub has_retention_rules: bool,
    /// Whether anybody has a webhook.
    pub has_webhooks: bool,
    /// Accounts that changed lately, and the version that their tokens must have.
    pub changed_users: Vec<(Id, i64)>,
    /// Sessions that ended lately.
    pub ended_sessions: Vec<Id>,
    /// More changed than fits here: tokens that were issued before this moment may be void without being named.
    pub incomplete_before: Option<Timestamp>,
    /// The offers of tools, if they were asked for.
    pub offers: KeptOffers,
    /// The keys with which components prove that they call.
    pub inside_keys: Vec<InsideKey>,
    /// The one of the component that asked.
    pub own_key: Option<OwnKey>,
}

/// A rate that is set for a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleLimit {
    /// The role's name.
    pub role: String,
    /// What it limits.
    pub kind: LimitKind,
    /// How many a minute; 0: no limit.
    pub per_minute: u32,
}

/// Whether the offers of tools are read, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offers {
    /// No.
    Unread,
    /// Yes; the list only if it has another version than this.
    Unless(Option<i64>),
}

/// The roles that a person has now. They are read together with what the person wants to do, so they cost no statement of their own.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PersonRoles {
    /// The names of the person's roles, sorted; none if the person is suspended.
    pub names: Vec<String>,
    /// The installation's own roles among them.
    pub custom: Vec<StoredRole>,
}

/// The columns of [`read_roles`]. `user_id` is a parameter or a column.
pub(crate) fn roles_of(user_id: &str) -> String {
    format!(
        "(SELECT string_agg(names, ' ') FROM (
              SELECT {ROLE} AS names FROM users WHERE users.id = {user_id} AND users.suspended_at IS NULL
              UNION ALL SELECT user_groups.roles FROM user_group_members
              JOIN user_groups ON user_groups.id = user_group_members.group_id
              JOIN users ON users.id = user_group_members.user_id
              WHERE user_group_members.user_id = {user_id} AND users.suspended_at IS NULL
              UNION ALL SELECT user_identities.roles FROM user_identities
              JOIN users ON users.id = user_identities.user_id
              WHERE user_identities.user_id = {user_id} AND users.suspended_at IS NULL AND {}
          ) AS roles_of_person),
         (SELECT string_agg(name || '{BETWEEN_NAMES}' || permissions, '{BETWEEN_ENTRIES}') FROM roles)",
        identity_counts!()
    )
}

pub(crate) fn read_roles(columns: &mut Columns<'_>) -> Result<PersonRoles, StorageError> {
    let names = columns.optional_text()?.unwrap_or_default().split_whitespace().map(str::to_owned);
    let names: BTreeSet<String> = names.collect();
    let custom = columns.optional_text()?.unwrap_or_default().split(BETWEEN_ENTRIES);
    let custom = custom.filter_map(|role| role.split_once(BETWEEN_NAMES));
    let custom = custom.filter(|(name, _)| names.contains(*name));
    let custom = custom
        .map(|(name, permissions)| StoredRole { name: name.to_owned(), permissions: permissions.to_owned() })
        .collect();
    Ok(PersonRoles { names: names.into_iter().collect(), custom })
}

impl<D: Database> Store<D> {
    /// The account of a token; `None` if it is suspended or gone, or the token's session has ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn user_of_token(&self, user_id: Id, session_id: Option<Id>) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "user_of_token";
        let sql = format!(
            "SELECT {}, {GROUP_ROLES} FROM users {WITH_GROUPS} WHERE users.id = ?1 AND users.suspended_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.id = ?2 AND sessions.revoked_at IS NOT NULL)",
            columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into(), session_id.into()])).await?;
        Ok(read_users(QUERY, &rows, |_| Ok(()))?.pop().map(|(user, ())| user))
    }

    /// What is known at this moment; of tokens that became void, those of the last `window_ms`. `component` is who asks, and gets its own inside key.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn access_state(
        &self,
        component: &str,
        window_ms: i64,
        offers: Offers,
    ) -> Result<AccessState, StorageError> {
        const QUERY: &str = "access_state";
        let mut parameters = vec![Value::from(window_ms), Value::from(component)];
        let with_offers = match offers {
            Offers::Unread => String::new(),
            Offers::Unless(known_version) => {
                parameters.push(known_version.into());
                format!("UNION ALL {}", kept_rows("?3"))
            }
        };
        // In this order. Numbers as texts, so that all rows are alike.
        let sql = format!(
            "SELECT 0, '', '', now_ms()
             UNION ALL SELECT 1, id, public_key, created_at FROM signing_keys WHERE {}
             UNION ALL SELECT 2, name, permissions, created_at FROM roles
             UNION ALL SELECT 3, changed.id, changed.version, changed.changed_at FROM (
                 SELECT id, CAST(COALESCE(access_version, 0) AS text) AS version, access_changed_at AS changed_at
                 FROM users WHERE access_changed_at > now_ms() - CAST(?1 AS bigint) ORDER BY access_changed_at DESC LIMIT {MAX_VOID}
             ) AS changed
             UNION ALL SELECT 4, ended.id, '', ended.revoked_at FROM (
                 SELECT id, revoked_at FROM sessions WHERE revoked_at > now_ms() - CAST(?1 AS bigint)
                 ORDER BY revoked_at DESC LIMIT {MAX_VOID}
             ) AS ended
             UNION ALL SELECT {INSIDE_KEY}, id, caller || ' ' || public_key, created_at FROM inside_keys WHERE {}
             UNION ALL SELECT {OWN_KEY}, id, private_key, created_at FROM inside_keys WHERE caller = ?2 AND private_key IS NOT NULL
             UNION ALL SELECT {LIMIT}, subject, kind, amount FROM limits
             WHERE subject LIKE 'role:%' AND kind LIKE '%_per_minute'
             UNION ALL SELECT {BUDGET}, '', '', 0 WHERE EXISTS (SELECT 1 FROM budgets)
             UNION ALL SELECT {RETENTION_RULE}, '', '', 0 WHERE EXISTS (SELECT 1 FROM retention_rules WHERE days > 0)
             UNION ALL SELECT {WEBHOOK}, '', '', 0 WHERE EXISTS (SELECT 1 FROM webhooks) {with_offers}",
            signing_keys::VERIFIES,
            inside_keys::VERIFIES,
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let mut offers = KeptOffers::default();
        let mut now = Timestamp::from_millis(0);
        let (mut keys, mut roles) = (Vec::new(), Vec::new());
        let (mut changed_users, mut ended_sessions) = (Vec::new(), Vec::new());
        let (mut inside_keys, mut own_keys) = (Vec::new(), Vec::new());
        let (mut role_limits, mut has_budgets, mut has_retention_rules) = (Vec::new(), false, false);
        let mut has_webhooks = false;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (kind, id, value, at) = (columns.integer()?, columns.text()?, columns.text()?, columns.timestamp()?);
            match kind {
                0 => now = at,
                1 => keys.push((at, PublicKey { id: id.to_owned(), jwk: value.to_owned() })),
                2 => roles.push(StoredRole { name: id.to_owned(), permissions: value.to_owned() }),
                3 => changed_users.push((at, (parsed(QUERY, id)?, parsed(QUERY, value)?))),
                4 => ended_sessions.push((at, parsed(QUERY, id)?)),
                INSIDE_KEY => {
                    let (caller, public_key) = value.split_once(' ').unwrap_or_default();
                    let (id, caller, public_key) = (id.to_owned(), caller.to_owned(), public_key.to_owned());
                    inside_keys.push(InsideKey { id, caller, public_key });
                }
                OWN_KEY => own_keys.push((at, OwnKey { id: id.to_owned(), private_key: value.to_owned() })),
                LIMIT => role_limits.extend(role_limit(id, value, at.as_millis())),
                BUDGET => has_budgets = true,
                RETENTION_RULE => has_retention_rules = true,
                WEBHOOK => has_webhooks = true,
                _ => offers.read(kind, id, value, at.as_millis()),
            }
        }
        keys.sort_by(|(a, left), (b, right)| (a, &left.id).cmp(&(b, &right.id)));
        roles.sort_by(|left, right| left.name.cmp(&right.name));
        let incomplete_before = oldest_if_full(&changed_users).max(oldest_if_full(&ended_sessions));
        Ok(AccessState {
            now,
            keys: without_times(keys),
            roles,
            role_limits,
            has_budgets,
            has_retention_rules,
            has_webhooks,
            changed_users: without_times(changed_users),
            ended_sessions: without_times(ended_sessions),
            incomplete_before,
            offers,
            inside_keys,
            own_key: own_keys
                .into_iter()
                .max_by(|(a, left), (b, right)| (a, &left.id).cmp(&(b, &right.id)))
                .map(|(_, key)| key),
        })
    }
}

fn role_limit(subject: &str, kind: &str, amount: i64) -> Option<RoleLimit> {
    let (Some(Subject::Role(role)), Some(kind)) = (Subject::parse(subject), LimitKind::parse(kind)) else {
        return None;
    };
    Some(RoleLimit { role, kind, per_minute: u32::try_from(amount).unwrap_or(u32::MAX) })
}

fn parsed<T: std::str::FromStr>(query: &'static str, text: &str) -> Result<T, StorageError> {
    text.parse().map_err(|_| StorageError::Row { query, column: 1, expected: "an id and a number" })
}

fn without_times<T>(rows: Vec<(Timestamp, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, row)| row).collect()
}

fn oldest_if_full<T>(rows: &[(Timestamp, T)]) -> Option<Timestamp> {
    let oldest = rows.iter().map(|(at, _)| *at).min();
    oldest.filter(|_| rows.len() >= MAX_VOID)
}
