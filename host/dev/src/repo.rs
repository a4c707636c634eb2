//! Where things lie in the repository, and commands that run at its root. Must not know what is built or why.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder under the target directory that holds this program's logs and stamps.
const OWN_FOLDER: &str = "dev";

/// The working copy that this program was compiled from.
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    pub(crate) fn of_this_program() -> Self {
        // This package is <root>/host/dev.
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: package.ancestors().nth(2).unwrap_or(package).to_path_buf() }
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
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
