//! The programs that Cargo makes of our tests, except the embedded host's own. They are built together, whatever ring asks: Cargo
//! unites the features of what it builds together, and would compile many dependencies once more for each other choice of packages.
//! Must not run them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::step::Step;

/// The package of the tests that need the whole app.
pub(crate) const APP_TESTS: &str = "tests";
/// Their target for providers, which needs what only its ring builds.
pub(crate) const PROVIDER_TESTS: &str = "providers";

/// One program.
pub(crate) struct TestProgram {
    pub(crate) package: String,
    /// What tests of it are in: the library or program itself, or a file or folder under `tests/`.
    pub(crate) target: String,
    kind: String,
    file: PathBuf,
    folder: PathBuf,
}

impl TestProgram {
    /// One that no other has: the package's for its library, with `bin` or what is under `tests/` behind it for others.
    pub(crate) fn name(&self) -> String {
        match self.kind.as_str() {
            "bin" => format!("{}-bin", self.package),
            "test" => format!("{}-{}", self.package, self.target),
            _ => self.package.clone(),
        }
    }

    /// The program as `cargo test` would run it.
    pub(crate) fn command(&self, repo: &Repo) -> Command {
        let mut command = repo.command(&self.file);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

/// A program that tests start, which is built with them.
pub(crate) fn program(repo: &Repo, name: &str) -> PathBuf {
    repo.target("debug").join(name)
}

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_default_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
}

/// A line of what `cargo test --message-format json` says, as far as it matters here.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds what is stale. By package and target.
pub(crate) fn build(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Vec<TestProgram>> {
    let metadata = metadata(repo)?;
    let mut cargo = repo.cargo();
    cargo.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    cargo.args(["--tests", "--package", APP_TESTS]);
    for package in metadata.default_members().into_iter().chain(manifest.packages()) {
        cargo.args(["--package", &package]);
    }
    let step = Step {
        log: "test-programs",
        doing: "building the tests",
        done: "built the tests",
        remedy: "correct what the compiler names, then start again.",
    };
    step.run(repo, &mut cargo)?;
    let log = step.log_file(repo);
    let log = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    metadata.programs(&log)
}

fn metadata(repo: &Repo) -> anyhow::Result<Metadata> {
    let mut cargo = repo.cargo();
    let output =
        cargo.args(["metadata", "--format-version", "1", "--no-deps"]).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("cargo metadata says something unknown")
}

impl Metadata {
    fn default_members(&self) -> Vec<String> {
        let is_default = |package: &&Package| self.workspace_default_members.contains(&package.id);
        self.packages.iter().filter(is_default).map(|package| package.name.clone()).collect()
    }

    fn programs(&self, log: &str) -> anyhow::Result<Vec<TestProgram>> {
        let packages: HashMap<&str, &Package> =
            self.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let mut programs = Vec::new();
        for line in log.lines().filter(|line| line.starts_with(r#"{"reason":"compiler-artifact""#)) {
            let artifact: Artifact = serde_json::from_str(line).context("cargo says something unknown")?;
            let package = packages.get(artifact.package_id.as_str());
            let (Some(file), Some(package), true) = (artifact.executable, package, artifact.profile.test) else {
                continue;
            };
            let folder = package.manifest_path.parent().unwrap_or(Path::new("")).to_owned();
            programs.push(TestProgram {
                package: package.name.clone(),
                target: artifact.target.name,
                kind: artifact.target.kind.into_iter().next().unwrap_or_default(),
                file,
                folder,
            });
        }
        // Cargo tells of them in the order in which they are ready.
        programs.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
        Ok(programs)
    }
}
