//! Folders and files that are nobody's but the user's who runs the host: people's conversations lie in them, and keys that are made on first
//! use. What is there already and open to others is closed.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes a folder, and those above it, if they are not there.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    close(path, FOLDER_MODE)
}

/// Makes a file if it is not there, to be read and written behind what it holds. What SQLite puts beside a database has its mode.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)?;
    close(path, FILE_MODE)?;
    Ok(file)
}

fn close(path: &Path, mode: u32) -> io::Result<()> {
    let open = path.metadata()?.permissions().mode() & 0o777 & !mode;
    if open != 0 {
        // Somebody else's, or on a disk that may only be read: it serves all the same.
        let _ = std::fs::set_permissions(path, Permissions::from_mode(mode));
    }
    Ok(())
}
