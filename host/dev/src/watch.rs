//! `cargo dev up --watch`: what is edited is built and served again, at the same address and with the same state.
//! Turns outlive it: whoever reads one reads on at the next host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::artifacts::{self, MADE, Profile};
use crate::manifest::{Manifest, Provider};
use crate::repo::Repo;
use crate::serving::Serving;
use crate::tools_file::FILE;

/// Editors and formatters write several files, and some of them twice.
const QUIET: Duration = Duration::from_millis(100);
/// What has sources in it. In the page's folder and at the root only the files themselves: below lies what is made.
const FOLDERS: [&str; 7] = ["apis", "components", "crates", "migrations", "static/public", "static/src", "wit"];
const FILES_OF: [&str; 2] = ["", "static"];
/// How many changed files are named.
const NAMED_MAX: usize = 3;
/// What editors write beside a file.
const EDITORS: [&str; 3] = [".swp", ".swx", "~"];

/// What happens.
enum Event {
    Changed(Vec<PathBuf>),
    Stop,
}

/// What a change makes stale. The host that serves is started again in any case.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Stale {
    page: bool,
    guests: bool,
    /// Providers that Cargo does not build; which of them, their sources say.
    providers: bool,
    /// What is read at the start.
    settings: bool,
}

impl Stale {
    const fn and(self, other: Self) -> Self {
        Self {
            page: self.page || other.page,
            guests: self.guests || other.guests,
            providers: self.providers || other.providers,
            settings: self.settings || other.settings,
        }
    }
}

/// Serves until it is told to stop. `command` makes the host's, for an address to serve at.
pub(crate) fn run(
    repo: &Repo,
    listen: &str,
    command: impl Fn(&str) -> anyhow::Result<Command>,
) -> anyhow::Result<ExitCode> {
    let (tell, hears) = channel();
    let stop = tell.clone();
    // Nobody hears it any more when it is said twice.
    ctrlc::set_handler(move || drop(stop.send(Event::Stop))).context("signals cannot be heard")?;
    let _watcher = watch(repo, tell)?;
    let all = Stale { page: true, guests: true, providers: true, settings: true };
    build(repo, all)?;
    artifacts::host(repo)?;
    let serving = Serving::start(command(listen)?, |line| println!("{line}"))?;
    let mut app = App { address: serving.address.clone(), serving: Some(serving), made: artifacts_of(repo)? };
    // What has not been built since it was edited, because something else failed.
    let mut owed = Stale::default();
    eprintln!("Watching the sources. Ctrl-C ends it.");
    while let Some(changed) = next(&hears) {
        let providers = Manifest::read(repo).and_then(|manifest| manifest.providers()).unwrap_or_default();
        let changed: Vec<&Path> = changed.iter().filter_map(|path| path.strip_prefix(repo.path("")).ok()).collect();
        let stale = stale(&changed, &providers);
        if stale == Stale::default() {
            continue;
        }
        owed = owed.and(stale);
        eprintln!("\nchanged: {}", named(&changed));
        match app.again(repo, owed, &command) {
            Ok(done) => {
                owed = Stale::default();
                eprintln!("{done}");
            }
            Err(error) if app.serving.is_some() => eprintln!("error: {error:#}\n\nWhat was served before goes on."),
            Err(error) => eprintln!("error: {error:#}\n\nNothing is served until that is corrected."),
        }
    }
    if let Some(serving) = app.serving {
        serving.stop();
    }
    Ok(ExitCode::SUCCESS)
}

/// What is served.
struct App {
    address: String,
    /// Nothing is, when what was built cannot be served.
    serving: Option<Serving>,
    /// What of, and when that was made.
    made: Vec<(PathBuf, SystemTime)>,
}

impl App {
    /// Builds what is stale and serves that; says what came of it.
    fn again(
        &mut self,
        repo: &Repo,
        stale: Stale,
        command: impl Fn(&str) -> anyhow::Result<Command>,
    ) -> anyhow::Result<String> {
        let began = Instant::now();
        build(repo, stale)?;
        let built = began.elapsed().as_secs_f32();
        let made = artifacts_of(repo)?;
        if made == self.made && !stale.settings && self.serving.is_some() {
            return Ok(format!("nothing that is served has changed ({built:.1} s)"));
        }
        // What is wrong with the settings is found before the one that serves ends.
        let command = command(&self.address)?;
        if let Some(before) = self.serving.take() {
            before.stop();
        }
        self.serving = Some(Serving::start(command, print_log)?);
        self.made = made;
        let all = began.elapsed().as_secs_f32();
        Ok(format!("serving again after {all:.1} s, of which building took {built:.1} s"))
    }
}

/// What the host says at every start was said at the first.
fn print_log(line: &str) {
    if line.starts_with('[') {
        println!("{line}");
    }
}

/// The files of the next change and of those right behind it; `None`: stop.
fn next(hears: &Receiver<Event>) -> Option<BTreeSet<PathBuf>> {
    let mut changed = BTreeSet::new();
    let mut event = hears.recv().ok()?;
    loop {
        match event {
            Event::Stop => return None,
            Event::Changed(paths) => changed.extend(paths),
        }
        event = match hears.recv_timeout(QUIET) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Some(changed),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
    }
}

fn watch(repo: &Repo, tell: Sender<Event>) -> anyhow::Result<RecommendedWatcher> {
    let changed = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        // Compilers read, and that is an event too.
        let is_change = match event.kind {
            EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
            kind => kind.is_create() || kind.is_remove(),
        };
        if is_change {
            drop(tell.send(Event::Changed(event.paths)));
        }
    };
    let mut watcher = notify::recommended_watcher(changed).context("changes of files cannot be heard")?;
    let modes = FOLDERS.iter().map(|folder| (folder, RecursiveMode::Recursive));
    for (folder, mode) in modes.chain(FILES_OF.iter().map(|folder| (folder, RecursiveMode::NonRecursive))) {
        let path = repo.path(folder);
        if path.exists() {
            watcher.watch(&path, mode).with_context(|| {
                format!("changes in {} cannot be heard: raise fs.inotify.max_user_watches", path.display())
            })?;
        }
    }
    Ok(watcher)
}

/// What files, relative to the root, have to do with.
fn stale(changed: &[&Path], providers: &[Provider]) -> Stale {
    let mut stale = Stale::default();
    for path in changed {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.iter().any(|part| MADE.iter().any(|made| part == *made) || part == "target")
            || EDITORS.iter().any(|ending| name.ends_with(ending))
        {
            continue;
        }
        let is_of = |provider: &Provider| path.starts_with(&provider.folder);
        let top = path.iter().next().unwrap_or_default().to_string_lossy();
        let whole = path.to_string_lossy();
        match top.as_ref() {
            "components" if providers.iter().any(is_of) => stale.providers = true,
            "components" | "crates" | "migrations" => stale.guests = true,
            "wit" => (stale.guests, stale.providers) = (true, true),
            "static" => (stale.page, stale.guests) = (true, true),
            "apis" => stale.settings = true,
            _ => match whole.as_ref() {
                "spin.toml" => (stale.settings, stale.guests, stale.providers) = (true, true, true),
                "Cargo.toml" => stale.guests = true,
                ".env" | FILE => stale.settings = true,
                _ => {}
            },
        }
    }
    stale
}

fn build(repo: &Repo, stale: Stale) -> anyhow::Result<()> {
    let manifest = Manifest::read(repo)?;
    let _built = artifacts::lock(repo)?;
    if stale.page {
        artifacts::page(repo)?;
    }
    if stale.guests {
        artifacts::guests(repo, &manifest.packages(), Profile::Quick)?;
    }
    if stale.providers {
        manifest.providers()?.iter().try_for_each(|made| artifacts::provider(repo, made))?;
    }
    Ok(())
}

/// When each of the files that are served was made.
fn artifacts_of(repo: &Repo) -> anyhow::Result<Vec<(PathBuf, SystemTime)>> {
    let manifest = Manifest::read(repo)?;
    let guests = manifest.packages().into_iter().map(|package| {
        repo.target("wasm32-wasip2").join(Profile::Quick.name()).join(format!("{}.wasm", package.replace('-', "_")))
    });
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
        let luck = Provider {
            name: "luck".to_owned(),
            folder: "components/mcp/luck".to_owned(),
            file: "target/python/luck.wasm".to_owned(),
            command: "make luck".to_owned(),
        };
        let files: Vec<&Path> = files.iter().map(Path::new).collect();
        stale(&files, &[luck])
    }

    #[test]
    fn only_what_a_change_has_to_do_with_is_built() {
        let nothing = Stale::default();
        for (file, expected) in [
            ("components/mcp/letters/src/lib.rs", Stale { guests: true, ..nothing }),
            ("crates/storage/src/lib.rs", Stale { guests: true, ..nothing }),
            ("migrations/0001.sql", Stale { guests: true, ..nothing }),
            ("components/mcp/luck/app.py", Stale { providers: true, ..nothing }),
            ("components/mcp/lucky/src/lib.rs", Stale { guests: true, ..nothing }),
            ("wit/provider.wit", Stale { guests: true, providers: true, ..nothing }),
            ("static/src/chat.ts", Stale { page: true, guests: true, ..nothing }),
            ("apis/shop.yaml", Stale { settings: true, ..nothing }),
            (".env", Stale { settings: true, ..nothing }),
            ("tools.toml", Stale { settings: true, ..nothing }),
            ("spin.toml", Stale { settings: true, guests: true, providers: true, ..nothing }),
        ] {
            assert_eq!(stale_by(&[file]), expected, "{file}");
        }
        let both = stale_by(&["apis/shop.yaml", "components/mcp/luck/app.py"]);
        assert_eq!(both, Stale { settings: true, providers: true, ..nothing });
    }

    #[test]
    fn what_is_made_or_read_by_people_builds_nothing() {
        let files = [
            "static/dist/index.html",
            "static/node_modules/x/index.js",
            "components/mcp/luck/__pycache__/app.pyc",
            "crates/storage/src/.lib.rs.swp",
            "crates/storage/src/lib.rs~",
            "Cargo.lock",
            "README.md",
        ];
        assert_eq!(stale_by(&files), Stale::default());
    }
}
