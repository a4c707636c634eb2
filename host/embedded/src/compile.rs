//! Compiles all components, two at a time, and reports progress when that takes long. Already compiled components come from the cache.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use manifest::Manifest;
use wasmtime::component::Component;

use crate::cache::Cache;
use crate::compose::compose;

/// How many components are compiled at once. Functions of one component are compiled in parallel too, so more would only cost memory.
const AT_ONCE: usize = 2;

/// Silence longer than this looks like a hang.
const PATIENCE: Duration = Duration::from_secs(2);

enum Progress {
    Started(String),
    Finished(String, Result<Component>),
}

/// Compiles every component of the manifest in `folder`. The result is by component id.
pub(crate) fn compile_all(cache: &Cache, folder: &Path, manifest: &Manifest) -> Result<BTreeMap<String, Component>> {
    let waiting = Mutex::new(manifest.components.iter());
    let (sender, progress) = channel();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (sender, waiting) = (sender.clone(), &waiting);
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((id, component)) = next else { break };
                    let _ = sender.send(Progress::Started(id.clone()));
                    let compiled = compose(folder, id, component).and_then(|bytes| cache.component(id, &bytes));
                    let _ = sender.send(Progress::Finished(id.clone(), compiled));
                }
            });
        }
        drop(sender);
        let mut running: BTreeMap<String, Instant> = BTreeMap::new();
        let mut compiled = BTreeMap::new();
        loop {
            match progress.recv_timeout(PATIENCE) {
                Ok(Progress::Started(id)) => drop(running.insert(id, Instant::now())),
                Ok(Progress::Finished(id, result)) => {
                    let seconds = running.remove(&id).map_or(0.0, |start| start.elapsed().as_secs_f32());
                    if seconds > PATIENCE.as_secs_f32() {
                        let _ = writeln!(std::io::stderr(), "Compiled {id} in {seconds:.1} s");
                    }
                    compiled.insert(id, result?);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let told: Vec<String> =
                        running.iter().map(|(id, start)| format!("{id} ({} s)", start.elapsed().as_secs())).collect();
                    let _ = writeln!(std::io::stderr(), "Compiling {} ...", told.join(", "));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(compiled),
            }
        }
    })
}
