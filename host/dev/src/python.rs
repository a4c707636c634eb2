//! Python packages of a folder, in an environment of their own, installed when its lock file changed; how a tool provider in Python is built.
//! Must not touch the Python of the machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::repo::Repo;
use crate::step::Step;

/// The oldest Python that reads TOML by itself.
const PYTHON_MIN: [u32; 2] = [3, 11];
/// Pinned packages with their hashes; a copy in the environment says what it was made from.
const LOCK: &str = "requirements.txt";
/// Where tool providers in Python are put, with their environments beside them.
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

/// Makes sure that this machine has a Python that can make environments; the error says what is missing.
pub(crate) fn is_there(repo: &Repo) -> anyhow::Result<()> {
    let [major, minor] = PYTHON_MIN;
    let is_new = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < ({major}, {minor}))");
    let output = repo.command("python3").args(["-c", &is_new]).output();
    if !output.is_ok_and(|output| output.status.success()) {
        bail!("Python {major}.{minor} or newer with venv is missing: install it (`sudo apt-get install python3-venv`)");
    }
    Ok(())
}

/// Installs the packages of a folder whose environment is not made from its lock file.
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

/// What makes a tool provider out of `app.py` and `requirements.txt` in a folder, in an environment of its own; for a shell at the
/// root, and for `spin.toml`, so that `spin build` does the same.
pub(crate) fn provider_command(folder: &str, name: &str) -> String {
    let (environment, file) = (format!("{PROVIDERS}{name}"), provider_file(name));
    [
        format!("python3 -m venv {environment}"),
        format!("{environment}/bin/pip install --quiet --no-deps --require-hashes --requirement {folder}/{LOCK}"),
        // VIRTUAL_ENV says where the packages are that the provider uses.
        format!(
            "VIRTUAL_ENV={environment} {environment}/bin/componentize-py -d wit -w tool-provider-with-http \
             componentize -p {folder} app -o {file}"
        ),
    ]
    .join(" && ")
}

/// Where such a provider is put.
pub(crate) fn provider_file(name: &str) -> String {
    format!("{PROVIDERS}{name}.wasm")
}

/// Whether a file is made by Python.
pub(crate) fn makes(file: &str) -> bool {
    file.starts_with(PROVIDERS)
}

fn environment(repo: &Repo, folder: &str) -> PathBuf {
    repo.own(format!("python-{}", folder.replace('/', "-")))
}
