//! Cargo's test programs, except those of the embedded host. They are built together, whichever ring needs them. Cargo unites the features in a
//! build, and would compile many dependencies again for each other selection of packages. This module must not run them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use cargo_metadata::{Message, MetadataCommand, PackageId, TargetKind};

use crate::artifacts::Once;
use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::step::Step;

/// The package of the tests that need the whole app.
pub(crate) const APP_TESTS: &str = "tests";
/// The target of the tests for providers, which need builds that only their ring makes.
pub(crate) const PROVIDER_TESTS: &str = "providers";
/// The target of the tests that measure.
pub(crate) const PACE_TESTS: &str = "pace";

pub(crate) struct TestProgram {
    pub(crate) package: String,
    /// Cargo's target: the library or program itself, or a file or folder in `tests/`.
    pub(crate) target: String,
    kind: TargetKind,
    file: PathBuf,
    folder: PathBuf,
}

impl TestProgram {
    /// A unique name: the package's name for its library; for others also the kind and the target.
    pub(crate) fn name(&self) -> String {
        match self.kind {
            TargetKind::Bin | TargetKind::Test => format!("{}.{}.{}", self.package, self.kind, self.target),
            _ => self.package.clone(),
        }
    }

    /// The command that runs only this program.
    pub(crate) fn again(&self) -> String {
        match self.kind {
            TargetKind::Bin | TargetKind::Test => {
                format!("cargo test --package {} --{} {}", self.package, self.kind, self.target)
            }
            _ => format!("cargo test --package {} --lib", self.package),
        }
    }

    /// The program as `cargo test` would run it. Other variables, such as paths of shared libraries, are set because `cargo dev` is `cargo run`.
    pub(crate) fn command(&self, repo: &Repo) -> Command {
        let mut command = repo.command(&self.file);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

/// A program that tests start. It is built with them.
pub(crate) fn program(repo: &Repo, name: &str) -> PathBuf {
    repo.target("debug").join(name)
}

/// All programs, by package and target. The first caller builds what is stale.
pub(crate) fn build(repo: &Repo, manifest: &Manifest) -> anyhow::Result<&'static [TestProgram]> {
    static PROGRAMS: Once<Vec<TestProgram>> = Once::new("the tests");
    PROGRAMS.get(|| build_all(repo, manifest)).map(Vec::as_slice)
}

fn build_all(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Vec<TestProgram>> {
    let metadata = MetadataCommand::new().current_dir(repo.path("")).no_deps().exec()?;
    let defaults = metadata.workspace_default_packages().into_iter().map(|package| package.name.to_string());
    let mut cargo = repo.cargo();
    cargo.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    cargo.args(["--tests", "--package", APP_TESTS]);
    for package in defaults.chain(manifest.packages()) {
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
    let ours = |id: &PackageId| {
        let package = metadata.packages.iter().find(|package| package.id == *id)?;
        Some(package.name.to_string())
    };
    programs(&log, ours)
}

/// The test programs in Cargo's messages. `ours` returns the names of our packages.
fn programs(log: &[u8], ours: impl Fn(&PackageId) -> Option<String>) -> anyhow::Result<Vec<TestProgram>> {
    let mut programs = Vec::new();
    for message in Message::parse_stream(log) {
        let Message::CompilerArtifact(artifact) = message.context("cargo says something unknown")? else { continue };
        let (Some(file), Some(package), true) =
            (artifact.executable, ours(&artifact.package_id), artifact.profile.test)
        else {
            continue;
        };
        let (kind, folder) = (artifact.target.kind.into_iter().next(), artifact.manifest_path.parent());
        let (Some(kind), Some(folder)) = (kind, folder) else { continue };
        let (file, folder) = (file.into(), folder.into());
        programs.push(TestProgram { package, target: artifact.target.name, kind, file, folder });
    }
    // Cargo reports them in the order in which they are built.
    programs.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Cargo's message about a target: its kind, whether it is a test, and the executable.
    fn artifact(package: &str, kind: &str, name: &str, test: bool, executable: &str) -> String {
        let (id, folder) = match package.split_once('/') {
            Some(_) => (format!("path+file:///w/{package}#0.1.0"), format!("/w/{package}")),
            None => (format!("registry+https://example.com#{package}@1.0.0"), format!("/registry/{package}")),
        };
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"{id}","manifest_path":"{folder}/Cargo.toml","target":{{"kind":["{kind}"],"crate_types":["{kind}"],"name":"{name}","src_path":"{folder}/src/lib.rs","edition":"2024","doc":true,"doctest":true,"test":true}},"profile":{{"opt_level":"0","debuginfo":1,"debug_assertions":true,"overflow_checks":true,"test":{test}}},"features":[],"filenames":[],"executable":{executable},"fresh":false}}"#
        )
    }

    #[test]
    fn programs_are_those_that_cargo_made_of_our_tests() {
        let log = [
            "   Compiling sse v0.1.0 (/w/crates/sse)".to_owned(),
            artifact("tests/all", "test", "app", true, r#""/t/app-1""#),
            artifact("memchr", "lib", "memchr", false, "null"),
            // Tests start this program.
            artifact("tests/all", "bin", "mcp-client", false, r#""/t/mcp-client""#),
            artifact("crates/sse", "lib", "sse", true, r#""/t/sse-1""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let ours = |id: &PackageId| match id.repr.as_str() {
            "path+file:///w/crates/sse#0.1.0" => Some("sse".to_owned()),
            "path+file:///w/tests/all#0.1.0" => Some("tests".to_owned()),
            _ => None,
        };
        let programs = programs(log.join("\n").as_bytes(), ours).unwrap();
        let told: Vec<_> = programs.iter().map(|program| (program.name(), program.again())).collect();
        let expected =
            [("sse", "cargo test --package sse --lib"), ("tests.test.app", "cargo test --package tests --test app")];
        assert_eq!(told, expected.map(|(name, again)| (name.to_owned(), again.to_owned())));
        assert_eq!(programs[0].folder, Path::new("/w/crates/sse"));
    }
}
