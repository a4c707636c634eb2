//! Receives the bytes of a file: cuts them into pieces, seals each, and stores it before the next one is read. What was stored stays received, whatever
//! happens then.

use domain::Id;
use http::{HeaderValue, StatusCode, header};
use problem::Problem;
use storage::{
    Database,
    files::{PIECE_BYTES, ReceivedPiece, StoredFile},
};
use web::Result;

use crate::{objects::ObjectError, router::Files, types::media_type};

/// A file whose bytes are arriving.
pub(crate) struct Receiver<'a, D> {
    files: &'a Files<D>,
    user_id: Id,
    file: StoredFile,
    /// The piece that is not full yet, from its beginning.
    piece: Vec<u8>,
}

impl<'a, D: Database> Receiver<'a, D> {
    /// Goes on where a file ends until now.
    pub(crate) async fn at_end_of(files: &'a Files<D>, user_id: Id, file: StoredFile) -> Result<Self> {
        let mut piece = Vec::new();
        let kept = usize::try_from(file.received % PIECE_BYTES as u64).unwrap_or_default();
        if file.is_ready {
            // Nothing more can come. Only its length counts, and the piece may be in the configured store.
            piece.resize(kept, 0);
        } else if kept > 0 {
            let number = StoredFile::piece_of(file.received);
            let sealed = files.store().file_piece(user_id, file.id, number).await?.ok_or_else(lost)?;
            piece = file.open(number, &sealed)?;
            // It was stored in one statement with how much was received.
            piece.truncate(kept);
        }
        Ok(Self { files, user_id, file, piece })
    }

    /// The file, as it is stored by now.
    pub(crate) const fn file(&self) -> &StoredFile {
        &self.file
    }

    /// All bytes that came, with those that are not stored yet.
    pub(crate) fn came(&self) -> u64 {
        self.beginning().saturating_add(self.piece.len() as u64)
    }

    /// Where the piece begins that is not full yet.
    const fn beginning(&self) -> u64 {
        StoredFile::piece_of(self.file.received).saturating_mul(PIECE_BYTES as u64)
    }

    /// Takes the next bytes.
    pub(crate) async fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        if self.came().saturating_add(bytes.len() as u64) > self.file.size {
            return Err(too_large(self.file.size).into());
        }
        while !bytes.is_empty() {
            if self.piece.len() >= PIECE_BYTES {
                self.store(false).await?;
            }
            let room = PIECE_BYTES.saturating_sub(self.piece.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Stores what has come until now. The file is whole if that is all of it.
    pub(crate) async fn keep(&mut self) -> Result<()> {
        let is_last = self.came() == self.file.size;
        if self.came() > self.file.received { self.store(is_last).await } else { Ok(()) }
    }

    /// Ends the file here: it has as many bytes as came.
    pub(crate) async fn end(&mut self) -> Result<()> {
        self.store(true).await
    }

    async fn store(&mut self, is_last: bool) -> Result<()> {
        let (number, received) = (StoredFile::piece_of(self.beginning()), self.came());
        let is_whole = is_last || self.piece.len() >= PIECE_BYTES;
        let kind = (number == 0).then(|| media_type(&self.piece));
        let mut sealed = Some(self.file.seal(number, &self.piece)?);
        if self.file.is_in_objects && is_whole {
            let objects = self.files.objects().map_err(unavailable)?;
            objects.put(self.file.id, number, sealed.take().unwrap_or_default()).await.map_err(unavailable)?;
        }
        let piece = ReceivedPiece { number, sealed, received, media_type: kind, is_last };
        if !self.files.store().receive_piece(self.user_id, &self.file, &piece).await? {
            return Err(overtaken().into());
        }
        self.file.received = received;
        self.file.media_type = kind.map_or_else(|| std::mem::take(&mut self.file.media_type), str::to_owned);
        if is_last {
            (self.file.is_ready, self.file.size) = (true, received);
            // The statement decided whether it is a document, which waits to be read from now on.
            let stored = self.files.store().file(self.user_id, self.file.id).await?;
            self.file.reading = stored.and_then(|stored| stored.reading);
            if self.file.reading.is_some() {
                (self.files.soon)(self.files.clone());
            }
        }
        if is_whole {
            self.piece.clear();
        }
        Ok(())
    }
}

/// The file is longer than was said, or than is taken.
pub(crate) fn too_large(max_bytes: u64) -> Problem {
    let detail = format!("The file is too long: at most {max_bytes} bytes are taken.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Somebody else continued the file at the same place, or it was deleted.
fn overtaken() -> Problem {
    let detail = "Something else has continued or deleted this file meanwhile. Ask how much of it is there.";
    Problem::conflict("file_changed", detail)
}

/// What was received is not there. It cannot be, unless somebody deletes rows.
fn lost() -> Problem {
    Problem::conflict("file_damaged", "A part of this file is lost. Delete it, and upload it again.")
}

/// The configured store does not do what it is asked.
pub(crate) fn unavailable(cause: ObjectError) -> Problem {
    let detail = "Files cannot be stored or read at the moment. What was received until now stays; try again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "file_store_unavailable", detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
        .with_cause(cause)
}
