//! Paths in the repository, and commands that run at its root. This module does not know what is built.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::step::aside;

/// The folder for this program's logs and stamps, under the target directory.
const OWN_FOLDER: &str = "dev";

/// Files that identify the root of this repository.
const AT_ROOT: [&str; 2] = ["spin.toml", "host/dev/Cargo.toml"];

/// The working copy that this program was started in.
pub(crate) struct Repo {
    root: PathBuf,
}

/// An exclusive lock in this working copy, also against another `cargo dev`, until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Repo {
    /// Finds the root at run time, because a copied working copy contains this program, compiled elsewhere.
    pub(crate) fn here() -> anyhow::Result<Self> {
        // Cargo sets the folder of the package that it runs: <root>/host/dev.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = std::env::current_dir().context("cannot find out the current folder")?;
        let is_root = |folder: &&Path| AT_ROOT.iter().all(|file| folder.join(file).is_file());
        let root = package.iter().map(PathBuf::as_path).chain([here.as_path()]).flat_map(Path::ancestors).find(is_root);
        let root = root.with_context(|| format!("{} is not in a working copy of Edge Assistant", here.display()))?;
        // File watchers report paths without links.
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

    /// A path in cargo's target directory. It is always at the root, because `spin.toml` names the guests there.
    pub(crate) fn target(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join("target").join(relative)
    }

    /// A file of this program, such as a log.
    pub(crate) fn own(&self, name: impl AsRef<Path>) -> PathBuf {
        self.target(OWN_FOLDER).join(name)
    }

    /// Waits for the lock with this name. `what` is what the person waits for: "the build".
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

    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.env("CARGO_TARGET_DIR", self.target(""));
        cargo
    }
}
