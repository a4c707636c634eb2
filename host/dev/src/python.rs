//! The Python packages of a folder, in their own environment, installed when the lock file changes; and the build of a tool provider in Python. This
//! module must not change the machine's Python.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::repo::Repo;
use crate::step::Step;

/// The oldest Python that includes a TOML parser.
const PYTHON_MIN: [u32; 2] = [3, 11];
/// Pinned packages with their hashes. A copy in the environment records its source.
const LOCK: &str = "requirements.txt";
/// The folder of built tool providers in Python, and of their environments.
const PROVIDERS: &str = "target/python/";

/// `python <script>` in the folder's environment, run at the root.
pub(crate) fn python(repo: &Repo, folder: &str, script: &str) -> Command {
    let mut command = repo.command(program(repo, folder));
    command.arg(repo.path(folder).join(script));
    command
}

/// The Python of the folder's environment.
pub(crate) fn program(repo: &Repo, folder: &str) -> PathBuf {
    environment(repo, folder).join("bin/python")
}

/// Ensures that this machine has a Python that can make environments. The error says what is missing.
pub(crate) fn is_there(repo: &Repo) -> anyhow::Result<()> {
    let [major, minor] = PYTHON_MIN;
    let is_new = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < ({major}, {minor}))");
    let output = repo.command("python3").args(["-c", &is_new]).output();
    if !output.is_ok_and(|output| output.status.success()) {
        bail!("Python {major}.{minor} or newer with venv is missing: install it (`sudo apt-get install python3-venv`)");
    }
    Ok(())
}

/// Installs the packages of a folder, unless its environment was made from the same lock file.
pub(crate) fn install(repo: &Repo, folder: &str) -> anyhow::Result<()> {
    let name = folder.replace('/', "-");
    let _lock = repo.lock(&format!("python-{name}.lock"), "an installation")?;
    let environment = environment(repo, folder);
    let lock = repo.path(folder).join(LOCK);
    let wanted = std::fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = environment.join(LOCK);
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    is_there(repo)?;
    let mut make = repo.command("python3");
    make.args(["-m", "venv", "--clear"]).arg(&environment);
    let mut fill = repo.command(environment.join("bin/python"));
    fill.args(["-m", "pip", "install", "--no-deps", "--require-hashes", "--requirement"]);
    fill.arg(&lock);
    for (what, command) in [("environment", &mut make), ("packages", &mut fill)] {
        Step {
            log: &format!("python-{name}-{what}"),
            doing: &format!("installing the Python {what} of {folder}/"),
            done: &format!("installed the Python {what} of {folder}/"),
            remedy: "check that the Python package index can be reached. Then start again.",
        }
        .run(repo, command)?;
    }
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The command that builds a tool provider from `app.py` and `requirements.txt` in a folder, in its own environment. It is for a shell at the root,
/// and for `spin.toml`, so that `spin build` does the same.
pub(crate) fn provider_command(folder: &str, name: &str) -> String {
    let (environment, file) = (format!("{PROVIDERS}{name}"), provider_file(name));
    [
        format!("python3 -m venv {environment}"),
        format!("{environment}/bin/pip install --quiet --no-deps --require-hashes --requirement {folder}/{LOCK}"),
        // VIRTUAL_ENV names the packages that the provider uses.
        format!(
            "VIRTUAL_ENV={environment} {environment}/bin/componentize-py -d wit -w tool-provider-with-http \
             componentize -p {folder} app -o {file}"
        ),
    ]
    .join(" && ")
}

/// The path of a built provider.
pub(crate) fn provider_file(name: &str) -> String {
    format!("{PROVIDERS}{name}.wasm")
}

/// Whether Python builds this file.
pub(crate) fn makes(file: &str) -> bool {
    file.starts_with(PROVIDERS)
}

fn environment(repo: &Repo, folder: &str) -> PathBuf {
    repo.own(format!("python-{}", folder.replace('/', "-")))
}
