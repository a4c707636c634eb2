//! Prometheus' own checker reads what is written, and the rules and queries of the documents: `promtool`, of Debian's package `prometheus`, which
//! `cargo dev test` fetches into `target/promtool`. It is skipped where there is none, unless `EA_REQUIRE_PROMTOOL=1`.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use metrics::text::PREFIX;

/// The documents with alerts, and under which name their rules are tested.
const ALERTS: [(&str, &str); 2] = [("docs/slo.md", "slo.yaml"), ("docs/runbooks/find-a-fault.md", "find-a-fault.yaml")];
/// The documents with queries.
const QUERIES: [&str; 2] = ["docs/slo.md", "docs/metrics.md"];

fn here(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn document(path: &str) -> io::Result<String> {
    fs::read_to_string(here("../..").join(path))
}

/// The blocks of code in a document, without the line that names their language.
fn blocks(document: &str) -> impl Iterator<Item = &str> {
    document.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap_or_default().1)
}

/// A folder of one test.
fn folder(name: &str) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What the checker says, if it is there: whether all is well, and its words.
fn promtool(arguments: &[&str], folder: &Path, input: Stdio) -> io::Result<Option<(bool, String)>> {
    let fetched = here("../../target/promtool/usr/bin/promtool");
    let program = if fetched.exists() { fetched } else { "promtool".into() };
    let is_required = env::var_os("EA_REQUIRE_PROMTOOL").is_some_and(|value| value == "1");
    match Command::new(program).args(arguments).current_dir(folder).stdin(input).output() {
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            Ok(Some((done.status.success(), said)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && !is_required => {
            eprintln!("SKIPPED: there is no promtool: apt-get install prometheus");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let text = fs::File::open(here("tests/prometheus.txt")).unwrap();
    if let Some((is_well, said)) = promtool(&["check", "metrics"], &here("."), text.into()).unwrap() {
        assert!(is_well && said.trim().is_empty(), "{said}");
    }
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    let (folder, tests) = (folder("alerts").unwrap(), fs::read_to_string(here("tests/alerts.yaml")).unwrap());
    let mut alerts = BTreeSet::new();
    for (path, name) in ALERTS {
        let document = document(path).unwrap();
        let rules = blocks(&document).find(|block| block.starts_with("groups:")).unwrap();
        alerts.extend(rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned));
        fs::write(folder.join(name), rules).unwrap();
    }
    let fires = |alert: &String| tests.contains(&format!("labels: '{{alertname=\"{alert}\"}}'"));
    let untried: Vec<&String> = alerts.iter().filter(|alert| !fires(alert)).collect();
    assert!(!alerts.is_empty() && untried.is_empty(), "tests/alerts.yaml lets these never fire: {untried:?}");
    fs::write(folder.join("alerts.yaml"), tests).unwrap();
    if let Some((is_well, said)) = promtool(&["test", "rules", "alerts.yaml"], &folder, Stdio::null()).unwrap() {
        assert!(is_well, "{said}");
    }
}

#[test]
fn the_queries_of_the_documents_are_valid() {
    let mut rules = "groups:\n  - name: queries\n    rules:\n".to_owned();
    for path in QUERIES {
        let document = document(path).unwrap();
        let lines = blocks(&document).filter(|block| block.starts_with('#')).flat_map(str::lines);
        let queries: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
        assert!(!queries.is_empty() && queries.iter().all(|query| query.contains(PREFIX)), "{queries:#?}");
        for query in queries {
            rules += &format!("      - record: query\n        expr: |-\n          {query}\n");
        }
    }
    let folder = folder("queries").unwrap();
    fs::write(folder.join("queries.yaml"), rules).unwrap();
    if let Some((is_well, said)) = promtool(&["check", "rules", "queries.yaml"], &folder, Stdio::null()).unwrap() {
        assert!(is_well, "{said}");
    }
}
