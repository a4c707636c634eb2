//! Files: what is known of each, and their pieces as far as these are in the database. Pieces come and go sealed with the file's key (docs/adr/0054), so nobody
//! holds a whole file. Must not know what a file's bytes mean, or where the configured store is.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use domain::{AttachedFile, Id, Timestamp};
use vault::{FileKey, Place};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::{Columns, after_page, places, storable},
    file_readings::{self, FileReading, IS_TO_READ},
    sealed_texts::Opener,
};

/// The bytes of a piece; the last of a file has fewer. Sealing one takes some milliseconds, in which an instance does nothing else, and sixteen uploads of an
/// instance hold some megabytes. The triggers of 0035 count with it.
pub const PIECE_BYTES: usize = 256 * 1024;
/// How long a file is kept that no message has: who is interrupted continues on the next day.
pub const UNATTACHED_MS: i64 = 24 * 60 * 60 * 1000;
/// Files of one person. Each costs rows, however small it is.
pub const MAX_FILES_OF_USER: u64 = 10_000;

/// Files deleted in one statement because nobody attached them.
const EXPIRED_AT_ONCE: i64 = 50;
/// Pieces deleted in one statement: some megabytes.
const PIECES_AT_ONCE: i64 = 16;
/// How long a host has a removal for itself.
const REMOVAL_MS: i64 = 60_000;

/// The value of `store` for files whose pieces are in the configured store.
const OBJECTS: &str = "s3";
/// The value of `state` for a file that can be used, and before.
const READY: &str = "ready";
const ARRIVING: &str = "arriving";

/// A file.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Its id.
    pub id: Id,
    /// Its name, as the person's device had it.
    pub name: String,
    /// Its media type by its content; empty until its beginning was received.
    pub media_type: String,
    /// Its bytes. As long as it is arriving, how many were announced.
    pub size: u64,
    /// How many of them were received.
    pub received: u64,
    /// All of it is there.
    pub is_ready: bool,
    /// Its pieces are in the configured store.
    pub is_in_objects: bool,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it goes unless it is attached, or continued, before.
    pub expires_at: Option<Timestamp>,
    /// What is known of its text. `None`: it is no document, or not whole yet.
    pub reading: Option<FileReading>,
    key: Option<Arc<FileKey>>,
}

impl StoredFile {
    /// Whether its key can be used. If not, it is lost or damaged, and nothing of the file can be read.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.key.is_some()
    }

    pub(crate) fn key(&self) -> Result<&FileKey, StorageError> {
        let unreadable = || StorageError::Unreadable { table: "files".into(), column: "key".into() };
        self.key.as_deref().ok_or_else(unreadable)
    }

    /// Seals a piece, for its store.
    ///
    /// # Errors
    /// [`StorageError::Unreadable`]: the file's key cannot be used.
    pub fn seal(&self, number: u64, piece: &[u8]) -> Result<Vec<u8>, StorageError> {
        Ok(self.key()?.seal(number, piece)?)
    }

    /// Opens a piece as it came from its store.
    ///
    /// # Errors
    /// As [`Self::seal`], and if the piece was changed.
    pub fn open(&self, number: u64, sealed: &[u8]) -> Result<Vec<u8>, StorageError> {
        Ok(self.key()?.open(number, sealed)?.to_vec())
    }

    /// The number of the piece that holds the byte at a place.
    #[must_use]
    pub const fn piece_of(at: u64) -> u64 {
        at / PIECE_BYTES as u64
    }
}

/// A file that begins to arrive.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its bytes, or the most that it can have.
    pub size: u64,
    /// Its pieces go to the configured store.
    pub is_in_objects: bool,
    /// How many bytes all files of the person may have.
    pub quota_bytes: u64,
}

/// What became of a new file.
#[derive(Clone, Debug)]
pub enum FileCreated {
    /// It is there, and waits for its first byte.
    Created(StoredFile),
    /// The person has no room for it: how many bytes their files have.
    Full(u64),
}

/// A piece that was received.
#[derive(Clone, Debug)]
pub struct ReceivedPiece<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// The piece, sealed. `None`: it is in the configured store.
    pub sealed: Option<Vec<u8>>,
    /// How many bytes of the file were received with it.
    pub received: u64,
    /// The file's media type, if this piece says it.
    pub media_type: Option<&'a str>,
    /// It is the last: the file has as many bytes as were received.
    pub is_last: bool,
}

/// A file that is gone and whose pieces are not yet. One host has it for a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRemoval {
    /// The file's id.
    pub file_id: Id,
    /// Its pieces are in the configured store, too.
    pub is_in_objects: bool,
    /// How many there can be.
    pub pieces: u64,
    /// How often it was tried before.
    pub attempts: i64,
}

pub(crate) const COLUMNS: &str = "files.id, files.name, files.key, files.type, files.size, files.received, files.state, files.store, files.created_at, files.expires_at";
/// Files, with what is known of their texts.
pub(crate) const WITH_READINGS: &str = "files LEFT JOIN file_readings ON file_readings.file_id = files.id";

/// Where a column of a file is.
const fn place<'a>(id: &'a str, column: &'a str) -> Place<'a> {
    Place { table: "files", row: id, column }
}

/// Reads [`COLUMNS`], and those of the file's reading behind them.
pub(crate) fn read(columns: &mut Columns<'_>, opener: &Opener) -> Result<StoredFile, StorageError> {
    let id = columns.id()?;
    let row = id.to_string();
    let name = opener.open(place(&row, "name"), columns.text()?)?;
    let key = FileKey::from_text(&row, &opener.open(place(&row, "key"), columns.text()?)?);
    Ok(StoredFile {
        id,
        name,
        key: key.ok().map(Arc::new),
        media_type: columns.text()?.to_owned(),
        size: bytes(columns.integer()?),
        received: bytes(columns.integer()?),
        is_ready: columns.text()? == READY,
        is_in_objects: columns.text()? == OBJECTS,
        created_at: columns.timestamp()?,
        expires_at: columns.optional_integer()?.map(Timestamp::from_millis),
        reading: file_readings::read(columns)?,
    })
}

fn bytes(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

/// The SQL of the files of a message of the conversation ?1, as one text. The sealed name comes first, so that it is seen that there is something to open.
/// Whether the conversation has any is asked once in a statement: without, no message looks for its own.
pub(crate) const OF_MESSAGE: &str =
    "CASE WHEN messages.role = 'user' AND EXISTS (SELECT 1 FROM message_files WHERE conversation_id = ?1) THEN
     (SELECT string_agg(files.name || ' ' || message_files.position || ' ' || files.id || ' ' || files.size || ' ' || files.type, ',')
      FROM message_files JOIN files ON files.id = message_files.file_id WHERE message_files.message_id = messages.id) END";

/// Reads what [`OF_MESSAGE`] selects.
pub(crate) fn read_of_message(stored: Option<&str>, opener: &Opener) -> Result<Vec<AttachedFile>, StorageError> {
    let mut files = Vec::new();
    for file in stored.into_iter().flat_map(|stored| stored.split(',')) {
        let mut parts = file.splitn(5, ' ');
        let (Some(name), Some(position), Some(id)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (Ok(position), Ok(parsed)) = (position.parse::<i64>(), id.parse()) else { continue };
        let size = parts.next().and_then(|size| size.parse().ok()).unwrap_or_default();
        let media_type = parts.next().unwrap_or_default().to_owned();
        let name = opener.open(place(id, "name"), name)?;
        files.push((position, AttachedFile { id: parsed, name, media_type, size }));
    }
    files.sort_by_key(|(position, _)| *position);
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// The value and the condition of a statement that attaches files, with its parameters behind the others. `None`: there are none to attach.
pub(crate) fn attached(ids: &[Id], parameters: &mut Vec<Value>) -> Result<Option<(String, String)>, StorageError> {
    if ids.is_empty() {
        return Ok(None);
    }
    parameters.push(serde_json::to_string(ids)?.into());
    let (list, first) = (parameters.len(), parameters.len() + 1);
    parameters.extend(ids.iter().copied().map(Value::from));
    let places = places(first..=parameters.len());
    let condition = format!(
        "AND {} = (SELECT COUNT(*) FROM files WHERE files.user_id = ?2 AND files.state = '{READY}' AND files.id IN ({places}))",
        ids.len()
    );
    Ok(Some((format!(", CAST(?{list} AS text)"), condition)))
}

/// The SQL condition that there is something for whoever removes pieces and files that nobody attached, and reads documents.
pub(crate) fn is_to_sweep() -> String {
    format!("{IS_TO_REMOVE} OR {IS_TO_READ}")
}

const IS_TO_REMOVE: &str = "EXISTS (SELECT 1 FROM file_removals WHERE due_at <= now_ms())
    OR EXISTS (SELECT 1 FROM files WHERE expires_at IS NOT NULL AND expires_at <= now_ms())";

impl<D: Database> Store<D> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn create_file(&self, user_id: Id, new: &NewFile<'_>) -> Result<FileCreated, StorageError> {
        const QUERY: &str = "create_file";
        let (id, person) = (Id::new(), self.data_key(user_id).await?);
        let row = id.to_string();
        let key = FileKey::generate(&row)?;
        // No earlier release reads this table, so it is sealed also while others of it may run.
        let sealed_name = person.seal(place(&row, "name"), &storable(new.name.to_owned()))?;
        let sealed_key = person.seal(place(&row, "key"), &key.to_text())?;
        let sql = format!(
            "INSERT INTO new_files (id, user_id, name, key, size, store, created_at, expires_at, quota, most)
             SELECT ?1, ?2, ?3, ?4, CAST(?5 AS bigint), ?6, now_ms(), now_ms() + {UNATTACHED_MS}, CAST(?7 AS bigint), {MAX_FILES_OF_USER}
             WHERE (SELECT COUNT(*) < {MAX_FILES_OF_USER} AND COALESCE(SUM(size), 0) + CAST(?5 AS bigint)
                     + (SELECT COALESCE(SUM(bytes), 0) FROM file_readings WHERE user_id = ?2) <= CAST(?7 AS bigint)
                 FROM files WHERE user_id = ?2)
             RETURNING created_at, expires_at"
        );
        let parameters: [Value; 7] = [
            id.into(),
            user_id.into(),
            sealed_name.into(),
            sealed_key.into(),
            new.size.into(),
            if new.is_in_objects { OBJECTS } else { "" }.into(),
            new.quota_bytes.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let Some(row) = rows.first() else { return Ok(FileCreated::Full(self.file_bytes(user_id).await?)) };
        let mut columns = row.columns(QUERY);
        Ok(FileCreated::Created(StoredFile {
            id,
            name: new.name.to_owned(),
            media_type: String::new(),
            size: new.size,
            received: 0,
            is_ready: false,
            is_in_objects: new.is_in_objects,
            created_at: columns.timestamp()?,
            expires_at: columns.optional_integer()?.map(Timestamp::from_millis),
            reading: None,
            key: Some(Arc::new(key)),
        }))
    }

    /// How many bytes a person's files and their texts have, with those that were announced.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn file_bytes(&self, user_id: Id) -> Result<u64, StorageError> {
        const QUERY: &str = "file_bytes";
        let sql = "SELECT CAST(COALESCE(SUM(size), 0) + (SELECT COALESCE(SUM(bytes), 0) FROM file_readings WHERE user_id = ?1) AS bigint)
                   FROM files WHERE user_id = ?1";
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        rows.first().map_or(Ok(0), |row| Ok(bytes(row.columns(QUERY).integer()?)))
    }

    /// One file of the owner.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn file(&self, user_id: Id, id: Id) -> Result<Option<StoredFile>, StorageError> {
        const QUERY: &str = "file";
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM {WITH_READINGS} WHERE files.id = ?1 AND files.user_id = ?2",
            file_readings::COLUMNS
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()])).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.first().map(|row: &Row| read(&mut row.columns(QUERY), &opener)).transpose()
    }

    /// The owner's files, the newest first, before one of them.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn files(&self, user_id: Id, before: Option<Id>, limit: u32) -> Result<Vec<StoredFile>, StorageError> {
        const QUERY: &str = "files";
        let mut parameters = vec![user_id.into()];
        let place = after_page("files.id", before, &mut parameters);
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM {WITH_READINGS} WHERE files.user_id = ?1 {place} ORDER BY files.id DESC LIMIT {limit}",
            file_readings::COLUMNS
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener_if_usable(user_id, &rows).await?;
        rows.iter().map(|row| read(&mut row.columns(QUERY), &opener)).collect()
    }

    /// Stores that a piece was received, and the piece if it is for the database. `false`: somebody else has continued the file meanwhile, or it is gone.
    ///
    /// # Errors
    /// As [`Self::create_file`]. If the answer was lost, it is unknown whether it was stored.
    pub async fn receive_piece(
        &self,
        user_id: Id,
        file: &StoredFile,
        piece: &ReceivedPiece<'_>,
    ) -> Result<bool, StorageError> {
        let (state, size) = if piece.is_last { (READY, piece.received) } else { (ARRIVING, file.size) };
        let sql = format!(
            "INSERT INTO received_pieces (file_id, number, sealed, former, received, size, type, state, expires_at)
             SELECT id, CAST(?3 AS bigint), CAST(?4 AS text), received, CAST(?6 AS bigint), CAST(?7 AS bigint), CAST(?8 AS text),
                 CAST(?9 AS text), now_ms() + {UNATTACHED_MS}
             FROM files WHERE id = ?1 AND user_id = ?2 AND received = CAST(?5 AS bigint) AND state = '{ARRIVING}'
             RETURNING file_id"
        );
        let parameters: [Value; 9] = [
            file.id.into(),
            user_id.into(),
            piece.number.into(),
            piece.sealed.as_ref().map_or(Value::Null, |sealed| Value::Text(BASE64_STANDARD.encode(sealed))),
            file.received.into(),
            piece.received.into(),
            size.into(),
            piece.media_type.into(),
            state.into(),
        ];
        let rows = self.database.query(Statement::new("receive_piece", sql, parameters).durably()).await?;
        Ok(!rows.is_empty())
    }

    /// A piece that is in the database, sealed. `None`: it is not there.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn file_piece(&self, user_id: Id, file_id: Id, number: u64) -> Result<Option<Vec<u8>>, StorageError> {
        const QUERY: &str = "file_piece";
        let sql = "SELECT sealed FROM file_pieces JOIN files ON files.id = file_pieces.file_id
                   WHERE file_pieces.file_id = ?1 AND number = CAST(?3 AS bigint) AND user_id = ?2";
        let statement = Statement::new(QUERY, sql, [file_id.into(), user_id.into(), number.into()]);
        let rows = self.database.query(statement).await?;
        let decoded = |text: &str| BASE64_STANDARD.decode(text).ok();
        rows.first().map(|row| row.columns(QUERY).read("base64", decoded)).transpose()
    }

    /// Deletes a file of the owner, also from messages. Its pieces cannot be read from now on, and go soon. `false`: there is none.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn delete_file(&self, user_id: Id, id: Id) -> Result<bool, StorageError> {
        let sql = "DELETE FROM files WHERE id = ?1 AND user_id = ?2 RETURNING id";
        let statement = Statement::new("delete_file", sql, [id.into(), user_id.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// What was attached to a message that was just stored; a file that went in that moment was not.
    pub(crate) async fn attached_files(
        &self,
        user_id: Id,
        conversation_id: Id,
        message_id: Id,
        ids: &[Id],
    ) -> Result<Vec<AttachedFile>, StorageError> {
        const QUERY: &str = "attached_files";
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {OF_MESSAGE} FROM messages JOIN conversations ON conversations.id = messages.conversation_id
             WHERE conversations.id = ?1 AND conversations.user_id = ?2 AND messages.id = ?3"
        );
        let parameters = [conversation_id.into(), user_id.into(), message_id.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener(user_id, &rows).await?;
        let stored = rows.first().map(|row| row.columns(QUERY).optional_text()).transpose()?.flatten();
        read_of_message(stored, &opener)
    }

    /// How many of these files are the owner's and can be attached to a message.
    pub(crate) async fn attachable_files(&self, user_id: Id, ids: &[Id]) -> Result<usize, StorageError> {
        const QUERY: &str = "attachable_files";
        if ids.is_empty() {
            return Ok(0);
        }
        let mut parameters: Vec<Value> = vec![user_id.into()];
        parameters.extend(ids.iter().copied().map(Value::from));
        let places = places(2..=parameters.len());
        let sql = format!("SELECT COUNT(*) FROM files WHERE user_id = ?1 AND state = '{READY}' AND id IN ({places})");
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let count = rows.first().map_or(Ok(0), |row| row.columns(QUERY).integer())?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Deletes the next files that were not attached in time, or never arrived. `false`: there are no more.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn delete_expired_files(&self) -> Result<bool, StorageError> {
        // The condition stands twice: one that was attached meanwhile stays.
        let sql = format!(
            "DELETE FROM files WHERE expires_at IS NOT NULL AND expires_at <= now_ms() AND id IN (
                 SELECT id FROM files WHERE expires_at IS NOT NULL AND expires_at <= now_ms() ORDER BY expires_at LIMIT {EXPIRED_AT_ONCE})
             RETURNING id"
        );
        Ok(!self.database.query(Statement::new("delete_expired_files", sql, [])).await?.is_empty())
    }

    /// Takes a file whose pieces are to be removed, for a minute. `None`: there is none.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn take_file_removal(&self) -> Result<Option<FileRemoval>, StorageError> {
        const QUERY: &str = "take_file_removal";
        let sql = format!(
            "UPDATE file_removals SET due_at = now_ms() + {REMOVAL_MS}, attempts = attempts + 1
             WHERE due_at <= now_ms() AND file_id = (SELECT file_id FROM file_removals WHERE due_at <= now_ms() ORDER BY due_at LIMIT 1)
             RETURNING file_id, store, pieces, attempts - 1"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok(FileRemoval {
                file_id: columns.id()?,
                is_in_objects: columns.text()? == OBJECTS,
                pieces: bytes(columns.integer()?),
                attempts: columns.integer()?,
            })
        };
        rows.first().map(read).transpose()
    }

    /// Deletes the next pieces that are in the database of a file that is gone. `false`: there are no more.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn delete_file_pieces(&self, removal: &FileRemoval) -> Result<bool, StorageError> {
        let sql = format!(
            "DELETE FROM file_pieces WHERE file_id = ?1
                 AND number IN (SELECT number FROM file_pieces WHERE file_id = ?1 ORDER BY number LIMIT {PIECES_AT_ONCE})
                 AND NOT EXISTS (SELECT 1 FROM files WHERE id = ?1)
             RETURNING number"
        );
        let statement = Statement::new("delete_file_pieces", sql, [removal.file_id.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Forgets a file of which nothing is left.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn end_file_removal(&self, removal: &FileRemoval) -> Result<(), StorageError> {
        let sql = "DELETE FROM file_removals WHERE file_id = ?1";
        let statement = Statement::new("end_file_removal", sql, [removal.file_id.into()]).repeatably();
        self.database.query(statement).await.map(drop).map_err(Into::into)
    }

    /// Has a removal tried again after a pause, or by another host at once, with the pieces that are left.
    ///
    /// # Errors
    /// As [`Self::create_file`].
    pub async fn postpone_file_removal(&self, removal: &FileRemoval, after_ms: i64) -> Result<(), StorageError> {
        let sql = "UPDATE file_removals SET due_at = now_ms() + CAST(?2 AS bigint), pieces = CAST(?3 AS bigint) WHERE file_id = ?1";
        let parameters = [removal.file_id.into(), after_ms.into(), removal.pieces.into()];
        let statement = Statement::new("postpone_file_removal", sql, parameters).repeatably();
        self.database.query(statement).await.map(drop).map_err(Into::into)
    }
}
