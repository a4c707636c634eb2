//! Links that administrators hand over: invitations, and links that reset a password. Only hashes of their secrets are kept.

use domain::{Id, Timestamp, User};

use crate::{Database, Row, Statement, StorageError, Store, database::after_page};

/// An invitation to make one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invitation {
    /// Its id.
    pub id: Id,
    /// The role of the account.
    pub role: String,
    /// Who invited.
    pub created_by: Id,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// The account that was made.
    pub accepted_by: Option<Id>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

/// Who makes a link. It counts only while nothing changes about what its maker may do: whoever is suspended or demoted leaves no way back.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// The account.
    pub user_id: Id,
    /// How often the account's access had changed when the maker was found to be allowed.
    pub access_version: i64,
}

impl From<&User> for Maker {
    fn from(user: &User) -> Self {
        Self { user_id: user.id, access_version: user.access_version }
    }
}

/// The SQL condition for a link whose maker may still do what they could when they made it.
pub(crate) fn counts(link: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM users AS maker WHERE maker.id = {link}.created_by AND maker.suspended_at IS NULL
             AND COALESCE(maker.access_version, 0) = {link}.created_version)"
    )
}

/// The SQL condition for a link of an account that may do what it could when the link was made. `waiting` is for the account's row.
fn fits_account(waiting: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM users AS owner WHERE owner.id = password_resets.user_id
             AND COALESCE(owner.access_version, 0) = COALESCE(password_resets.user_version, owner.access_version, 0) {waiting})"
    )
}

const COLUMNS: &str = "id, role, created_by, created_at, expires_at, accepted_at, accepted_by, revoked_at";

fn read(query: &'static str, row: &Row) -> Result<Invitation, StorageError> {
    let mut columns = row.columns(query);
    Ok(Invitation {
        id: columns.id()?,
        role: columns.text()?.to_owned(),
        created_by: columns.id()?,
        created_at: columns.timestamp()?,
        expires_at: columns.timestamp()?,
        accepted_at: columns.optional_integer()?.map(Timestamp::from_millis),
        accepted_by: columns.optional_id()?,
        revoked_at: columns.optional_integer()?.map(Timestamp::from_millis),
    })
}

impl<D: Database> Store<D> {
    /// Invites somebody. `None`: the maker's access has changed meanwhile.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn create_invitation(
        &self,
        token_hash: &str,
        role: &str,
        maker: Maker,
        lifetime_ms: i64,
    ) -> Result<Option<Invitation>, StorageError> {
        const QUERY: &str = "create_invitation";
        let sql = format!(
            "INSERT INTO invitations (id, token_hash, role, created_by, created_version, created_at, expires_at)
             SELECT ?1, ?2, ?3, maker.id, ?6, now_ms(), now_ms() + ?5 FROM users AS maker
             WHERE maker.id = ?4 AND maker.suspended_at IS NULL AND COALESCE(maker.access_version, 0) = ?6
             RETURNING {COLUMNS}"
        );
        let parameters = [
            Id::new().into(),
            token_hash.into(),
            role.into(),
            maker.user_id.into(),
            lifetime_ms.into(),
            maker.access_version.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        rows.first().map(|row| read(QUERY, row)).transpose()
    }

    /// Invitations, the newest first, before the one at which the page before ended.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn invitations(&self, before: Option<Id>, limit: u32) -> Result<Vec<Invitation>, StorageError> {
        const QUERY: &str = "invitations";
        let mut parameters = Vec::new();
        let place = after_page("id", before, &mut parameters);
        let sql = format!("SELECT {COLUMNS} FROM invitations WHERE 1 = 1 {place} ORDER BY id DESC LIMIT {limit}");
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// The invitation with this id.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn invitation(&self, id: Id) -> Result<Option<Invitation>, StorageError> {
        const QUERY: &str = "invitation";
        let sql = format!("SELECT {COLUMNS} FROM invitations WHERE id = ?1");
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        rows.first().map(|row| read(QUERY, row)).transpose()
    }

    /// Withdraws an invitation that nobody has accepted. `false`: there is no such one.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn revoke_invitation(&self, id: Id) -> Result<bool, StorageError> {
        let sql =
            "UPDATE invitations SET revoked_at = COALESCE(revoked_at, now_ms()) WHERE id = ?1 AND accepted_at IS NULL
                   RETURNING id";
        let statement = Statement::new("revoke_invitation", sql, [id.into()]).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Whether an account can be made with this invitation.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn is_invited(&self, token_hash: &str) -> Result<bool, StorageError> {
        let sql = format!(
            "SELECT 1 FROM invitations WHERE token_hash = ?1 AND accepted_at IS NULL AND revoked_at IS NULL
               AND expires_at > now_ms() AND {}",
            counts("invitations")
        );
        Ok(!self.database.query(Statement::new("is_invited", sql, [token_hash.into()])).await?.is_empty())
    }

    /// Lets somebody set a new password for an account that was read as `user`, once, unless its access changes before. When that is over; `None`:
    /// the account is gone, has changed or is a program's, or the maker's access has changed meanwhile.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn create_password_reset(
        &self,
        token_hash: &str,
        user: &User,
        maker: Maker,
        lifetime_ms: i64,
    ) -> Result<Option<Timestamp>, StorageError> {
        const QUERY: &str = "create_password_reset";
        let sql =
            "INSERT INTO password_resets (id, token_hash, user_id, user_version, created_by, created_version, created_at, expires_at)
             SELECT ?1, ?2, users.id, ?7, maker.id, ?6, now_ms(), now_ms() + ?5 FROM users, users AS maker
             WHERE users.id = ?3 AND users.kind IS NULL AND COALESCE(users.access_version, 0) = ?7
               AND maker.id = ?4 AND maker.suspended_at IS NULL AND COALESCE(maker.access_version, 0) = ?6
             RETURNING expires_at";
        let parameters = [
            Id::new().into(),
            token_hash.into(),
            user.id.into(),
            maker.user_id.into(),
            lifetime_ms.into(),
            maker.access_version.into(),
            user.access_version.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        rows.first().map(|row| row.columns(QUERY).timestamp()).transpose()
    }

    /// The address of whoever's password a link resets: the new password must not be it.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn password_reset(&self, token_hash: &str) -> Result<Option<String>, StorageError> {
        const QUERY: &str = "password_reset";
        let sql = format!(
            "SELECT users.email FROM password_resets JOIN users ON users.id = password_resets.user_id
             WHERE token_hash = ?1 AND used_at IS NULL AND expires_at > now_ms() AND {} AND {}",
            counts("password_resets"),
            fits_account("")
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [token_hash.into()])).await?;
        rows.first().map(|row| Ok(row.columns(QUERY).text()?.to_owned())).transpose()
    }

    /// Sets a new password with a link. All links of the account are used up by it, and all its sessions end. `false`: the link does not hold
    /// any more.
    ///
    /// # Errors
    /// As [`Self::create_invitation`].
    pub async fn reset_password(&self, token_hash: &str, password_hash: &str) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO password_changes (token_hash, user_id, password_hash, changed_at)
             SELECT token_hash, user_id, ?2, now_ms() FROM password_resets
             WHERE token_hash = ?1 AND used_at IS NULL AND expires_at > now_ms() AND {} AND {} RETURNING user_id",
            counts("password_resets"),
            fits_account(self.waiting_for_change())
        );
        let statement = Statement::new("reset_password", sql, [token_hash.into(), password_hash.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }
}
