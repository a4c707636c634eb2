//! `cargo dev coverage`: how many lines of the pure crates and of the components their tests run, by package, and an error if these are too few.
//!
//! It takes a build of its own in `target/llvm-cov-target`, some ten minutes on two cores, so it is not a ring of `cargo dev test`. Lines that only guests
//! run, as those of `mcp-server` and most of `platform`, count as not run: the tests from outside run them, and nobody measures that. Tests in files of their own
//! are left out by cargo-llvm-cov; those inside a file count as its lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;
use serde::Deserialize;

use crate::repo::Repo;

/// The folders of the packages that are measured.
const MEASURED: [&str; 2] = ["crates", "components"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The share of lines, in percent, below which it is an error
    #[arg(long, value_name = "PERCENT", default_value = "80")]
    least: f64,
    /// Also write the table here, as Markdown
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What llvm-cov exports, as far as we read it.
#[derive(Deserialize)]
struct Export {
    data: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    files: Vec<Measured>,
}

#[derive(Deserialize)]
struct Measured {
    filename: String,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        // Numbers of lines are far below where a float is inexact.
        #[expect(clippy::cast_precision_loss)]
        let share = self.covered as f64 / self.count.max(1) as f64;
        share * 100.0
    }
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let is_there = repo.cargo().args(["llvm-cov", "--version"]).output().is_ok_and(|output| output.status.success());
    anyhow::ensure!(
        is_there,
        "cargo-llvm-cov is missing: `rustup component add llvm-tools && cargo install --locked cargo-llvm-cov`, then start again"
    );
    let packages = packages(repo)?;
    let export = repo.own("coverage.json");
    std::fs::create_dir_all(repo.own("")).context("cannot write in target/")?;
    let mut cargo = repo.cargo();
    cargo.args(["llvm-cov", "--locked", "--no-fail-fast", "--json", "--summary-only"]);
    cargo.arg("--output-path").arg(&export);
    // Lines are found without it, and it is most of what a build keeps on the disk.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    for package in packages.values() {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the tests failed, or could not be measured");
    let export = std::fs::read(&export).with_context(|| format!("cannot read {}", export.display()))?;
    let table = Table::new(&serde_json::from_slice(&export).context("llvm-cov writes otherwise")?, &packages, repo);
    println!("{}", table.text());
    if let Some(out) = &arguments.out {
        std::fs::write(out, table.markdown()).with_context(|| format!("cannot write {}", out.display()))?;
    }
    if table.all.percent() < arguments.least {
        eprintln!("that is less than {} %", arguments.least);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The packages that are measured, by their folders.
fn packages(repo: &Repo) -> anyhow::Result<BTreeMap<String, String>> {
    let metadata = MetadataCommand::new().current_dir(repo.path("")).no_deps().exec()?;
    let packages = metadata.packages.iter().filter_map(|package| {
        let folder = package.manifest_path.parent()?.strip_prefix(repo.path("")).ok()?;
        let is_measured = MEASURED.iter().any(|measured| folder.starts_with(measured));
        is_measured.then(|| (folder.to_string(), package.name.to_string()))
    });
    Ok(packages.collect())
}

/// How many lines of each package were run, fewest first, and of all.
struct Table {
    packages: Vec<(String, Lines)>,
    all: Lines,
}

impl Table {
    fn new(export: &Export, folders: &BTreeMap<String, String>, repo: &Repo) -> Self {
        let mut packages: BTreeMap<&str, Lines> = BTreeMap::new();
        let mut all = Lines::default();
        for Measured { filename, summary: Summary { lines } } in export.data.iter().flat_map(|run| &run.files) {
            let Ok(file) = Path::new(filename).strip_prefix(repo.path("")) else { continue };
            let Some(package) = file.ancestors().find_map(|folder| folders.get(folder.to_str()?)) else { continue };
            for sum in [packages.entry(package).or_default(), &mut all] {
                sum.count += lines.count;
                sum.covered += lines.covered;
            }
        }
        let mut packages: Vec<_> = packages.into_iter().map(|(name, lines)| (name.to_owned(), lines)).collect();
        packages.sort_by(|(_, one), (_, other)| one.percent().total_cmp(&other.percent()));
        Self { packages, all }
    }

    fn text(&self) -> String {
        let row = |(name, lines): &(String, Lines)| {
            format!("{name:<24} {:>6} of {:>6} lines {:>6.1} %\n", lines.covered, lines.count, lines.percent())
        };
        let rows: String = self.packages.iter().map(row).collect();
        rows + row(&("all".to_owned(), self.all)).trim_end()
    }

    fn markdown(&self) -> String {
        let row = |name: &str, lines: Lines| format!("| {name} | {} | {:.1} % |\n", lines.count, lines.percent());
        let rows: String = self.packages.iter().map(|(name, lines)| row(name, *lines)).collect();
        format!("| package | lines | run by tests |\n| --- | --- | --- |\n{}{rows}", row("**all**", self.all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_for_the_package_in_whose_folder_they_are() {
        let root = tempfile::tempdir().unwrap();
        let repo = Repo::at(root.path());
        let file = |name: &str, count, covered| {
            let filename = repo.path(name).display().to_string();
            serde_json::json!({"filename": filename, "summary": {"lines": {"count": count, "covered": covered}}})
        };
        let files = [
            file("crates/one/src/lib.rs", 10, 10),
            file("components/mcp/two/src/a/b.rs", 20, 5),
            file("components/mcp/two/src/lib.rs", 10, 5),
            file("elsewhere/src/lib.rs", 100, 0),
        ];
        let export = serde_json::from_value(serde_json::json!({"data": [{"files": files}]})).unwrap();
        let folders = [("crates/one", "one"), ("components/mcp/two", "mcp-two")];
        let folders = folders.map(|(folder, name)| (folder.to_owned(), name.to_owned())).into();
        let table = Table::new(&export, &folders, &repo);
        let expected = "mcp-two                      10 of     30 lines   33.3 %\n\
                        one                          10 of     10 lines  100.0 %\n\
                        all                          20 of     40 lines   50.0 %";
        assert_eq!(table.text(), expected);
        assert!(
            table.markdown().contains("| **all** | 40 | 50.0 % |\n| mcp-two | 30 | 33.3 % |"),
            "{}",
            table.markdown()
        );
    }
}
