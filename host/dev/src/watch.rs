//! `cargo dev up --watch`: builds and serves again after each edit, at the same address and with the same state. Turns are durable: their readers
//! continue them at the next host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::artifacts::{self, Profile, is_no_source};
use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::serving::{Serving, Supervisor};
use crate::tools_file::FILE;

/// The pause after which an edit is complete. Editors and formatters write several files, some of them twice.
const QUIET: Duration = Duration::from_millis(100);
/// The folders of sources. In the page's folder and the root, only files are watched, because other folders there are generated.
const FOLDERS: [&str; 7] = ["apis", "components", "crates", "migrations", "static/public", "static/src", "wit"];
const FILES_OF: [&str; 2] = ["", "static"];
/// The most changed files that are named.
const NAMED_MAX: usize = 3;

/// The events of the loop.
enum Event {
    Changed(Vec<PathBuf>),
    /// The host with this process id has ended.
    Ended(u32),
}

/// The parts that a change has made stale.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Stale {
    /// Sources have changed. The build decides which parts are stale.
    sources: bool,
    /// The host's settings have changed, which it reads at its start.
    settings: bool,
}

impl Stale {
    const fn and(self, other: Self) -> Self {
        Self { sources: self.sources || other.sources, settings: self.settings || other.settings }
    }
}

/// The command that serves the app.
pub(crate) struct Start {
    pub(crate) command: Command,
    /// The files besides the sources that it depends on.
    pub(crate) files: Vec<PathBuf>,
}

/// Serves until a signal ends this program. `files` are those of [`Start`] before the first build. `prepare` returns the start for an address.
pub(crate) fn run(
    repo: &Repo,
    listen: &str,
    files: Vec<PathBuf>,
    prepare: impl Fn(&str) -> anyhow::Result<Start>,
) -> anyhow::Result<ExitCode> {
    let supervisor = Supervisor::default();
    supervisor.hear_signals(0, || {})?;
    let (tell, hears) = channel();
    let mut watched = Watched::new(repo, tell.clone())?;
    watched.set_files(repo, files)?;
    // The host's sources are not watched, so an edit would not fix this.
    supervisor.or_exit(artifacts::lock(repo).and_then(|_built| artifacts::host(repo)))?;
    let mut app = App { repo, supervisor, tell, address: listen.to_owned(), serving: None, made: None };
    // Everything stale that could not be built and served yet because something failed.
    let mut owed = Stale { sources: true, settings: true };
    loop {
        let done = app.again(owed, &prepare, &mut watched);
        match app.supervisor.or_exit(done) {
            Ok(done) => {
                owed = Stale::default();
                eprintln!("{done}");
            }
            Err(error) if app.serving.is_some() => {
                eprintln!("error: {error:#}\n\nThe app is served as it was before this change.");
            }
            Err(error) => eprintln!("error: {error:#}\n\nNothing is served. After the next change it is tried again."),
        }
        owed = owed.and(app.next_change(&hears, &watched)?);
    }
}

/// The served app.
struct App<'a> {
    repo: &'a Repo,
    supervisor: Supervisor,
    tell: Sender<Event>,
    address: String,
    /// `None`, if it could not be served.
    serving: Option<Serving>,
    /// The files of the app, each with its modification time; `None` before the first start.
    made: Option<Vec<(PathBuf, SystemTime)>>,
}

impl App<'_> {
    /// Builds and serves what is stale. Returns a message about it.
    fn again(
        &mut self,
        stale: Stale,
        prepare: impl Fn(&str) -> anyhow::Result<Start>,
        watched: &mut Watched,
    ) -> anyhow::Result<String> {
        let began = Instant::now();
        let manifest = Manifest::read(self.repo)?;
        if stale.sources {
            let _built = artifacts::lock(self.repo)?;
            artifacts::components(self.repo, &manifest, &[], Profile::Quick)?;
        }
        let built = began.elapsed().as_secs_f32();
        let made = artifacts_of(self.repo, &manifest)?;
        if self.made.as_ref() == Some(&made) && !stale.settings && self.serving.is_some() {
            return Ok(format!("nothing that is served has changed ({built:.1} s)"));
        }
        // If the manifest or the file of tools cannot be read, this fails before the running host is ended.
        let Start { command, files } = prepare(&self.address)?;
        watched.set_files(self.repo, files)?;
        if let Some(before) = self.serving.take() {
            before.stop();
        }
        let is_first = self.made.is_none();
        // The host prints the same lines about itself at every start.
        let told = move |line: &str| {
            if is_first || line.starts_with('[') {
                println!("{line}");
            }
        };
        let tell = self.tell.clone();
        let ended = move |id| drop(tell.send(Event::Ended(id)));
        let serving = self.supervisor.start(command, told, ended)?;
        self.address.clone_from(&serving.address);
        self.serving = Some(serving);
        self.made = Some(made);
        if is_first {
            return Ok("Watching the sources. Ctrl-C ends it.".to_owned());
        }
        let all = began.elapsed().as_secs_f32();
        Ok(format!("serving again after {all:.1} s, of which building took {built:.1} s"))
    }

    /// Waits for an edit of the app, and returns what it makes stale. If the host ends meanwhile, this is reported.
    fn next_change(&mut self, hears: &Receiver<Event>, watched: &Watched) -> anyhow::Result<Stale> {
        loop {
            let (changed, ended) = next(hears).context("changes of files are not reported any more")?;
            if let Some(serving) = self.serving.take_if(|serving| ended.contains(&serving.id)) {
                let status = serving.status()?;
                eprintln!(
                    "error: the host has ended by itself ({status}): see above. It is started again after the next change."
                );
            }
            let root = self.repo.path("");
            let changed: Vec<&Path> = changed.iter().map(|path| path.strip_prefix(&root).unwrap_or(path)).collect();
            let files: Vec<&Path> = watched.files.iter().map(|path| path.strip_prefix(&root).unwrap_or(path)).collect();
            let stale = stale(&changed, &files);
            if stale != Stale::default() {
                eprintln!("\nchanged: {}", named(&changed));
                return Ok(stale);
            }
        }
    }
}

/// The files of the next change and of those right after it, and the hosts that have ended. `None`: there will be no more.
fn next(hears: &Receiver<Event>) -> Option<(BTreeSet<PathBuf>, Vec<u32>)> {
    let (mut changed, mut ended) = (BTreeSet::new(), Vec::new());
    let mut event = hears.recv().ok()?;
    loop {
        match event {
            Event::Changed(paths) => changed.extend(paths),
            Event::Ended(id) => ended.push(id),
        }
        event = match hears.recv_timeout(QUIET) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Some((changed, ended)),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
    }
}

/// The watcher, and the files that it watches besides the sources.
struct Watched {
    watcher: RecommendedWatcher,
    files: Vec<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    fn new(repo: &Repo, tell: Sender<Event>) -> anyhow::Result<Self> {
        let changed = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Compilers read files, which is an event too.
            let is_change = match event.kind {
                EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
                kind => kind.is_create() || kind.is_remove(),
            };
            if is_change {
                drop(tell.send(Event::Changed(event.paths)));
            }
        };
        let watcher = notify::recommended_watcher(changed).context("changes of files cannot be watched")?;
        let mut watched = Self { watcher, files: Vec::new(), folders: BTreeSet::new() };
        for folder in FOLDERS {
            watched.watch(repo.path(folder), RecursiveMode::Recursive)?;
        }
        for folder in FILES_OF {
            watched.watch(repo.path(folder), RecursiveMode::NonRecursive)?;
        }
        Ok(watched)
    }

    /// Also watches these files. Their folders are watched, because editors and compilers often replace a file by a new one.
    fn set_files(&mut self, repo: &Repo, files: Vec<PathBuf>) -> anyhow::Result<()> {
        for folder in files.iter().filter_map(|file| file.parent()) {
            let is_within_sources = FOLDERS.iter().any(|sources| folder.starts_with(repo.path(sources)));
            if !is_within_sources && !self.folders.contains(folder) {
                self.watch(folder.to_owned(), RecursiveMode::NonRecursive)?;
            }
        }
        self.files = files;
        Ok(())
    }

    fn watch(&mut self, folder: PathBuf, mode: RecursiveMode) -> anyhow::Result<()> {
        if folder.exists() {
            self.watcher.watch(&folder, mode).with_context(|| {
                format!("changes in {} cannot be watched: raise fs.inotify.max_user_watches", folder.display())
            })?;
            self.folders.insert(folder);
        }
        Ok(())
    }
}

/// The parts that changed files make stale. Paths below the root are relative to it. `files` are settings files anywhere.
fn stale(changed: &[&Path], files: &[&Path]) -> Stale {
    let mut stale = Stale::default();
    for path in changed {
        if files.contains(path) {
            stale.settings = true;
            continue;
        }
        if path.is_absolute() || path.iter().any(|part| part == "target" || is_no_source(&part.to_string_lossy())) {
            continue;
        }
        let top = path.iter().next().unwrap_or_default().to_string_lossy();
        match top.as_ref() {
            "components" | "crates" | "migrations" | "static" | "wit" | "Cargo.toml" => stale.sources = true,
            "apis" | ".env" | FILE => stale.settings = true,
            "spin.toml" => (stale.sources, stale.settings) = (true, true),
            _ => {}
        }
    }
    stale
}

/// The served files with their modification times.
fn artifacts_of(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Vec<(PathBuf, SystemTime)>> {
    let guests = manifest
        .packages()
        .into_iter()
        .map(|package| repo.path(Profile::Quick.guests()).join(format!("{}.wasm", package.replace('-', "_"))));
    let providers = manifest.providers()?.into_iter().map(|made| repo.path(made.file));
    guests
        .chain(providers)
        .map(|file| {
            let made = file.metadata().and_then(|file| file.modified());
            let made = made.with_context(|| format!("{} was not made", file.display()))?;
            Ok((file, made))
        })
        .collect()
}

fn named(changed: &[&Path]) -> String {
    let names: Vec<String> = changed.iter().take(NAMED_MAX).map(|path| path.display().to_string()).collect();
    match changed.len().saturating_sub(NAMED_MAX) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale_by(files: &[&str]) -> Stale {
        let files: Vec<&Path> = files.iter().map(Path::new).collect();
        stale(&files, &[Path::new("/elsewhere/tools.toml"), Path::new("target/made/tool.wasm")])
    }

    #[test]
    fn sources_are_built_and_settings_are_read_again() {
        let (sources, settings) =
            (Stale { sources: true, ..Stale::default() }, Stale { settings: true, ..Stale::default() });
        for (file, expected) in [
            ("components/mcp/letters/src/lib.rs", sources),
            ("crates/storage/src/lib.rs", sources),
            ("migrations/0001.sql", sources),
            ("components/mcp/luck/app.py", sources),
            ("wit/provider.wit", sources),
            ("static/src/chat.ts", sources),
            ("Cargo.toml", sources),
            ("apis/shop.yaml", settings),
            (".env", settings),
            ("tools.toml", settings),
            ("/elsewhere/tools.toml", settings),
            ("target/made/tool.wasm", settings),
            ("spin.toml", sources.and(settings)),
        ] {
            assert_eq!(stale_by(&[file]), expected, "{file}");
        }
        assert_eq!(stale_by(&["apis/shop.yaml", "components/mcp/luck/app.py"]), sources.and(settings));
    }

    #[test]
    fn other_files_change_nothing() {
        let files = [
            "static/dist/index.html",
            "static/node_modules/x/index.js",
            "components/mcp/luck/__pycache__/app.pyc",
            "crates/storage/src/.lib.rs.swp",
            "crates/storage/src/lib.rs~",
            "crates/storage/src/.#lib.rs",
            "crates/storage/src/#lib.rs#",
            "crates/storage/src/4913",
            "target/made/other.wasm",
            "/elsewhere/other.toml",
            "Cargo.lock",
            "README.md",
        ];
        assert_eq!(stale_by(&files), Stale::default());
    }

    #[test]
    fn a_file_elsewhere_is_watched_when_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root/crates")).unwrap();
        let repo = Repo::at(&folder.path().join("root"));
        let elsewhere = folder.path().canonicalize().unwrap();
        let file = elsewhere.join("tools.toml");
        let (tell, hears) = channel();
        let mut watched = Watched::new(&repo, tell).unwrap();
        watched.set_files(&repo, vec![file.clone()]).unwrap();
        std::fs::write(elsewhere.join("new"), "").unwrap();
        std::fs::rename(elsewhere.join("new"), &file).unwrap();
        let is_named = |event: Event| matches!(event, Event::Changed(paths) if paths.contains(&file));
        assert!(std::iter::from_fn(|| hears.recv_timeout(Duration::from_secs(10)).ok()).any(is_named));
    }
}
