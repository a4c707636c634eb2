//! Accounts: how they are made and found. What administrators do with them is in `accounts.rs`.

use domain::{Id, User};

use crate::{Database, Row, Statement, StorageError, Store, database::Columns, invitations::counts};

/// An account to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// The normalized address.
    pub email: &'a str,
    /// The display name; may be empty.
    pub name: &'a str,
    /// The password's hash as a PHC string.
    pub password_hash: &'a str,
}

/// Why somebody may make an account. The very first account needs no reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening<'a> {
    /// Everybody may.
    Open,
    /// Nobody may any more.
    OnlyFirst,
    /// They were invited: the hash of the invitation's secret.
    Invited(&'a str),
}

impl<'a> Opening<'a> {
    /// Whether only the first may, and the hash of the invitation's secret.
    pub(crate) const fn conditions(self) -> (bool, Option<&'a str>) {
        match self {
            Self::Open => (false, None),
            Self::OnlyFirst => (true, None),
            Self::Invited(hash) => (false, Some(hash)),
        }
    }
}

/// The name of an account's own role. A release before roles knew two, and calls members users.
pub(crate) const ROLE: &str =
    "COALESCE(users.access_role, CASE users.role WHEN 'admin' THEN 'admin' ELSE 'member' END)";

/// Columns of an account, in the order of [`read`], without the roles of its groups.
pub(crate) fn columns() -> String {
    format!(
        "users.id, users.email, users.name, {ROLE}, CASE WHEN users.suspended_at IS NULL THEN 0 ELSE 1 END,
         CASE WHEN EXISTS (SELECT 1 FROM second_factors WHERE second_factors.user_id = users.id) THEN 1 ELSE 0 END,
         COALESCE(users.access_version, 0), users.created_at"
    )
}

/// Whether an identity's roles count: as long as a session that began with it is open. Whoever logs in with a password alone does not have them, and
/// they end when the provider, an administrator or time ends the sessions.
macro_rules! identity_counts {
    () => {
        "EXISTS (SELECT 1 FROM provider_sessions JOIN sessions ON sessions.id = provider_sessions.session_id
             WHERE provider_sessions.issuer = user_identities.issuer AND provider_sessions.subject = user_identities.subject
               AND sessions.user_id = user_identities.user_id AND sessions.revoked_at IS NULL
               AND sessions.expires_at > now_ms())"
    };
}
pub(crate) use identity_counts;

/// The groups of each account, and its identities at providers, whose groups give roles too.
pub(crate) const WITH_GROUPS: &str = concat!(
    "LEFT JOIN user_group_members ON user_group_members.user_id = users.id
    LEFT JOIN user_groups ON user_groups.id = user_group_members.group_id
    LEFT JOIN user_identities ON user_identities.user_id = users.id AND ",
    identity_counts!()
);

/// The roles of a row of [`WITH_GROUPS`], separated by spaces.
pub(crate) const GROUP_ROLES: &str = "COALESCE(user_groups.roles, '') || ' ' || COALESCE(user_identities.roles, '')";

fn read(columns: &mut Columns<'_>) -> Result<User, StorageError> {
    Ok(User {
        id: columns.id()?,
        email: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        role: columns.text()?.to_owned(),
        is_suspended: columns.flag()?,
        has_second_factor: columns.flag()?,
        access_version: columns.integer()?,
        created_at: columns.timestamp()?,
        group_roles: Vec::new(),
    })
}

/// Accounts from rows of [`columns`] and of [`GROUP_ROLES`], or null. `rest` reads what follows.
pub(crate) fn read_users<T>(
    query: &'static str,
    rows: &[Row],
    mut rest: impl FnMut(&mut Columns<'_>) -> Result<T, StorageError>,
) -> Result<Vec<(User, T)>, StorageError> {
    let mut users: Vec<(User, T)> = Vec::new();
    for row in rows {
        let mut columns = row.columns(query);
        let user = read(&mut columns)?;
        let roles = columns.optional_text()?.unwrap_or_default();
        if users.last().is_none_or(|(last, _)| last.id != user.id) {
            users.push((user, rest(&mut columns)?));
        }
        let Some((user, _)) = users.last_mut() else { continue };
        for role in roles.split(' ').filter(|role| !role.is_empty()) {
            if !user.group_roles.iter().any(|known| known == role) {
                user.group_roles.push(role.to_owned());
            }
        }
    }
    for (user, _) in &mut users {
        user.group_roles.sort();
    }
    Ok(users)
}

impl<D: Database> Store<D> {
    /// Makes an account; the very first becomes the administrator, whatever else is said, and who is not invited becomes a member. `None`: the
    /// address is taken, or nothing entitles to an account.
    ///
    /// # Errors
    /// Whatever the database says, as everywhere in this crate.
    pub async fn create_user(&self, user: NewUser<'_>, opening: Opening<'_>) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "open_account";
        let (only_first, invitation_hash) = opening.conditions();
        // On PostgreSQL the trigger decides again, when its turn has come.
        let sql = format!(
            "INSERT INTO account_openings
                 (id, email, name, access_role, password_hash, only_first, invitation_hash, created_at)
             SELECT ?1, ?2, ?3,
                 CASE WHEN NOT EXISTS (SELECT 1 FROM users) THEN 'admin'
                     ELSE COALESCE((SELECT role FROM invitations WHERE token_hash = ?6), 'member') END,
                 ?4, CAST(?5 AS bigint), ?6, now_ms()
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = ?2)
               AND (NOT EXISTS (SELECT 1 FROM users)
                   OR (CAST(?5 AS bigint) = 0 AND (?6 IS NULL OR EXISTS (
                       SELECT 1 FROM invitations WHERE token_hash = ?6 AND accepted_at IS NULL AND revoked_at IS NULL
                           AND expires_at > now_ms() AND {}))))
             RETURNING id, email, name, access_role, 0, 0, 0, created_at",
            counts("invitations")
        );
        let parameters = [
            Id::new().into(),
            user.email.into(),
            user.name.into(),
            user.password_hash.into(),
            only_first.into(),
            invitation_hash.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        rows.first().map(|row: &Row| read(&mut row.columns(QUERY))).transpose()
    }

    /// The account with this address, and its password hash, if it has a password. `older` is the spelling under which an earlier release may have
    /// stored the entered address. An account with exactly that spelling comes first.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn user_by_email(
        &self,
        email: &str,
        older: &str,
    ) -> Result<Option<(User, Option<String>)>, StorageError> {
        const QUERY: &str = "user_by_email";
        let sql = format!(
            "SELECT {}, {GROUP_ROLES}, users.password_hash FROM users {WITH_GROUPS} WHERE users.email IN (?1, ?2)
             ORDER BY CASE WHEN users.email = ?2 THEN 0 ELSE 1 END, users.id",
            columns()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [email.into(), older.into()])).await?;
        let users = read_users(QUERY, &rows, |columns| Ok(columns.optional_text()?.map(str::to_owned)))?;
        Ok(users.into_iter().next())
    }

    /// The account with this id.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn user(&self, id: Id) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "user";
        let sql = format!("SELECT {}, {GROUP_ROLES} FROM users {WITH_GROUPS} WHERE users.id = ?1", columns());
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        Ok(read_users(QUERY, &rows, |_| Ok(()))?.into_iter().next().map(|(user, ())| user))
    }

    /// Whether there is any account.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn has_users(&self) -> Result<bool, StorageError> {
        let rows = self.database.query(Statement::new("has_users", "SELECT 1 FROM users LIMIT 1", [])).await?;
        Ok(!rows.is_empty())
    }
}
