//! Removes what is left of files: those that nobody attached in time, and the pieces of those that are gone. It goes on after a response, or when `auth` sees
//! that there is something. Whoever is killed is followed by another: what is to be removed is written down by the statement that deletes a file.

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::extract::State;
use http::StatusCode;
use storage::{Database, StorageError, files::FileRemoval};
use web::{
    Inside,
    inside::Auth,
    log::{Level, log},
};

use crate::{COMPONENT, objects::ObjectError, router::Files};

/// A sweep goes on for so long, then it leaves the rest to the next: much less than a host's turn for one file.
const WORK: Duration = Duration::from_secs(20);
/// The pauses before a file's objects are tried again: a store may be away for a moment, or for a day.
const PAUSES_S: [i64; 5] = [5, 60, 600, 3_600, 21_600];

thread_local! {
    static IS_SWEEPING: Cell<bool> = const { Cell::new(false) };
}

/// `POST /internal/sweeps`: there may be something to remove, or to read.
pub(crate) async fn wake<D: Database + 'static>(State(files): State<Files<D>>, _: Inside<Auth>) -> StatusCode {
    (files.soon)(files.clone());
    StatusCode::ACCEPTED
}

/// Has it removed, after the response, unless this instance is at it.
pub(crate) fn soon<D: Database + 'static>(files: Files<D>) {
    if IS_SWEEPING.replace(true) {
        return;
    }
    platform::spawn(async move {
        if let Err(error) = sweep(&files).await {
            let cause = BTreeMap::from([("cause", error.to_string())]);
            log(COMPONENT, Level::Error, "files could not be removed", cause);
        }
        IS_SWEEPING.set(false);
    });
}

/// Removes what there is to remove, for a while.
pub(crate) async fn sweep<D: Database>(files: &Files<D>) -> Result<(), StorageError> {
    let began = Instant::now();
    while began.elapsed() < WORK && files.store().delete_expired_files().await? {}
    while began.elapsed() < WORK {
        let Some(removal) = files.store().take_file_removal().await? else { break };
        remove(files, removal, began).await?;
    }
    Ok(())
}

async fn remove<D: Database>(files: &Files<D>, mut removal: FileRemoval, began: Instant) -> Result<(), StorageError> {
    while files.store().delete_file_pieces(&removal).await? {}
    if removal.is_in_objects
        && let Err(error) = remove_objects(files, &mut removal, began).await
    {
        let cause = BTreeMap::from([("cause", error.to_string())]);
        log(COMPONENT, Level::Warn, "pieces of a file that is gone could not be removed from the file store", cause);
        let pause_s = usize::try_from(removal.attempts).ok().and_then(|attempt| PAUSES_S.get(attempt));
        let pause_s = pause_s.or(PAUSES_S.last()).copied().unwrap_or_default();
        return files.store().postpone_file_removal(&removal, pause_s.saturating_mul(1_000)).await;
    }
    files.store().end_file_removal(&removal).await
}

/// Each piece by its number, also one that was put there by somebody who was killed before it counted. From the end, so that it is known how many are left.
async fn remove_objects<D: Database>(
    files: &Files<D>,
    removal: &mut FileRemoval,
    began: Instant,
) -> Result<(), ObjectError> {
    let objects = files.objects()?;
    while let Some(number) = removal.pieces.checked_sub(1) {
        if began.elapsed() > WORK.saturating_mul(2) {
            return Err(ObjectError::Slow);
        }
        objects.delete(removal.file_id, number).await?;
        removal.pieces = number;
    }
    Ok(())
}
