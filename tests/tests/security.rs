//! What `docs/security.md` says of the components is what `spin.toml` grants, and the tests that it names exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use tests::repository;

const DOCUMENT: &str = "docs/security.md";
const BEGIN: &str = "<!-- components: compared with spin.toml by its test -->\n";
const END: &str = "<!-- end -->";

/// Set to 1, this writes the table instead of comparing it.
const WRITE: &str = "WRITE_SECURITY";

/// The heading below which each row names the tests that cover a threat.
const THREATS: &str = "## Threats, and the tests that cover them";

fn manifest() -> Result<toml::Table> {
    Ok(toml::from_str(&fs::read_to_string(repository().join("spin.toml"))?)?)
}

fn table<'a>(value: &'a toml::Table, key: &str) -> Result<&'a toml::Table> {
    value.get(key).and_then(toml::Value::as_table).with_context(|| format!("spin.toml has no {key}"))
}

fn strings<'a>(component: &'a toml::Value, key: &str) -> Vec<&'a str> {
    let list = component.get(key).and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

/// The routes of each component; a private one is reached only from inside.
fn routes(manifest: &toml::Table) -> Result<BTreeMap<String, Vec<String>>> {
    let triggers = table(manifest, "trigger")?.get("http").and_then(toml::Value::as_array).context("no triggers")?;
    let mut routes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for trigger in triggers {
        let component = trigger.get("component").and_then(toml::Value::as_str).context("a route without component")?;
        let route =
            trigger.get("route").and_then(toml::Value::as_str).map_or("private".to_owned(), |it| format!("`{it}`"));
        routes.entry(component.to_owned()).or_default().push(route);
    }
    Ok(routes)
}

fn cell(parts: &[String]) -> String {
    if parts.is_empty() { "–".to_owned() } else { parts.join(", ") }
}

fn granted() -> Result<String> {
    let manifest = manifest()?;
    let (variables, routes) = (table(&manifest, "variables")?, routes(&manifest)?);
    let is_secret = |name: &str| {
        variables.get(name).and_then(|it| it.get("secret")).and_then(toml::Value::as_bool).unwrap_or_default()
    };
    let mut text =
        "| component | reached at | secrets | database | other hosts |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (name, component) in table(&manifest, "component")? {
        let own = component.get("variables").and_then(toml::Value::as_table);
        let secrets: Vec<_> = own
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .filter(|name| is_secret(name))
            .map(|it| format!("`{it}`"))
            .collect();
        let (databases, hosts): (Vec<_>, Vec<_>) =
            strings(component, "allowed_outbound_hosts").into_iter().partition(|host| host.starts_with("postgres://"));
        let has_database = !databases.is_empty() || !strings(component, "sqlite_databases").is_empty();
        let hosts: Vec<_> = hosts.iter().map(|host| format!("`{host}`")).collect();
        let reached = routes.get(name).with_context(|| format!("{name} has no route"))?;
        let database = if has_database { "yes" } else { "–" };
        text += &format!("| `{name}` | {} | {} | {database} | {} |\n", cell(reached), cell(&secrets), cell(&hosts));
    }
    Ok(text)
}

#[test]
fn the_document_on_security_says_what_each_component_may_reach_and_could_do() -> Result<()> {
    let path = repository().join(DOCUMENT);
    let document = fs::read_to_string(&path)?;
    let (before, rest) = document.split_once(BEGIN).context("the table's beginning is missing")?;
    let (written, after) = rest.split_once(END).context("the table's end is missing")?;
    let granted = granted()?;
    if std::env::var_os(WRITE).is_some_and(|value| value == "1") {
        fs::write(&path, format!("{before}{BEGIN}{granted}{END}{after}"))?;
        return Ok(());
    }
    assert_eq!(
        written, granted,
        "{DOCUMENT}: write it anew with {WRITE}=1, and say what the change means if somebody took the component over"
    );
    for name in table(&manifest()?, "component")?.keys() {
        ensure!(
            after.contains(&format!("**`{name}`**")) || name.starts_with("mcp-"),
            "{DOCUMENT} does not say what {name} could do"
        );
    }
    Ok(())
}

/// The names of all tests: of functions in Rust, of the first argument of `test(` in JavaScript and TypeScript.
fn names(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name, "target" | "node_modules" | "dist") {
                names(&path, found)?;
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path)?;
            found.extend(source.split("fn ").skip(1).filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        } else if name.ends_with(".test.js") || name.ends_with(".test.ts") {
            let source = fs::read_to_string(&path)?;
            found.extend(source.split("test(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    Ok(())
}

#[test]
fn the_tests_that_the_document_on_security_names_exist() -> Result<()> {
    let document = fs::read_to_string(repository().join(DOCUMENT))?;
    let (_, threats) = document.split_once(THREATS).context("the threats are missing")?;
    let threats = threats.split("\n## ").next().unwrap_or_default();
    let mut known = BTreeSet::new();
    names(&repository(), &mut known)?;
    let mut missing = Vec::new();
    let mut rows = 0;
    for row in threats
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| threat") && !line.starts_with("| ---"))
    {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        ensure!(!named.is_empty(), "no test covers this: {row}");
        missing.extend(named.into_iter().filter(|name| !known.contains(*name)).map(str::to_owned));
        rows += 1;
    }
    ensure!(rows > 0, "there are no threats");
    assert!(missing.is_empty(), "{DOCUMENT} names tests that do not exist: {missing:#?}");
    Ok(())
}
