//! The keys that sign session tokens, and their rotation. Only `auth` and `oauth` read private keys.
//!
//! By the database's clock, a key is published when it is stored, signs from `signs_from` until a newer one does, and what it signed verifies until
//! `verifies_until`. Then it is retired and its private half is erased (docs/adr/0037).

use domain::{Id, Timestamp};

use vault::Place;

use crate::{
    Database, Statement, StorageError, Store, Value,
    database::{Columns, places},
    installation_secrets::{OwnSecret, stored_secret},
    keys::KeyRotation,
};

/// How long a new key is published before it signs. Every instance reads the public keys within a second; whoever else verifies tokens with
/// `/.well-known/jwks.json` has this long to read it again.
pub const PUBLISH_MS: i64 = 60 * 1000;

/// How long a key verifies after a newer one signs. What it signed lives for fifteen minutes; an hour leaves room for clocks of hosts of an earlier
/// release, which may be fifteen minutes ahead, and for tolerances. While one key ends, there is no other rotation.
pub const OVERLAP_MS: i64 = 60 * 60 * 1000;

/// Of two revocations within this time, the second is a repetition of the first. Written in the migration, too.
const REPETITION_MS: i64 = 10 * 1000;

/// Keys that are read to issue tokens: two that sign, and those whose texts still verify. Rotated four times a year, that is nine years.
const MAX_KEYS: usize = 40;

/// A key pair as PEM texts.
#[derive(Clone)]
pub struct SigningKey {
    /// The `kid`.
    pub id: String,
    /// The public key.
    pub public_key: String,
    /// The private key. `None`, if it comes from configuration.
    pub private_key: Option<String>,
    /// What texts are signed with that people and programs keep, in hex. `None`: the private half, as earlier releases did, or configuration.
    pub text_key: Option<String>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A stored key, and its times.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The key.
    pub key: SigningKey,
    /// Since when it signs, or will.
    pub signs_from: Timestamp,
    /// Until when what it signed verifies. `None`: no end is set.
    pub verifies_until: Option<Timestamp>,
    /// It signs and verifies no tokens any more. Its text key may still count.
    pub is_retired: bool,
}

impl StoredKey {
    /// Whether an end is set for it, or it has come.
    #[must_use]
    pub const fn ends(&self) -> bool {
        self.is_retired || self.verifies_until.is_some()
    }
}

impl<D: Database> Store<D> {
    /// Publishes a configured key, unless it was revoked, and puts its end off to [`OVERLAP_MS`] from now: hosts on which it is configured do so again
    /// and again, so one that is configured nowhere any more ends by itself. `signs`: it is the one that signs, as of now; the others only verify.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn publish_signing_key(&self, id: &str, public_key: &str, signs: bool) -> Result<(), StorageError> {
        let sql = "INSERT INTO signing_keys (id, public_key, created_at, signs_from, verifies_until)
                   VALUES (?1, ?2, now_ms(), CASE WHEN CAST(?3 AS bigint) = 1 THEN now_ms() ELSE 0 END, now_ms() + CAST(?4 AS bigint))
                   ON CONFLICT (id) DO UPDATE SET verifies_until = excluded.verifies_until,
                       signs_from = CASE WHEN excluded.signs_from = 0 THEN signing_keys.signs_from ELSE excluded.signs_from END
                   WHERE signing_keys.retired_at IS NULL";
        let parameters = [id.into(), public_key.into(), i64::from(signs).into(), OVERLAP_MS.into()];
        self.database.query(Statement::new("publish_signing_key", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Lets keys that no longer sign verify for [`OVERLAP_MS`], unless an end is set already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_signing_keys(&self, ids: &[String]) -> Result<(), StorageError> {
        let parameters: Vec<Value> =
            std::iter::once(OVERLAP_MS.into()).chain(ids.iter().map(|id| id.as_str().into())).collect();
        let places = places(2..=parameters.len());
        let sql = format!(
            "UPDATE signing_keys SET verifies_until = now_ms() + CAST(?1 AS bigint)
             WHERE verifies_until IS NULL AND retired_at IS NULL AND id IN ({})",
            places
        );
        self.database.query(Statement::new("end_signing_keys", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Has a key in the database sign on that ends because others were configured. `ends`: they still are on some hosts, so its end is only put off.
    /// Otherwise it has none any more. Not if there is another that signs on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn continue_signing_key(&self, id: &str, ends: bool) -> Result<(), StorageError> {
        let sql = "UPDATE signing_keys SET
                       verifies_until = CASE WHEN CAST(?2 AS bigint) = 1 THEN now_ms() + CAST(?3 AS bigint) END,
                       signs_from = now_ms()
                   WHERE id = ?1 AND retired_at IS NULL AND private_key IS NOT NULL AND verifies_until > now_ms()
                     AND NOT EXISTS (SELECT 1 FROM signing_keys
                         WHERE private_key IS NOT NULL AND retired_at IS NULL AND verifies_until IS NULL)";
        let parameters = [id.into(), i64::from(ends).into(), OVERLAP_MS.into()];
        self.database.query(Statement::new("continue_signing_key", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Stores a key that was made on first use, unless there is one whose end is not set: another instance may have stored one first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_first_signing_key(&self, key: &SigningKey) -> Result<(), StorageError> {
        let sql = format!(
            "INSERT INTO signing_key_rotations
                 (id, public_key, private_key, text_key, is_first, publish_ms, overlap_ms, revokes, rotated_at)
             SELECT ?1, ?2, {}, {}, 1, 0, 0, 0, now_ms()
             WHERE NOT EXISTS (SELECT 1 FROM signing_keys
                 WHERE private_key IS NOT NULL AND retired_at IS NULL AND verifies_until IS NULL)",
            stored_secret("?3", "?4"),
            stored_secret("?5", "?6")
        );
        let statement = Statement::new("add_first_signing_key", sql, self.parameters(key)?);
        self.database.query(statement.durably().repeatably()).await?;
        Ok(())
    }

    /// Replaces the key that signs, on all hosts at the same moment, and records it. Of two that do so at once, the second changes nothing. With
    /// `revokes`, what the keys before have signed ends now: tokens, texts, and all sessions. `keeps` is the configured key that signs: it goes on, and no
    /// other is stored. Whether anything was changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rotate_signing_key(
        &self,
        key: &SigningKey,
        keeps: Option<&str>,
        rotation: &KeyRotation<'_>,
    ) -> Result<bool, StorageError> {
        let publish_ms = if rotation.revokes { 0 } else { PUBLISH_MS };
        let due = if rotation.revokes {
            format!(
                "EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND created_at < now_ms() - {REPETITION_MS}
                     AND id <> COALESCE(?10, ''))"
            )
        } else {
            // Where there is no key yet, the first one is made when it is needed, and signs at once. While one ends, there is no other rotation.
            "EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND private_key IS NOT NULL AND verifies_until IS NULL)
             AND NOT EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND verifies_until > now_ms())"
                .to_owned()
        };
        let sql = format!(
            "INSERT INTO signing_key_rotations
                 (id, public_key, private_key, text_key, is_first, publish_ms, overlap_ms, revokes, keeps, audit_id, user_id, detail, rotated_at)
             SELECT ?1, ?2, {}, {}, 0, CAST(?7 AS bigint), CAST(?8 AS bigint), CAST(?9 AS bigint), ?10, ?11, ?12, ?13, now_ms() WHERE {due}",
            stored_secret("?3", "?4"),
            stored_secret("?5", "?6")
        );
        let audit_id = Id::new();
        let mut parameters = Vec::from(self.parameters(key)?);
        parameters.extend([publish_ms.into(), OVERLAP_MS.into(), i64::from(rotation.revokes).into(), keeps.into()]);
        parameters.extend([audit_id.into(), rotation.user_id.into(), rotation.detail.into()]);
        let statement = Statement::new("rotate_signing_key", sql, parameters);
        self.database.query(statement.durably().repeatably()).await?;
        self.is_recorded(audit_id).await
    }

    /// Retires a key whose last token has ended, and erases its private half. Its text key stays; `text_key` is it, if none is stored yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn retire_signing_key(&self, id: &str, text_key: Option<&str>) -> Result<(), StorageError> {
        let sql = format!(
            "UPDATE signing_keys SET retired_at = now_ms(), private_key = NULL, text_key = COALESCE(text_key, {})
             WHERE id = ?1 AND retired_at IS NULL AND verifies_until <= now_ms()",
            stored_secret("?2", "?3")
        );
        let OwnSecret { plain, sealed } = self.own_secret(place(id, "text_key"), text_key)?;
        let statement = Statement::new("retire_signing_key", sql, [id.into(), plain, sealed]);
        self.database.query(statement.durably().repeatably()).await?;
        Ok(())
    }

    /// The keys to issue tokens with, those that are not retired first, then the newest first, with their private halves, and the time by the database's clock, for the tokens. `None`: there
    /// are none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn issuing_keys(&self) -> Result<Option<(Vec<StoredKey>, Timestamp)>, StorageError> {
        const QUERY: &str = "issuing_keys";
        let sql = format!(
            "SELECT now_ms(), id, public_key, private_key, text_key, COALESCE(signs_from, created_at), verifies_until, retired_at
             FROM signing_keys WHERE retired_at IS NULL OR text_key IS NOT NULL
             ORDER BY CASE WHEN retired_at IS NULL THEN 0 ELSE 1 END, COALESCE(signs_from, created_at) DESC, id LIMIT {MAX_KEYS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let (mut keys, mut now) = (Vec::with_capacity(rows.len()), None);
        for row in &rows {
            let mut columns = row.columns(QUERY);
            now = Some(columns.timestamp()?);
            keys.push(self.read_signing_key(&mut columns)?);
        }
        Ok(now.map(|now| (keys, now)))
    }

    /// All public keys that tokens may be signed with, as JWKs, the oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn public_keys(&self) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "public_keys";
        let sql = format!("SELECT public_key FROM signing_keys WHERE {VERIFIES} ORDER BY created_at, id");
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter().map(|row| Ok(row.columns(QUERY).text()?.to_owned())).collect()
    }
}

/// The condition of a key that tokens may be signed with.
pub(crate) const VERIFIES: &str = "retired_at IS NULL AND COALESCE(verifies_until, now_ms() + 1) > now_ms()";

/// Where a private part of a key is.
const fn place<'a>(id: &'a str, column: &'a str) -> Place<'a> {
    Place { table: "signing_keys", row: id, column }
}

impl<D: Database> Store<D> {
    /// The parameters `?1` to `?6` of a new key.
    fn parameters(&self, key: &SigningKey) -> Result<[Value; 6], StorageError> {
        let private_key = self.own_secret(place(&key.id, "private_key"), key.private_key.as_deref())?;
        let text_key = self.own_secret(place(&key.id, "text_key"), key.text_key.as_deref())?;
        let (id, public_key) = (key.id.as_str().into(), key.public_key.as_str().into());
        Ok([id, public_key, private_key.plain, private_key.sealed, text_key.plain, text_key.sealed])
    }

    fn read_signing_key(&self, columns: &mut Columns<'_>) -> Result<StoredKey, StorageError> {
        let (id, public_key) = (columns.text()?.to_owned(), columns.text()?.to_owned());
        let (private_key, text_key) = (columns.optional_text()?, columns.optional_text()?);
        let signs_from = columns.timestamp()?;
        let verifies_until = columns.optional_integer()?.map(Timestamp::from_millis);
        let is_retired = columns.optional_integer()?.is_some();
        let open = |column, stored: Option<&str>| {
            let opened = stored.map(|stored| self.open_own(place(&id, column), stored)).transpose();
            match opened {
                // What a key is still good for that signs no more must not keep people from logging in.
                Err(StorageError::MasterKeyMissing(_) | StorageError::Unreadable { .. })
                    if is_retired || verifies_until.is_some() =>
                {
                    Ok(None)
                }
                opened => opened,
            }
        };
        let (private_key, text_key) = (open("private_key", private_key)?, open("text_key", text_key)?);
        let key = SigningKey { id, public_key, private_key, text_key };
        Ok(StoredKey { key, signs_from, verifies_until, is_retired })
    }
}
