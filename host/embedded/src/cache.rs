//! Compiled components on disk: each is compiled once, and at every start after that its file is mapped into memory.
//!
//! wasmtime has a cache of its own, which compresses what it keeps: to unpack an app takes most of a start, and every
//! process then has the code to itself. Mapped, only what runs is read, and processes share it.

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

/// What is kept on disk, the longest unused goes first. The app takes 64 MB, of which a change to one component
/// replaces a seventh at most: an afternoon of those, and the app as it was before.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// What names end with: those of compiled components, and of those that are not whole yet.
const EXTENSION: &str = "cwasm";
const UNFINISHED_EXTENSION: &str = "cwasm-unfinished";

/// Everybody may run what one has compiled.
const READABLE: u32 = 0o644;

/// A folder of compiled components. Several processes may use it at once.
pub(crate) struct Cache {
    engine: Engine,
    folder: PathBuf,
    /// Tells engines apart that cannot run each other's code: another wasmtime, other settings, another processor.
    compatibility: u64,
}

impl Cache {
    /// What `engine` compiles is kept in `folder`, which exists.
    pub(crate) fn new(engine: Engine, folder: PathBuf) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { engine, folder, compatibility: hasher.finish() }
    }

    /// The component of these bytes, which belong to component `id`: mapped when it was compiled before.
    pub(crate) fn component(&self, id: &str, bytes: &[u8]) -> Result<Component> {
        let name: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(format!("{name}-{:016x}.{EXTENSION}", self.compatibility));
        if let Some(component) = self.mapped(&path) {
            return Ok(component);
        }
        let component = Component::new(&self.engine, bytes)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("component {id:?} cannot be compiled"))?;
        // A full disk costs the next start a compilation, not this one the app.
        if let Err(error) = self.keep(&path, &component) {
            host_line(id, &format!("what was compiled could not be kept in {}: {error:#}", self.folder.display()));
        }
        Ok(component)
    }

    /// The compiled component in the file at `path`; `None` when there is none, or none that this engine takes.
    fn mapped(&self, path: &Path) -> Option<Component> {
        // Its age says when it was last used. Somebody else's, which may only be read, is of use too.
        let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
        // SAFETY: the file must be what an engine has made, and stay so. Files get their names when they are whole and
        // on disk, under a hash of what they were made from, and are never written again. Whoever may write into the
        // folder is trusted like whoever started the host.
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

/// Removes what was used longest ago until the rest is at most [`MAX_KEPT_BYTES`], and touches nothing else in the
/// folder. A process that runs keeps what it has mapped.
fn remove_oldest(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_ours =
            path.extension().is_some_and(|extension| extension == EXTENSION || extension == UNFINISHED_EXTENSION);
        // Another process may remove one at the same moment.
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
