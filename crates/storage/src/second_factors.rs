//! Second factors: the sealed secret that a person's app makes codes from, and recovery codes. Nothing is opened, and no code is checked here; that each
//! counts once is decided here.

use domain::{Id, Timestamp, User};
use serde_json::Value;

use crate::{Database, Row, Statement, StorageError, Store};

/// The name that its secret is sealed under, for no server ([`crate::secrets`]).
pub const SECRET: &str = "second_factor";

/// An account's second factor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecondFactor {
    /// The sealed secret.
    pub sealed: String,
    /// When it was set up.
    pub created_at: Timestamp,
    /// Recovery codes that were not used.
    pub recovery_codes_left: i64,
    /// The database's clock, by which codes are checked.
    pub now: Timestamp,
}

/// A second factor that is set up: a code of it was right.
#[derive(Clone, Copy, Debug)]
pub struct NewSecondFactor<'a> {
    /// The sealed secret.
    pub sealed: &'a str,
    /// The step of the code, which does not count again.
    pub step: i64,
    /// The hashes of the recovery codes.
    pub recovery_hashes: &'a [String],
    /// Only if the account has none: whoever sets it up has shown nothing but the password.
    pub only_first: bool,
    /// The session in which it is set up. All others end.
    pub kept_session: Option<Id>,
}

impl<D: Database> Store<D> {
    /// An account's second factor.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn second_factor(&self, user_id: Id) -> Result<Option<SecondFactor>, StorageError> {
        const QUERY: &str = "second_factor";
        let sql = "SELECT sealed, created_at,
                 (SELECT COUNT(*) FROM recovery_codes WHERE recovery_codes.user_id = ?1 AND used_at IS NULL), now_ms()
             FROM second_factors WHERE user_id = ?1";
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok(SecondFactor {
                sealed: columns.text()?.to_owned(),
                created_at: columns.timestamp()?,
                recovery_codes_left: columns.integer()?,
                now: columns.timestamp()?,
            })
        };
        rows.first().map(read).transpose()
    }

    /// Uses the code of a step, of a second factor that was read: the one that was set up at this time. `false`: a code of this step or a later one was
    /// used before, or it was replaced. That its secret was sealed anew meanwhile changes nothing.
    ///
    /// # Errors
    /// As [`Self::second_factor`]. If its answer was lost, the code may be used.
    pub async fn use_code(&self, user_id: Id, created_at: Timestamp, step: i64) -> Result<bool, StorageError> {
        let sql = "UPDATE second_factors SET last_step = ?3 WHERE user_id = ?1 AND created_at = ?2 AND last_step < ?3
             RETURNING user_id";
        let parameters = [user_id.into(), created_at.as_millis().into(), step.into()];
        Ok(!self.database.query(Statement::new("use_code", sql, parameters).durably()).await?.is_empty())
    }

    /// Uses a recovery code. `false`: the account has no such code, or it was used before.
    ///
    /// # Errors
    /// As [`Self::use_code`].
    pub async fn use_recovery_code(&self, user_id: Id, hash: &str) -> Result<bool, StorageError> {
        let sql =
            "UPDATE recovery_codes SET used_at = now_ms() WHERE user_id = ?1 AND code_hash = ?2 AND used_at IS NULL
             RETURNING user_id";
        let statement = Statement::new("use_recovery_code", sql, [user_id.into(), hash.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Sets up a second factor for an account that was read as `user`, instead of the one before, and records it. All sessions but one end, tokens
    /// that were made before are void, and if it had none, its API keys are deleted. `false`: the account has changed since, or has a second factor already and must not.
    ///
    /// # Errors
    /// As [`Self::second_factor`].
    pub async fn set_second_factor(&self, user: &User, new: NewSecondFactor<'_>) -> Result<bool, StorageError> {
        let NewSecondFactor { sealed, step, recovery_hashes, only_first, kept_session } = new;
        let sql = "INSERT INTO second_factor_changes
                 (user_id, access_version, sealed, last_step, is_first, recovery_hashes, kept_session, audit_id, changed_at)
             SELECT users.id, ?2, ?3, ?4,
                 CASE WHEN EXISTS (SELECT 1 FROM second_factors WHERE second_factors.user_id = users.id) THEN 0 ELSE 1 END,
                 ?5, ?7, ?8, now_ms() FROM users
             WHERE users.id = ?1 AND COALESCE(users.access_version, 0) = ?2 AND users.suspended_at IS NULL
               AND (CAST(?6 AS bigint) = 0 OR NOT EXISTS (SELECT 1 FROM second_factors WHERE second_factors.user_id = users.id))
             RETURNING user_id";
        let parameters = [
            user.id.into(),
            user.access_version.into(),
            sealed.into(),
            step.into(),
            array(recovery_hashes).into(),
            only_first.into(),
            kept_session.into(),
            Id::new().into(),
        ];
        let statement = Statement::new("set_second_factor", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Gives an account that was read as `user` new recovery codes instead of all it had, and records it. `false`: it has changed since, or has no second factor.
    ///
    /// # Errors
    /// As [`Self::second_factor`].
    pub async fn renew_recovery_codes(&self, user: &User, hashes: &[String]) -> Result<bool, StorageError> {
        let sql = "INSERT INTO second_factor_changes (user_id, access_version, recovery_hashes, audit_id, changed_at)
             SELECT users.id, ?2, ?3, ?4, now_ms() FROM users JOIN second_factors ON second_factors.user_id = users.id
             WHERE users.id = ?1 AND COALESCE(users.access_version, 0) = ?2 RETURNING user_id";
        let parameters = [user.id.into(), user.access_version.into(), array(hashes).into(), Id::new().into()];
        let statement = Statement::new("renew_recovery_codes", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Takes an account's second factor away, and with `ends_sessions` ends its sessions and deletes its API keys. Tokens that were made before are void. `false`: it has none.
    ///
    /// # Errors
    /// As [`Self::second_factor`].
    pub async fn remove_second_factor(&self, user_id: Id, ends_sessions: bool) -> Result<bool, StorageError> {
        let sql = "INSERT INTO second_factor_removals (user_id, ends_sessions, removed_at)
             SELECT user_id, CAST(?2 AS bigint), now_ms() FROM second_factors WHERE user_id = ?1 RETURNING user_id";
        let statement = Statement::new("remove_second_factor", sql, [user_id.into(), ends_sessions.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }
}

fn array(texts: &[String]) -> String {
    Value::from(texts).to_string()
}
