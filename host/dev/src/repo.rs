//! Where things lie in the repository, and commands that run at its root. Must not know what is built or why.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::step::aside;

/// The folder under the target directory that holds this program's logs and stamps.
const OWN_FOLDER: &str = "dev";

/// What only the root of this repository has.
const AT_ROOT: [&str; 2] = ["spin.toml", "host/dev/Cargo.toml"];

/// The working copy that this program was started in.
pub(crate) struct Repo {
    root: PathBuf,
}

/// Nobody else does the same in this working copy until this is dropped, no other `cargo dev` either.
pub(crate) struct Lock {
    _file: File,
}

impl Repo {
    /// Looked for when it runs: a copied working copy brings this program along, compiled elsewhere.
    pub(crate) fn here() -> anyhow::Result<Self> {
        // Cargo says where the package is that it runs: <root>/host/dev.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = std::env::current_dir().context("the current folder cannot be told")?;
        let is_root = |folder: &&Path| AT_ROOT.iter().all(|file| folder.join(file).is_file());
        let root = package.iter().map(PathBuf::as_path).chain([here.as_path()]).flat_map(Path::ancestors).find(is_root);
        let root = root.with_context(|| format!("{} is not in a working copy of Edge Assistant", here.display()))?;
        // Watchers name changed files without links in their paths.
        let root = root.canonicalize().with_context(|| format!("cannot find {}", root.display()))?;
        Ok(Self { root })
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.canonicalize().unwrap() }
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// What cargo builds. Always at the root, since `spin.toml` names the guests there.
    pub(crate) fn target(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join("target").join(relative)
    }

    /// A file of this program's own, such as a log.
    pub(crate) fn own(&self, name: impl AsRef<Path>) -> PathBuf {
        self.target(OWN_FOLDER).join(name)
    }

    /// Waits until nobody else holds the lock of this name; `what` says on what a person waits: "the build".
    pub(crate) fn lock(&self, name: &str, what: &str) -> anyhow::Result<Lock> {
        std::fs::create_dir_all(self.own("")).context("cannot make target/dev")?;
        let path = self.own(name);
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if file.try_lock().is_err() {
            aside(|| eprintln!("waiting for {what} of another `cargo dev` to end ..."));
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(Lock { _file: file })
    }

    /// A command that runs at the root.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that started this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.env("CARGO_TARGET_DIR", self.target(""));
        cargo
    }
}
