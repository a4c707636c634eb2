//! The npm packages of a folder, installed if they are missing or older than the lock file.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::repo::Repo;
use crate::step::Step;

/// `npm --prefix <folder> ...`, run at the root.
pub(crate) fn npm(repo: &Repo, folder: &str) -> Command {
    let mut command = repo.command("npm");
    // Logs contain no colours and no messages about npm itself.
    command.args(["--prefix", folder]).env("NO_UPDATE_NOTIFIER", "1").env("NO_COLOR", "1");
    command
}

/// Runs `npm ci` in a folder whose packages are stale.
pub(crate) fn install(repo: &Repo, folder: &str) -> anyhow::Result<()> {
    let name = format!("npm-{}", folder.replace('/', "-"));
    let _lock = repo.lock(&format!("{name}.lock"), "an installation")?;
    if !stale(&repo.path(folder))? {
        return Ok(());
    }
    Step {
        log: &name,
        doing: &format!("installing the npm packages of {folder}/"),
        done: &format!("installed the npm packages of {folder}/"),
        remedy: "install Node.js 20 or newer, which brings npm (https://nodejs.org); if it is there, check that the \
                 npm registry can be reached. Then start again.",
    }
    .run(repo, npm(repo, folder).args(["ci", "--no-audit", "--no-fund"]))
}

/// Whether the lock file that npm writes into `node_modules` at the end is missing or older than ours.
fn stale(folder: &Path) -> anyhow::Result<bool> {
    let ours = folder.join("package-lock.json");
    let wanted = ours.metadata().and_then(|file| file.modified());
    let wanted = wanted.with_context(|| format!("cannot read {}", ours.display()))?;
    let installed = folder.join("node_modules/.package-lock.json").metadata().and_then(|file| file.modified());
    Ok(installed.map_or(true, |installed| installed < wanted))
}
