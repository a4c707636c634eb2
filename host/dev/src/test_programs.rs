//! The programs that Cargo makes of our tests, except the embedded host's own. They are built together, whatever ring asks: Cargo
//! unites the features of what it builds together, and would compile many dependencies once more for each other choice of packages.
//! Must not run them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::step::Step;

/// The package of the tests that need the whole app.
pub(crate) const APP_TESTS: &str = "tests";
/// Their target for providers, which needs what only its ring builds.
pub(crate) const PROVIDER_TESTS: &str = "providers";

/// What each line of Cargo's about something it made begins with.
const ARTIFACT: &str = "compiler-artifact";

/// One program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestProgram {
    pub(crate) package: String,
    /// Cargo's target: the library or program itself, or a file or folder under `tests/`.
    pub(crate) target: String,
    kind: String,
    file: PathBuf,
    folder: PathBuf,
}

impl TestProgram {
    /// One that no other has: the package's for its library, with the target behind it for others.
    pub(crate) fn name(&self) -> String {
        match self.kind.as_str() {
            "bin" | "test" => format!("{}.{}.{}", self.package, self.kind, self.target),
            _ => self.package.clone(),
        }
    }

    /// What runs this one alone.
    pub(crate) fn again(&self) -> String {
        match self.kind.as_str() {
            "bin" | "test" => format!("cargo test --package {} --{} {}", self.package, self.kind, self.target),
            _ => format!("cargo test --package {} --lib", self.package),
        }
    }

    /// The program as `cargo test` would run it. What else it wants of the environment, such as where shared libraries are, is there because
    /// `cargo dev` is `cargo run`.
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

/// A line of what `cargo test --message-format json` says.
#[derive(Deserialize)]
struct Line {
    reason: String,
}

/// One about something it made, as far as it matters here.
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

/// What came of the build of this run: what is edited meanwhile is for the next one.
static BUILT: OnceLock<Option<Vec<TestProgram>>> = OnceLock::new();

/// All programs, by package and target. The first caller builds what is stale, and hears what is wrong with it.
pub(crate) fn build(repo: &Repo, manifest: &Manifest) -> anyhow::Result<&'static [TestProgram]> {
    let mut error = None;
    let built = BUILT.get_or_init(|| build_all(repo, manifest).map_err(|why| error = Some(why)).ok());
    match (built, error) {
        (Some(programs), _) => Ok(programs),
        (None, Some(error)) => Err(error),
        (None, None) => bail!("the tests were not built: see above"),
    }
}

fn build_all(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Vec<TestProgram>> {
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
    let log = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    metadata.programs(&String::from_utf8_lossy(&log))
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
        for line in log.lines().filter(|line| line.starts_with('{')) {
            let Line { reason } = serde_json::from_str(line).context("cargo says something unknown")?;
            if reason != ARTIFACT {
                continue;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"workspace_default_members":["path+file:///w/crates/sse#0.1.0"],"packages":[
        {"id":"path+file:///w/crates/sse#0.1.0","name":"sse","manifest_path":"/w/crates/sse/Cargo.toml","targets":[]},
        {"id":"path+file:///w/tests#0.1.0","name":"tests","manifest_path":"/w/tests/Cargo.toml","targets":[]}]}"#;

    /// Cargo's lines, cut short: a library's tests, a dependency, a program that tests start, tests of their own, the end.
    const LOG: &str = r#"   Compiling sse v0.1.0 (/w/crates/sse)
{"reason":"compiler-artifact","package_id":"path+file:///w/tests#0.1.0","target":{"kind":["test"],"name":"app"},"profile":{"test":true},"executable":"/t/app-1"}
{"reason":"compiler-artifact","package_id":"registry+https://example.com#memchr@2.8.3","target":{"kind":["lib"],"name":"memchr"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","package_id":"path+file:///w/tests#0.1.0","target":{"kind":["bin"],"name":"mcp-client"},"profile":{"test":false},"executable":"/t/mcp-client"}
{"reason":"compiler-artifact","package_id":"path+file:///w/crates/sse#0.1.0","target":{"kind":["lib"],"name":"sse"},"profile":{"test":true},"executable":"/t/sse-1"}
{"reason":"build-finished","success":true}
"#;

    #[test]
    fn programs_are_those_that_cargo_made_of_tests() {
        let metadata: Metadata = serde_json::from_str(METADATA).unwrap();
        assert_eq!(metadata.default_members(), ["sse"]);
        let programs = metadata.programs(LOG).unwrap();
        let told: Vec<_> = programs.iter().map(|program| (program.name(), program.again())).collect();
        let expected =
            [("sse", "cargo test --package sse --lib"), ("tests.test.app", "cargo test --package tests --test app")];
        assert_eq!(told, expected.map(|(name, again)| (name.to_owned(), again.to_owned())));
        assert_eq!(programs[0].folder, Path::new("/w/crates/sse"));
    }
}
