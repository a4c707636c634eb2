//! Folders and files that only the user who runs the host can read: they contain people's conversations, and keys that are made on first use.
//! Existing ones that other users can read are closed to them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes a folder and its parents if they do not exist.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    close(path, FOLDER_MODE)
}

/// Opens a file for reading and appending, and makes it if it does not exist. Files that SQLite puts beside a database get the database's mode.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)?;
    close(path, FILE_MODE)?;
    Ok(file)
}

fn close(path: &Path, mode: u32) -> io::Result<()> {
    let open = path.metadata()?.permissions().mode() & 0o777 & !mode;
    if open != 0 {
        // It belongs to another user, or the disk is read-only. The file can still be used.
        let _ = std::fs::set_permissions(path, Permissions::from_mode(mode));
    }
    Ok(())
}
