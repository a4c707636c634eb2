//! Compiled components on disk: each is compiled once, and every later start maps its file into memory.
//!
//! wasmtime's own cache compresses its files. Unpacking an app takes most of a start, and every process then has a private copy of the code.
//! With mapped files, only the code that runs is read, and processes share it.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::logs::host_line;

/// The most bytes kept on disk; the longest unused files are removed first. The app takes 64 MB, and a change to one component replaces a
/// seventh of it at most. So this holds an afternoon of changes, and the app as it was before.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// The file extensions of compiled components and of incomplete ones.
const EXTENSION: &str = "cwasm";
const UNFINISHED_EXTENSION: &str = "cwasm-unfinished";

/// Every user may run a compiled component.
const READABLE: u32 = 0o644;

/// A folder of compiled components. Several processes may use it at once.
pub(crate) struct Cache {
    engine: Engine,
    folder: PathBuf,
    /// A hash that differs for engines that cannot run each other's code: another wasmtime, other settings, another processor.
    compatibility: u64,
}

impl Cache {
    /// Keeps the components that `engine` compiles in `folder`, which must exist.
    pub(crate) fn new(engine: Engine, folder: PathBuf) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { engine, folder, compatibility: hasher.finish() }
    }

    /// The compiled component for these bytes, which belong to component `id`. It is mapped from its file if it was compiled before.
    pub(crate) fn component(&self, id: &str, bytes: &[u8]) -> Result<Component> {
        let name: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(format!("{name}-{:016x}.{EXTENSION}", self.compatibility));
        if let Some(component) = self.mapped(&path) {
            return Ok(component);
        }
        let component = Component::new(&self.engine, bytes)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("component {id:?} cannot be compiled"))?;
        // A full disk must not stop this start; only the next start must compile again.
        if let Err(error) = self.keep(&path, &component) {
            host_line(
                id,
                &format!(
                    "the compiled component could not be stored in {}, so the next start compiles it again: {error:#}",
                    self.folder.display()
                ),
            );
        }
        Ok(component)
    }

    /// The compiled component in the file at `path`; `None` if it does not exist or this engine cannot run it.
    fn mapped(&self, path: &Path) -> Option<Component> {
        // The modification time records the last use. A file of another user, which is read-only, can be used too.
        let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
        // SAFETY: the file must be the unchanged output of an engine. A file gets its name only when it is complete and on disk; the name is a
        // hash of the source, and the file is never written again. Anyone who may write into the folder is trusted like the user who starts the
        // host.
        #[expect(unsafe_code, reason = "what was compiled is code that runs, whoever vouches for it")]
        unsafe {
            Component::deserialize_file(&self.engine, path).ok()
        }
    }

    fn keep(&self, path: &Path, component: &Component) -> Result<()> {
        let suffix = format!(".{UNFINISHED_EXTENSION}");
        let permissions = fs::Permissions::from_mode(READABLE);
        let mut file = tempfile::Builder::new().suffix(&suffix).permissions(permissions).tempfile_in(&self.folder)?;
        file.write_all(&component.serialize()?)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(remove_oldest(&self.folder)?)
    }
}

/// Removes the longest unused files until the rest is at most [`MAX_KEPT_BYTES`], and touches nothing else in the folder. Running processes keep
/// the files that they have mapped.
fn remove_oldest(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_ours =
            path.extension().is_some_and(|extension| extension == EXTENSION || extension == UNFINISHED_EXTENSION);
        // Another process may remove a file at the same moment.
        if is_ours && let Ok(metadata) = path.metadata() {
            files.push((metadata.modified()?, metadata.len(), path));
        }
    }
    files.sort_by_key(|(used, ..)| Reverse(*used));
    let mut kept_bytes = 0;
    for (_, bytes, path) in files {
        kept_bytes += bytes;
        if kept_bytes > MAX_KEPT_BYTES {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}
