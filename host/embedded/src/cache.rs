//! Compiled components on disk: each is compiled once, and at every start after that its file is mapped into memory.
//!
//! wasmtime has a cache of its own, which compresses what it keeps: to unpack an app takes most of a start, and every
//! process then has the code to itself. Mapped, only what runs is read, and processes share it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::logs::host_line;

/// What is kept on disk, the longest unused goes first. The app takes about 70 MB, of which a change to one component
/// replaces a tenth: an afternoon of those, and the app as it was before.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// What the names of compiled components end with.
const EXTENSION: &str = "cwasm";

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
        // Its age says when it was last used.
        File::open(path).ok()?.set_modified(SystemTime::now()).ok()?;
        // SAFETY: the file must be what an engine has made, and stay so. Files get their names when they are whole,
        // under a hash of what they were made from, and are never written again. Whoever can change them could as
        // well change the host, which lies beside them.
        #[expect(unsafe_code, reason = "what was compiled is code that runs, whoever vouches for it")]
        unsafe {
            Component::deserialize_file(&self.engine, path).ok()
        }
    }

    fn keep(&self, path: &Path, component: &Component) -> Result<()> {
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&unfinished, component.serialize()?)
            .and_then(|()| fs::rename(&unfinished, path))
            .inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
        Ok(remove_oldest(&self.folder)?)
    }
}

/// Removes what was used longest ago until the rest is at most [`MAX_KEPT_BYTES`]. A process that runs keeps what it
/// has mapped.
fn remove_oldest(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        // Another process may remove one at the same moment.
        let entry = entry?;
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
    let mut kept_bytes = 0;
    for (_, bytes, path) in files {
        kept_bytes += bytes;
        if kept_bytes > MAX_KEPT_BYTES {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}
