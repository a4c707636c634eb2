//! What the app is made of, built when it is stale: the page, the guests, the host, the scripted model.
//! The page comes first, because the `ui` guest carries it. Cargo knows itself what is stale; for the page and for tool
//! providers in other languages, a hash of their sources says so.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, bail};

use crate::manifest::{GUESTS, Manifest, Provider, TOOL_SERVER};
use crate::npm::{install, npm};
use crate::prerequisites;
use crate::python;
use crate::repo::{Lock, Repo};
use crate::step::Step;

/// The page's folder.
pub(crate) const PAGE: &str = "static";
const PAGE_FILE: &str = "static/dist/index.html";
/// What every tool provider is made from beside its own folder.
const CONTRACT: &str = "wit";
/// What in a folder of sources is made from the rest, or fetched.
pub(crate) const MADE: [&str; 3] = ["node_modules", "dist", "__pycache__"];
/// More sources than the page or a provider has: a hash that runs into something else stops here instead of reading for ever.
const SOURCES_MAX: usize = 5_000;

/// How the guests are built: the folder under `target/wasm32-wasip2/` is called so too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What is deployed and tested.
    Release,
    /// What is compiled again in a second or two, for edits that are tried at once.
    Quick,
}

impl Profile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
        }
    }
}

/// One build at a time. Waits for that of another `cargo dev` to end.
pub(crate) fn lock(repo: &Repo) -> anyhow::Result<Lock> {
    repo.lock("lock", "the build")
}

/// What one run of this program builds once, whoever asks: what is edited meanwhile is for the next run.
pub(crate) struct Once<T> {
    what: &'static str,
    built: OnceLock<Option<T>>,
}

impl<T> Once<T> {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, built: OnceLock::new() }
    }

    /// The first who asks builds it, and hears what is wrong with it.
    pub(crate) fn get(&self, build: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<&T> {
        let mut error = None;
        let built = self.built.get_or_init(|| build().map_err(|why| error = Some(why)).ok());
        match (built, error) {
            (Some(built), _) => Ok(built),
            (None, Some(error)) => Err(error),
            (None, None) => bail!("{} could not be built: see above", self.what),
        }
    }
}

/// Everything that serving takes.
pub(crate) fn app(repo: &Repo, manifest: &Manifest) -> anyhow::Result<()> {
    app_and(repo, manifest, &[])
}

/// The same, and guests beside it. One build for all: cargo unites the features of what is built together, so that two builds would
/// each undo what the other made.
pub(crate) fn app_and(repo: &Repo, manifest: &Manifest, more_guests: &[&str]) -> anyhow::Result<()> {
    prerequisites::wasm_target(repo)?;
    page(repo)?;
    let mut packages = manifest.packages();
    packages.extend(more_guests.iter().map(|package| (*package).to_owned()));
    guests(repo, &packages, Profile::Release)?;
    manifest.providers()?.iter().try_for_each(|made| provider(repo, made))?;
    host(repo)
}

/// What serving these tool servers of a manifest takes. If a guest among them is stale, Cargo is given all guests as ever: it would compile
/// fewer with other features, and later all of them again.
pub(crate) fn tool_servers(repo: &Repo, served: &Manifest, names: &[&str]) -> anyhow::Result<()> {
    let own = Manifest::read(repo)?;
    let mut files = names.iter().flat_map(|name| served.files_of(&format!("{TOOL_SERVER}{name}")));
    if !files.all(|file| !file.starts_with(GUESTS) || is_fresh(repo, file)) {
        prerequisites::wasm_target(repo)?;
        if !repo.path(PAGE_FILE).exists() {
            page(repo)?;
        }
        guests(repo, &own.packages(), Profile::Release)?;
    }
    let providers = own.providers()?;
    providers.iter().filter(|made| names.contains(&made.name.as_str())).try_for_each(|made| provider(repo, made))?;
    host(repo)
}

/// Whether a guest is newer than all that it is made of, by the list that Cargo puts beside it.
fn is_fresh(repo: &Repo, file: &str) -> bool {
    let file = repo.path(file);
    let Ok(list) = std::fs::read_to_string(file.with_extension("d")) else { return false };
    let versions = ["Cargo.toml", "Cargo.lock"].map(|file| repo.path(file));
    sources(&list).iter().chain(&versions).all(|source| newer(&file, source))
}

/// The sources in a rule of a makefile: `made: source source`, with a backslash before a blank that is part of a name.
fn sources(rule: &str) -> Vec<PathBuf> {
    let (_, sources) = rule.trim_end().split_once(": ").unwrap_or_default();
    let names = sources.replace("\\ ", "\0");
    names.split(' ').filter(|name| !name.is_empty()).map(|name| name.replace('\0', " ").into()).collect()
}

/// Said before a build that takes long, and never again.
pub(crate) fn announce_first_build(repo: &Repo) {
    if !program(repo, "embedded-host").exists() {
        eprintln!("Nothing is built yet. That takes up to 13 minutes on two cores, once; later starts take seconds.");
    }
}

/// The page: `static/dist`.
pub(crate) fn page(repo: &Repo) -> anyhow::Result<()> {
    install(repo, PAGE)?;
    let stamp = repo.own("page.stamp");
    let sources = hash_of_sources(repo, &[PAGE])?;
    let page = repo.path(PAGE_FILE);
    if std::fs::read_to_string(&stamp).is_ok_and(|built| built == sources) && newer(&stamp, &page) {
        return Ok(());
    }
    Step {
        log: "page",
        doing: "building the page",
        done: "built the page",
        remedy: "correct what the log names in static/, then start again.",
    }
    .run(repo, npm(repo, PAGE).args(["run", "build"]))?;
    std::fs::write(&stamp, sources).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The guests that Cargo builds: `target/wasm32-wasip2/<profile>/*.wasm`.
pub(crate) fn guests(repo: &Repo, packages: &[String], profile: Profile) -> anyhow::Result<()> {
    let mut cargo = repo.cargo();
    cargo.args(["build", "--target", prerequisites::WASM_TARGET, "--profile", profile.name()]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    Step {
        log: "components",
        doing: "building the components",
        done: "built the components",
        remedy: "correct what the compiler names, then start again.",
    }
    .run(repo, &mut cargo)
}

/// A tool provider that Cargo does not build, when it is stale.
pub(crate) fn provider(repo: &Repo, provider: &Provider) -> anyhow::Result<()> {
    let Provider { name, folder, file, command } = provider;
    let stamp = repo.own(format!("provider-{name}.stamp"));
    let sources = format!("{}\n{command}", hash_of_sources(repo, &[folder, CONTRACT])?);
    let made = repo.path(file);
    if std::fs::read_to_string(&stamp).is_ok_and(|built| built == sources) && newer(&stamp, &made) {
        return Ok(());
    }
    if python::makes(file) {
        python::is_there(repo).with_context(|| format!("the tool {name} is written in Python"))?;
    }
    if let Some(parent) = made.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    Step {
        log: &format!("provider-{name}"),
        doing: &format!("building the tool {name}"),
        done: &format!("built the tool {name}"),
        remedy: &format!("correct what the log names in {folder}/, then start again."),
    }
    .run(repo, repo.command("sh").args(["-c", command]).env("CARGO_TARGET_DIR", repo.target("")))?;
    std::fs::write(&stamp, sources).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The host that serves on a machine without Spin: `target/host/embedded-host`.
pub(crate) fn host(repo: &Repo) -> anyhow::Result<()> {
    native(repo, "embedded-host", "host", "the host")
}

/// The scripted model as a program: `target/host/scripted-model`.
pub(crate) fn model(repo: &Repo) -> anyhow::Result<()> {
    native(repo, "scripted-model", "model", "the scripted model")
}

/// The benchmark: `target/host/bench`.
pub(crate) fn bench(repo: &Repo) -> anyhow::Result<()> {
    native(repo, "bench", "bench", "the benchmark")
}

/// What migrates and copies databases: `target/host/database`.
pub(crate) fn database(repo: &Repo) -> anyhow::Result<()> {
    native(repo, "database", "database", "the database program")
}

/// Where a native program is put.
pub(crate) fn program(repo: &Repo, package: &str) -> PathBuf {
    repo.target("host").join(package)
}

fn native(repo: &Repo, package: &str, log: &str, name: &str) -> anyhow::Result<()> {
    Step {
        log,
        doing: &format!("building {name}"),
        done: &format!("built {name}"),
        remedy: "correct what the compiler names (`cargo dev doctor` says whether a C compiler is missing), then start again.",
    }
    .run(repo, repo.cargo().args(["build", "--profile", "host", "--package", package]))
}

fn newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified());
    matches!((modified(file), modified(than)), (Ok(file), Ok(than)) if file >= than)
}

/// A hash over the names and contents of all files in these folders.
fn hash_of_sources(repo: &Repo, folders: &[&str]) -> anyhow::Result<String> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| repo.path(folder)).collect();
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))? {
            let entry = entry?;
            if MADE.iter().any(|made| entry.file_name() == *made) {
                continue;
            }
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
        if files.len() + folders.len() > SOURCES_MAX {
            bail!("{} holds more than {SOURCES_MAX} files: move what is no source out of it", next.display());
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        let content = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        (file, content).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_guest_is_fresh_until_something_it_is_made_of_is_edited() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        let (wasm, source) = ("target/a.wasm", repo.path("a source.rs"));
        std::fs::create_dir(repo.path("target")).unwrap();
        for file in ["Cargo.toml", "Cargo.lock", "a source.rs", "other.rs", wasm] {
            std::fs::write(repo.path(file), "").unwrap();
        }
        assert!(!is_fresh(&repo, wasm));
        let rule = format!("{}: {}\n", repo.path(wasm).display(), source.display().to_string().replace(' ', "\\ "));
        std::fs::write(repo.path("target/a.d"), rule).unwrap();
        assert!(is_fresh(&repo, wasm));
        let later = |path: PathBuf| {
            std::fs::File::open(path).unwrap().set_modified(SystemTime::now() + Duration::from_secs(9)).unwrap();
        };
        later(repo.path("other.rs"));
        assert!(is_fresh(&repo, wasm));
        later(source);
        assert!(!is_fresh(&repo, wasm));
    }
}
