//! The parts of the app, built if they are stale: the page, the guests, the host, the scripted model. The page is built first, because the guest `ui`
//! contains it. Cargo decides whether its packages are stale. For the page and for tool providers in other languages, a hash of their sources
//! decides.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, bail};

use crate::manifest::{ComposedProvider, GUESTS, Manifest};
use crate::npm::{install, npm};
use crate::prerequisites;
use crate::python;
use crate::repo::{Lock, Repo};
use crate::step::Step;

/// The page's folder.
pub(crate) const PAGE: &str = "static";
const PAGE_FILE: &str = "static/dist/index.html";
/// The sources of every tool provider besides its own folder.
const CONTRACT: &str = "wit";
/// Folders among the sources that are generated or installed.
const MADE: [&str; 3] = ["node_modules", "dist", "__pycache__"];
/// The endings of files that editors write beside the edited file. Emacs also writes `#file#` and `.#file`.
const EDITORS_ENDINGS: [&str; 3] = [".swp", ".swx", "~"];
/// Vim creates and removes a file with this name to check whether it may write in a folder.
const VIM_PROBE: &str = "4913";
/// More sources than the page or a provider has. It stops a hash that was started in the wrong folder.
const SOURCES_MAX: usize = 5_000;

/// How Cargo builds the guests. The folder under `target/wasm32-wasip2/` has the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As for deployment, tests and benchmarks.
    Release,
    /// Builds in a fraction of the time, also after an edit, but the guests are slower: for `up` and `tool`.
    Quick,
}

impl Profile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
        }
    }

    /// The folder of the guests, relative to the root.
    pub(crate) const fn guests(self) -> &'static str {
        match self {
            Self::Release => GUESTS,
            Self::Quick => "target/wasm32-wasip2/quick/",
        }
    }
}

/// Allows one build at a time. Waits for the build of another `cargo dev`.
pub(crate) fn lock(repo: &Repo) -> anyhow::Result<Lock> {
    repo.lock("lock", "the build")
}

/// A result that one run of this program builds once, however often it is requested. Later edits are for the next run.
pub(crate) struct Once<T> {
    what: &'static str,
    built: OnceLock<Option<T>>,
}

impl<T> Once<T> {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, built: OnceLock::new() }
    }

    /// The first caller builds it. Only this caller gets the error itself.
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

/// The page, the components, the host, and more guests beside them.
pub(crate) fn app_and(repo: &Repo, manifest: &Manifest, more_guests: &[&str], profile: Profile) -> anyhow::Result<()> {
    components(repo, manifest, more_guests, profile)?;
    host(repo)
}

/// The page, the components and more guests, without the host.
pub(crate) fn components(
    repo: &Repo,
    manifest: &Manifest,
    more_guests: &[&str],
    profile: Profile,
) -> anyhow::Result<()> {
    guests(repo, manifest, more_guests, profile)?;
    manifest.providers()?.iter().try_for_each(|made| provider(repo, made))
}

/// The host, all guests, and those providers of these tool servers that Cargo does not build.
pub(crate) fn tool_servers(repo: &Repo, names: &[&str], profile: Profile) -> anyhow::Result<()> {
    let manifest = Manifest::read(repo)?;
    guests(repo, &manifest, &[], profile)?;
    let providers = manifest.providers()?;
    providers.iter().filter(|made| names.contains(&made.name.as_str())).try_for_each(|made| provider(repo, made))?;
    host(repo)
}

/// Tells the person that the first build takes long. Later builds are not announced.
pub(crate) fn announce_first_build(repo: &Repo, profile: Profile) {
    if !program(repo, "embedded-host").exists() || !repo.path(profile.guests()).exists() {
        eprintln!(
            "Nothing is built yet. The first build takes up to ten minutes on two cores; later starts take seconds."
        );
    }
}

/// The page: `static/dist`.
fn page(repo: &Repo) -> anyhow::Result<()> {
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

/// The guests that Cargo builds: `target/wasm32-wasip2/<profile>/*.wasm`. They are always built together, because Cargo unites the features of the
/// packages in a build. A build of fewer guests would compile them with other features, and the next start would compile all of them again.
fn guests(repo: &Repo, manifest: &Manifest, more: &[&str], profile: Profile) -> anyhow::Result<()> {
    prerequisites::wasm_target(repo)?;
    page(repo)?;
    let mut cargo = repo.cargo();
    cargo.args(["build", "--target", prerequisites::WASM_TARGET, "--profile", profile.name()]);
    let packages = manifest.packages();
    for package in packages.iter().map(String::as_str).chain(more.iter().copied()) {
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

/// Builds a tool provider that Cargo does not build, if it is stale.
pub(crate) fn provider(repo: &Repo, provider: &ComposedProvider) -> anyhow::Result<()> {
    let ComposedProvider { name, folder, file, command } = provider;
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
    .run(
        repo,
        // The build program reports the mistake and its place. Its own backtrace would only push them out of the shown lines.
        repo.command("sh").args(["-c", command]).env("CARGO_TARGET_DIR", repo.target("")).env("RUST_BACKTRACE", "0"),
    )?;
    std::fs::write(&stamp, sources).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The host for machines without Spin: `target/host/embedded-host`.
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

/// The program that migrates and copies databases: `target/host/database`.
pub(crate) fn database(repo: &Repo) -> anyhow::Result<()> {
    native(repo, "database", "database", "the database program")
}

/// The path of a native program.
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
            if is_no_source(&entry.file_name().to_string_lossy()) {
                continue;
            }
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
        if files.len() + folders.len() > SOURCES_MAX {
            bail!(
                "{} contains more than {SOURCES_MAX} files: move files that are not sources out of it",
                next.display()
            );
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

/// Whether a file or folder with this name is ignored when sources are hashed or watched.
pub(crate) fn is_no_source(name: &str) -> bool {
    let is_between = |first: &str, last: &str| name.strip_prefix(first).is_some_and(|rest| rest.ends_with(last));
    MADE.contains(&name)
        || EDITORS_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || is_between("#", "#")
        || is_between(".#", "")
        || name == VIM_PROBE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_and_what_editors_leave_does_not_make_the_page_or_a_provider_stale() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        std::fs::create_dir_all(repo.path("source/dist")).unwrap();
        std::fs::write(repo.path("source/app.py"), "").unwrap();
        let before = hash_of_sources(&repo, &["source"]).unwrap();
        for file in ["dist/app.js", ".app.py.swp", "app.py~", "#app.py#", "4913"] {
            std::fs::write(repo.path("source").join(file), "").unwrap();
        }
        // Emacs locks a file with a link to nothing.
        std::os::unix::fs::symlink("me@here.1", repo.path("source/.#app.py")).unwrap();
        assert_eq!(hash_of_sources(&repo, &["source"]).unwrap(), before);
        std::fs::write(repo.path("source/more.py"), "").unwrap();
        assert_ne!(hash_of_sources(&repo, &["source"]).unwrap(), before);
    }

    #[test]
    fn a_provider_that_cannot_be_built_shows_the_mistake_without_a_backtrace_of_the_build_program() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        for sources in ["source", CONTRACT] {
            std::fs::create_dir(repo.path(sources)).unwrap();
        }
        let made = ComposedProvider {
            name: "luck".to_owned(),
            folder: "source".to_owned(),
            file: "target/other/luck.wasm".to_owned(),
            command: "echo no module named x; echo backtrace: $RUST_BACKTRACE; exit 1".to_owned(),
        };
        let error = provider(&repo, &made).unwrap_err().to_string();
        for expected in ["no module named x", "backtrace: 0", "correct what the log names in source/"] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
