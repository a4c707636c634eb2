//! The keys with which components prove to each other who calls (`crates/inside-token`). Each caller has a key pair of its own; everybody reads the
//! public halves, and each caller only its own private half.

use domain::{Id, Timestamp};

use vault::Place;

use crate::{
    Database, Statement, StorageError, Store,
    access::OwnKey,
    installation_secrets::{OwnSecret, stored_secret},
    keys::KeyRotation,
};

/// How long a replaced key verifies: longer than its tokens live, and than instances use what they have read.
pub const OVERLAP_MS: i64 = 60 * 1000;

/// Of two revocations within this time, the second is a repetition of the first.
const REPETITION_MS: i64 = 10 * 1000;

/// How long administrators see a key that was replaced: a day.
const KEPT_ENDED_MS: i64 = 24 * 60 * 60 * 1000;

/// A caller's key, without its private half.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InsideKey {
    /// `kid`.
    pub id: String,
    /// The component that signs with it, as `spin.toml` names it.
    pub caller: String,
    /// The public key.
    pub public_key: String,
}

/// A new key pair of a caller.
#[derive(Clone)]
pub struct NewInsideKey {
    /// The key.
    pub key: InsideKey,
    /// Its private half.
    pub private_key: String,
}

impl std::fmt::Debug for NewInsideKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewInsideKey").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<D: Database> Store<D> {
    /// Stores a caller's key, unless it has one: another instance may have stored one first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_inside_key(&self, new: &NewInsideKey) -> Result<(), StorageError> {
        let sql = format!(
            "INSERT INTO inside_keys (id, caller, public_key, private_key, created_at) VALUES (?1, ?2, ?3, {}, now_ms())
             ON CONFLICT DO NOTHING",
            stored_secret("?4", "?5")
        );
        let InsideKey { id, caller, public_key } = &new.key;
        let OwnSecret { plain, sealed } = self.own_secret(place(id), Some(&new.private_key))?;
        let parameters = [id.as_str().into(), caller.as_str().into(), public_key.as_str().into(), plain, sealed];
        self.database.query(Statement::new("add_inside_key", sql, parameters).durably().repeatably()).await?;
        // A key is made after a rotation at the earliest, so this is no work of every day.
        let sql = format!("DELETE FROM inside_keys WHERE verifies_until < now_ms() - {KEPT_ENDED_MS}");
        self.database.query(Statement::new("forget_inside_keys", sql, []).repeatably()).await?;
        Ok(())
    }

    /// The private half of a component's own key, opened.
    ///
    /// # Errors
    /// [`StorageError::MasterKeyMissing`], [`StorageError::Unreadable`].
    pub fn private_half(&self, key: &OwnKey) -> Result<String, StorageError> {
        self.open_own(place(&key.id), &key.private_key)
    }

    /// The public keys that verify, and the time by the database's clock.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn inside_keys(&self) -> Result<(Vec<InsideKey>, Timestamp), StorageError> {
        const QUERY: &str = "inside_keys";
        let sql = format!(
            "SELECT now_ms(), '', '', '' UNION ALL SELECT 0, id, caller, public_key FROM inside_keys WHERE {VERIFIES}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let (mut keys, mut now) = (Vec::with_capacity(rows.len()), Timestamp::from_millis(0));
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (at, id, caller, public_key) =
                (columns.timestamp()?, columns.text()?, columns.text()?, columns.text()?);
            if id.is_empty() {
                now = at;
            } else {
                let (id, caller, public_key) = (id.to_owned(), caller.to_owned(), public_key.to_owned());
                keys.push(InsideKey { id, caller, public_key });
            }
        }
        Ok((keys, now))
    }

    /// Has every caller make itself a new key, and records it. Those there are verify for [`OVERLAP_MS`], or no more, if they are revoked; their private
    /// halves are erased. Keys that were made a moment ago are left: of two that rotate at once, the second changes nothing. Whether anything was changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rotate_inside_keys(&self, rotation: &KeyRotation<'_>) -> Result<bool, StorageError> {
        let (at_least_ms, overlap_ms) = if rotation.revokes { (REPETITION_MS, 0) } else { (OVERLAP_MS, OVERLAP_MS) };
        let sql =
            "INSERT INTO inside_key_rotations (at_least_ms, overlap_ms, revokes, audit_id, user_id, detail, rotated_at)
                   SELECT CAST(?1 AS bigint), CAST(?2 AS bigint), CAST(?3 AS bigint), ?4, ?5, ?6, now_ms()
                   WHERE EXISTS (SELECT 1 FROM inside_keys WHERE created_at <= now_ms() - CAST(?1 AS bigint)
                       AND (verifies_until IS NULL OR (CAST(?3 AS bigint) = 1 AND verifies_until > now_ms())))";
        let audit_id = Id::new();
        let parameters = [
            at_least_ms.into(),
            overlap_ms.into(),
            i64::from(rotation.revokes).into(),
            audit_id.into(),
            rotation.user_id.into(),
            rotation.detail.into(),
        ];
        self.database.query(Statement::new("rotate_inside_keys", sql, parameters).durably().repeatably()).await?;
        self.is_recorded(audit_id).await
    }
}

/// Where the private half of a key is.
const fn place(id: &str) -> Place<'_> {
    Place { table: "inside_keys", row: id, column: "private_key" }
}

/// The condition of a key that tokens may be signed with.
pub(crate) const VERIFIES: &str = "COALESCE(verifies_until, now_ms() + 1) > now_ms()";
