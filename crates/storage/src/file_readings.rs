//! Readings: the documents among the files, who reads each as text, what came of it, and the text in sealed pieces (docs/adr/0057). Must not know how a file is
//! read: a text comes and goes sealed with its file's key.

use base64::{Engine, prelude::BASE64_STANDARD};
use domain::Id;

use crate::{Database, Row, Statement, StorageError, Store, Value, database::Columns, files::StoredFile};

/// How long whoever reads a file has it for themselves, from each piece on. A step takes a few seconds; whoever waits for a file of somebody who was killed is a
/// person.
pub const LEASE_MS: i64 = 30_000;

/// What is known of the text of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileReading {
    /// How far it is.
    pub state: ReadingState,
    /// The codes of what is missing in the text, as `extract` has them.
    pub notes: Vec<String>,
    /// Its pages, sheets, slides, chapters or messages.
    pub parts: u64,
    /// The length of the text.
    pub bytes: u64,
}

/// How far a reading is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadingState {
    /// It waits for its turn.
    Queued,
    /// Somebody is at it.
    Reading,
    /// The text is there.
    Read,
    /// It cannot be read.
    Failed(ReadingFailure),
}

/// Why a file cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadingFailure {
    /// For programs.
    pub code: String,
    /// For the person. It says nothing that is in the file.
    pub detail: String,
}

/// A reading that one host has for itself, for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakenReading {
    /// The file.
    pub file_id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// How often it was taken, with this time.
    pub attempts: i64,
    lease: Id,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ReadText {
    /// The codes of what is missing, with commas between them.
    pub notes: String,
    /// How many pages, sheets, slides, chapters or messages there are.
    pub parts: u64,
    /// The length of the text, of which all pieces are stored.
    pub bytes: u64,
}

/// The columns that [`read`] reads, of a row that may not be there.
pub(crate) const COLUMNS: &str = "file_readings.state, file_readings.code, file_readings.detail, file_readings.notes, file_readings.parts, file_readings.bytes";

/// The SQL condition that a file waits to be read, or whoever read it was killed.
pub(crate) const IS_TO_READ: &str = "EXISTS (SELECT 1 FROM file_readings WHERE state = 'queued' AND turn_at > 0)
    OR EXISTS (SELECT 1 FROM file_readings WHERE state = 'reading' AND until <= now_ms())";

/// Reads [`COLUMNS`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Option<FileReading>, StorageError> {
    let Some(state) = columns.optional_text()? else { return Ok(None) };
    let (code, detail) = (columns.text()?, columns.text()?);
    let state = match state {
        "queued" => ReadingState::Queued,
        "reading" => ReadingState::Reading,
        "read" => ReadingState::Read,
        _ => ReadingState::Failed(ReadingFailure { code: code.to_owned(), detail: detail.to_owned() }),
    };
    let notes = columns.text()?.split(',').filter(|note| !note.is_empty()).map(str::to_owned).collect();
    let number = |stored| u64::try_from(stored).unwrap_or_default();
    Ok(Some(FileReading { state, notes, parts: number(columns.integer()?), bytes: number(columns.integer()?) }))
}

impl StoredFile {
    /// Seals a piece of its text.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_text(&self, number: u64, piece: &[u8]) -> Result<Vec<u8>, StorageError> {
        Ok(self.key()?.seal_text(number, piece)?)
    }

    /// Opens a piece of its text.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_text(&self, number: u64, sealed: &[u8]) -> Result<Vec<u8>, StorageError> {
        Ok(self.key()?.open_text(number, sealed)?.to_vec())
    }
}

impl<D: Database> Store<D> {
    /// Takes a file to read it: one of somebody who was killed, or the next in turn. `None`: there is none, or somebody else was faster.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn take_reading(&self) -> Result<Option<TakenReading>, StorageError> {
        const QUERY: &str = "take_reading";
        let lease = Id::new();
        let sql = format!(
            "UPDATE file_readings SET state = 'reading', lease = ?1, until = now_ms() + {LEASE_MS}, attempts = attempts + 1
             WHERE (state = 'queued' OR state = 'reading' AND until <= now_ms()) AND file_id = COALESCE(
                 (SELECT file_id FROM file_readings WHERE state = 'reading' AND until <= now_ms() ORDER BY until LIMIT 1),
                 (SELECT file_id FROM file_readings WHERE state = 'queued' ORDER BY turn_at LIMIT 1))
             RETURNING file_id, user_id, attempts"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [lease.into()])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok(TakenReading { file_id: columns.id()?, user_id: columns.id()?, attempts: columns.integer()?, lease })
        };
        rows.first().map(read).transpose()
    }

    /// Stores a sealed piece of the text, and has the file for longer. `false`: somebody else has taken it over, or it is gone.
    ///
    /// # Errors
    /// As [`Self::take_reading`].
    pub async fn keep_text(&self, taken: &TakenReading, number: u64, sealed: &[u8]) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO read_texts (file_id, lease, number, sealed, until)
             SELECT file_id, lease, CAST(?3 AS bigint), CAST(?4 AS text), now_ms() + {LEASE_MS}
             FROM file_readings WHERE file_id = ?1 AND lease = ?2 AND state = 'reading'
             RETURNING file_id"
        );
        let sealed = Value::Text(BASE64_STANDARD.encode(sealed));
        let parameters = [taken.file_id.into(), taken.lease.into(), number.into(), sealed];
        Ok(!self.database.query(Statement::new("keep_text", sql, parameters)).await?.is_empty())
    }

    /// Ends a reading. `false`: as [`Self::keep_text`].
    ///
    /// # Errors
    /// As [`Self::take_reading`].
    pub async fn end_reading(
        &self,
        taken: &TakenReading,
        ended: Result<&ReadText, &ReadingFailure>,
    ) -> Result<bool, StorageError> {
        let sql = "UPDATE file_readings SET state = CAST(?3 AS text), lease = '', until = 0, code = CAST(?4 AS text), detail = CAST(?5 AS text),
                       notes = CAST(?6 AS text), parts = CAST(?7 AS bigint), bytes = CAST(?8 AS bigint)
                   WHERE file_id = ?1 AND lease = ?2 AND state = 'reading' RETURNING file_id";
        let (state, code, detail, text) = match ended {
            Ok(text) => ("read", "", "", text),
            Err(failure) => ("failed", failure.code.as_str(), failure.detail.as_str(), &ReadText::default()),
        };
        let parameters: [Value; 8] = [
            taken.file_id.into(),
            taken.lease.into(),
            state.into(),
            code.into(),
            detail.into(),
            text.notes.as_str().into(),
            text.parts.into(),
            text.bytes.into(),
        ];
        let statement = Statement::new("end_reading", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Has a reading taken again after a pause. `counts`: it may be the file, so this was one of its attempts.
    ///
    /// # Errors
    /// As [`Self::take_reading`].
    pub async fn postpone_reading(
        &self,
        taken: &TakenReading,
        after_ms: i64,
        counts: bool,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE file_readings SET lease = '', until = now_ms() + CAST(?3 AS bigint), attempts = attempts - CAST(?4 AS bigint)
                   WHERE file_id = ?1 AND lease = ?2 AND state = 'reading'";
        let given_back = i64::from(!counts);
        let parameters = [taken.file_id.into(), taken.lease.into(), after_ms.into(), given_back.into()];
        self.database.query(Statement::new("postpone_reading", sql, parameters)).await.map(drop).map_err(Into::into)
    }

    /// A sealed piece of the text of a person's file that was read. `None`: it is not there.
    ///
    /// # Errors
    /// As [`Self::take_reading`].
    pub async fn text_piece(&self, user_id: Id, file_id: Id, number: u64) -> Result<Option<Vec<u8>>, StorageError> {
        const QUERY: &str = "text_piece";
        let sql = "SELECT sealed FROM file_texts JOIN file_readings ON file_readings.file_id = file_texts.file_id
                   WHERE file_texts.file_id = ?1 AND number = CAST(?3 AS bigint) AND user_id = ?2 AND state = 'read'";
        let statement = Statement::new(QUERY, sql, [file_id.into(), user_id.into(), number.into()]);
        let rows = self.database.query(statement).await?;
        let decoded = |text: &str| BASE64_STANDARD.decode(text).ok();
        rows.first().map(|row| row.columns(QUERY).read("base64", decoded)).transpose()
    }
}
