//! The rules of this repository, checked with `cargo metadata`, the manifest and the files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{array, files, repository, shown, text};

/// Libraries that know the outside: a pure crate must not use them.
const IMPURE: [&str; 8] =
    ["spin-sdk", "tokio", "tokio-postgres", "hyper", "hyper-util", "reqwest", "rusqlite", "wasmtime"];

/// The one crate that knows Spin.
const PLATFORM: &str = "platform";

/// Our crates that a tool provider may use besides `tool-provider`. `upstream` is not pure: it is the way out of tools that use a server.
const FOR_AUTHORS: [&str; 4] = ["exact-json", "hypertext", "time-zone", "upstream"];

/// A file longer than this has more than one reason to exist.
const FILE_MAX_LINES: usize = 500;

/// Folders whose files import each other in one direction only.
const LAYERED: [&str; 3] = ["components/tools/src", "crates/tool-catalogue/src", "crates/cache/src"];

/// What a component may reach.
#[derive(Debug, PartialEq)]
struct Rights<'a> {
    component: &'a str,
    hosts: Vec<&'a str>,
    databases: Vec<&'a str>,
    stores: Vec<&'a str>,
}

/// The server that `database_url` may name.
const DATABASE: &str = "postgres://{{ database_host }}";

/// Where every tool server reads the public keys of whoever calls it, and where all components that record spans send them. `ops` asks nobody who they are for
/// that, and nothing else that it answers is secret or changes anything.
const OPS: &str = "http://ops.spin.internal";
const TOOLS: &str = "http://tools.spin.internal";
const HOOKS: &str = "http://webhooks.spin.internal";
const FILES: &str = "http://files.spin.internal";

/// Components that ask no caller who it is: they have nothing to protect. `extract` gives back what it was sent, as text (docs/adr/0055).
const ASK_NOBODY: [&str; 2] = ["ops", "extract"];

/// The beginning of tool servers' ids; the adapter that they all are; the folder of the providers that are composed into it.
const TOOL_SERVER: &str = "mcp-";
const ADAPTER: &str = "mcp-server";
const PROVIDERS: &str = "components/mcp";

/// What each component may reach: hosts, SQLite databases, key-value stores. A change of rights is a change here. A tool server that is not listed
/// here may reach nothing but `ops`, and `tools` may reach all tool servers.
fn rights() -> Vec<Rights<'static>> {
    let component = |component, hosts: &[&'static str], databases: &[&'static str]| Rights {
        component,
        hosts: hosts.to_vec(),
        databases: databases.to_vec(),
        stores: Vec::new(),
    };
    vec![
        component("admin", &[DATABASE, OPS], &["default"]),
        component(
            "auth",
            &[DATABASE, FILES, OPS, "http://search.spin.internal", TOOLS, HOOKS, "{{ oidc_host }}"],
            &["default"],
        ),
        component("chat", &[DATABASE, OPS, TOOLS], &["default"]),
        component("extract", &[], &[]),
        component("files", &[DATABASE, "http://extract.spin.internal", OPS, "{{ file_store_host }}"], &["default"]),
        component("mcp-calendar", &[OPS, "{{ calendar_host }}"], &[]),
        component("mcp-http", &[OPS, "{{ api_host }}"], &[]),
        component("mcp-mail", &[OPS, "{{ mail_host }}"], &[]),
        component("mcp-web", &[OPS, "https://*:443", "{{ search_host }}"], &[]),
        component("oauth", &[DATABASE, "{{ client_documents_host }}"], &["default"]),
        component(
            "ops",
            &[
                DATABASE,
                "http://auth.spin.internal",
                "http://chat.spin.internal",
                "http://files.spin.internal",
                "http://stream.spin.internal",
                "http://tools.spin.internal",
                "{{ otlp_host }}",
            ],
            &["default"],
        ),
        component("search", &[DATABASE, OPS], &["default"]),
        component(
            "stream",
            &[
                DATABASE,
                FILES,
                OPS,
                TOOLS,
                HOOKS,
                "https://*:*",
                "http://127.0.0.1:*",
                "http://[::1]:*",
                "http://localhost:*",
            ],
            &["default"],
        ),
        component(
            "tools",
            &[DATABASE, FILES, OPS, "{{ remote_mcp_host }}", "{{ remote_mcp_authorization_host }}"],
            &["default"],
        ),
        component("ui", &[], &[]),
        component("webhooks", &[DATABASE, "{{ webhook_host }}"], &["default"]),
    ]
}

/// A package of the workspace, and its dependencies other than those for its tests and its build.
struct Package {
    name: String,
    folder: PathBuf,
    dependencies: BTreeSet<String>,
}

fn packages() -> Result<Vec<Package>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let package = |package: &Value| {
        let manifest = PathBuf::from(text(package, "/manifest_path")?);
        let dependencies = array(package, "/dependencies")?;
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        Ok(Package {
            name: text(package, "/name")?,
            folder: manifest.parent().context("a manifest lies in a folder")?.to_owned(),
            dependencies: normal.map(|dependency| text(dependency, "/name")).collect::<Result<_>>()?,
        })
    };
    array(&metadata, "/packages")?.iter().map(package).collect()
}

fn packages_in(folder: &str) -> Result<Vec<Package>> {
    let folder = repository().join(folder);
    Ok(packages()?.into_iter().filter(|package| package.folder.parent() == Some(&folder)).collect())
}

fn manifest() -> Result<toml::Table> {
    Ok(toml::from_str(&fs::read_to_string(repository().join("spin.toml"))?)?)
}

fn components(manifest: &toml::Table) -> Result<BTreeMap<&str, &toml::Value>> {
    let components = manifest.get("component").and_then(toml::Value::as_table).context("no components")?;
    Ok(components.iter().map(|(name, component)| (name.as_str(), component)).collect())
}

fn list<'a>(component: &'a toml::Value, key: &str) -> Vec<&'a str> {
    let list = component.get(key).and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

#[test]
fn pure_crates_know_nothing_of_the_outside() -> Result<()> {
    let crates = packages_in("crates")?;
    assert!(crates.iter().any(|package| package.name == PLATFORM));
    for package in crates.iter().filter(|package| package.name != PLATFORM) {
        let impure: Vec<_> = package.dependencies.iter().filter(|name| IMPURE.contains(&name.as_str())).collect();
        assert!(impure.is_empty(), "{} depends on {impure:?}", package.name);
        assert!(!package.dependencies.contains(PLATFORM), "{} depends on {PLATFORM}", package.name);
    }
    Ok(())
}

#[test]
fn tool_providers_know_nothing_of_the_house_but_their_contract() -> Result<()> {
    let ours: BTreeSet<_> = packages()?.into_iter().map(|package| package.name).collect();
    for package in packages_in(PROVIDERS)? {
        let used: Vec<_> =
            package.dependencies.intersection(&ours).filter(|name| !FOR_AUTHORS.contains(&name.as_str())).collect();
        assert_eq!(used, ["tool-provider"], "{}", package.name);
        assert!(!package.dependencies.contains("spin-sdk"), "{} knows Spin", package.name);
    }
    Ok(())
}

#[test]
fn only_components_and_one_crate_know_spin() -> Result<()> {
    let components: BTreeSet<_> = packages_in("components")?.into_iter().map(|package| package.name).collect();
    for package in packages()?.iter().filter(|package| package.dependencies.contains("spin-sdk")) {
        // Guests that are not part of the app: for tests, and for comparison in the benchmark.
        let fixture =
            package.folder.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "guest");
        assert!(
            fixture || package.name == PLATFORM || components.contains(&package.name),
            "{} knows Spin",
            package.name
        );
    }
    Ok(())
}

#[test]
fn nobody_depends_on_a_component() -> Result<()> {
    let components: BTreeSet<_> = packages_in("components")?.into_iter().map(|package| package.name).collect();
    for package in packages()? {
        let used: Vec<_> = package.dependencies.intersection(&components).collect();
        assert!(used.is_empty(), "{} depends on {used:?}", package.name);
    }
    Ok(())
}

#[test]
fn a_component_has_one_name_everywhere() -> Result<()> {
    let manifest = manifest()?;
    let components = components(&manifest)?;
    let mut packages: BTreeSet<String> = BTreeSet::new();
    for package in packages_in("components")? {
        let folder = package.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert_eq!(folder, package.name, "the folder is called otherwise than the package");
        packages.insert(package.name);
    }
    assert!(packages.remove(ADAPTER), "there is no adapter");
    let (servers, others): (Vec<_>, Vec<_>) =
        components.into_iter().partition(|(name, _)| name.starts_with(TOOL_SERVER));
    let named: BTreeSet<String> = others.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, packages, "spin.toml and components/ differ");
    for (name, component) in others {
        assert_eq!(text_at(component, &["source"]), Some(wasm(name)), "{name}");
    }
    for (name, component) in servers {
        assert_eq!(text_at(component, &["source"]), Some(wasm(ADAPTER)), "{name}");
        let folder = name.strip_prefix(TOOL_SERVER).unwrap_or_default();
        let folder = repository().join(PROVIDERS).join(folder);
        assert!(folder.is_dir(), "{name} has no folder {}", shown(&folder));
        if folder.join("Cargo.toml").exists() {
            let path = text_at(component, &["dependencies", "edge-assistant:tools/provider@2.0.0", "path"]);
            assert_eq!(path, Some(wasm(name)), "{name}");
        }
    }
    for package in packages_in(PROVIDERS)? {
        let folder = package.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert_eq!(package.name, format!("{TOOL_SERVER}{folder}"), "the folder is called otherwise than the package");
    }
    Ok(())
}

fn wasm(package: &str) -> String {
    format!("target/wasm32-wasip2/release/{}.wasm", package.replace('-', "_"))
}

fn text_at(value: &toml::Value, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(value, |value, key| value.get(*key));
    found.and_then(toml::Value::as_str).map(str::to_owned)
}

#[test]
fn components_have_the_rights_that_are_written_here() -> Result<()> {
    let manifest = manifest()?;
    let components = components(&manifest)?;
    let servers: Vec<_> = components.keys().filter(|name| name.starts_with(TOOL_SERVER)).copied().collect();
    let addresses: Vec<_> = servers.iter().map(|name| format!("http://{name}.spin.internal")).collect();
    let names: Vec<_> = servers.iter().filter_map(|name| name.strip_prefix(TOOL_SERVER)).collect();
    let mut granted: Vec<_> = components
        .iter()
        .map(|(name, component)| Rights {
            component: name,
            hosts: list(component, "allowed_outbound_hosts"),
            databases: list(component, "sqlite_databases"),
            stores: list(component, "key_value_stores"),
        })
        .collect();
    for rights in granted.iter_mut().filter(|rights| rights.component == "tools") {
        let reached: BTreeSet<&str> = rights.hosts.iter().copied().filter(|host| host.contains("//mcp-")).collect();
        assert_eq!(
            reached,
            addresses.iter().map(String::as_str).collect(),
            "tools reaches other servers than there are"
        );
        rights.hosts.retain(|host| !host.contains("//mcp-"));
    }
    granted.retain(|rights| {
        let nothing = rights.hosts == [OPS] && rights.databases.is_empty() && rights.stores.is_empty();
        !(nothing && rights.component.starts_with(TOOL_SERVER))
    });
    assert_eq!(granted, rights(), "rights changed: if that is meant, change them here with a reason in the commit");
    let listed =
        components.get("tools").and_then(|tools| text_at(tools, &["variables", "tool_servers"])).unwrap_or_default();
    let listed: BTreeSet<&str> = listed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    assert_eq!(listed, names.into_iter().collect(), "tool_servers of tools lists other servers than there are");
    Ok(())
}

#[test]
fn a_component_can_prove_its_calls_to_those_that_it_may_reach_and_a_tool_server_knows_its_name() -> Result<()> {
    let manifest = manifest()?;
    let components = components(&manifest)?;
    for (caller, component) in &components {
        let hosts = list(component, "allowed_outbound_hosts");
        for callee in components.keys().filter(|callee| !ASK_NOBODY.contains(callee)) {
            let reaches = hosts.contains(&format!("http://{callee}.spin.internal").as_str());
            assert_eq!(inside_token::may_call(caller, callee), reaches, "{caller} and {callee}");
        }
        let audience = text_at(component, &["variables", "audience"]);
        assert_eq!(audience.as_deref(), caller.starts_with(TOOL_SERVER).then_some(*caller), "{caller}");
    }
    Ok(())
}

#[test]
fn components_see_only_variables_that_the_application_declares() -> Result<()> {
    let manifest = manifest()?;
    let declared = manifest.get("variables").and_then(toml::Value::as_table).context("no variables")?;
    for (name, component) in components(&manifest)? {
        let variables = component.get("variables").and_then(toml::Value::as_table);
        for (key, value) in variables.into_iter().flatten() {
            // A value without a template is not a variable of the application.
            if !value.as_str().is_some_and(|value| value.contains("{{")) {
                continue;
            }
            assert_eq!(value.as_str(), Some(format!("{{{{ {key} }}}}").as_str()), "{name}: {key} is called otherwise");
            assert!(declared.contains_key(key), "{name}: {key} is not declared");
        }
    }
    let secrets = declared.iter().filter(|(name, _)| {
        name.ends_with("_key")
            || name.ends_with("_secret")
            || ["database_url", "oidc_providers", "remote_mcp_servers"].contains(&name.as_str())
    });
    for (name, variable) in secrets {
        assert_eq!(variable.get("secret").and_then(toml::Value::as_bool), Some(true), "{name} is a secret");
    }
    Ok(())
}

#[test]
fn every_component_with_a_database_but_one_can_read_what_is_encrypted() -> Result<()> {
    let manifest = manifest()?;
    let without = components(&manifest)?.into_iter().filter(|(_, component)| {
        !list(component, "sqlite_databases").is_empty() && text_at(component, &["variables", "master_key"]).is_none()
    });
    let without: Vec<_> = without.map(|(name, _)| name).collect();
    assert_eq!(without, ["ops"], "its key is left in clear by crates/storage/src/installation_secrets.rs");
    Ok(())
}

#[test]
fn every_source_file_says_what_it_is_for_and_is_not_too_long() -> Result<()> {
    for folder in ["components", "crates", "host", "tests"] {
        let found = files(&repository().join(folder), ".rs")?;
        assert!(!found.is_empty(), "nothing in {folder}");
        for path in found {
            let source = fs::read_to_string(&path)?;
            assert!(source.starts_with("//! "), "{} does not begin with what it is for", shown(&path));
            let lines = source.lines().count();
            assert!(lines <= FILE_MAX_LINES, "{} has {lines} lines", shown(&path));
        }
    }
    Ok(())
}

/// The modules that a file imports from its own crate: the first name after each `crate::`.
fn imported(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in source.split("crate::").skip(1) {
        let (mut depth, mut is_first) = (0_u32, true);
        let mut name = String::new();
        for letter in path.chars() {
            if is_first && (letter.is_alphanumeric() || letter == '_') {
                name.push(letter);
                continue;
            }
            match letter {
                '{' => depth += 1,
                '}' if depth <= 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    names.insert(std::mem::take(&mut name));
                    is_first = true;
                    continue;
                }
                _ if depth == 0 => break,
                _ => {}
            }
            is_first = is_first && name.is_empty();
        }
        names.insert(name);
    }
    names
}

#[test]
fn files_of_layered_crates_import_only_those_below_them() -> Result<()> {
    for folder in LAYERED {
        let mut left = BTreeMap::new();
        for path in files(&repository().join(folder), ".rs")? {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            // `lib` is common to the crate, and `tests` only tests.
            if !["lib", "tests"].contains(&name.as_str()) {
                left.insert(name, imported(&fs::read_to_string(&path)?));
            }
        }
        assert!(!left.is_empty(), "nothing in {folder}");
        loop {
            let names: BTreeSet<String> = left.keys().cloned().collect();
            left.retain(|_, imported| !imported.is_disjoint(&names));
            if left.len() == names.len() {
                break;
            }
        }
        assert!(left.is_empty(), "{folder} has circles of imports among {:?}", left.keys());
    }
    Ok(())
}

#[test]
fn every_component_that_knows_people_has_its_routes_in_the_table_of_permissions() -> Result<()> {
    let document = fs::read_to_string(repository().join("docs/permissions.md"))?;
    // The page and tool servers have no database.
    let knows_people = |package: &Package| package.dependencies.contains("storage");
    for package in packages_in("components")?.into_iter().filter(knows_people) {
        let section = format!("<!-- {}: written by its test -->", package.name);
        assert!(document.contains(&section), "docs/permissions.md has no section for {}", package.name);
    }
    Ok(())
}

#[test]
fn applied_migrations_each_have_a_number_of_their_own() -> Result<()> {
    let mut names: Vec<String> = files(&repository().join("migrations"), ".sql")?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    // A migration that differs between the databases has two files.
    for name in names.clone() {
        if let Some(name) = name.strip_suffix(".sqlite.sql") {
            assert!(names.contains(&format!("{name}.postgres.sql")), "{name} is for SQLite alone");
            names.retain(|other| *other != format!("{name}.postgres.sql"));
        }
    }
    names.sort();
    assert!(!names.is_empty());
    let number = |name: &String| name.split_once('_').and_then(|(number, _)| number.parse::<u32>().ok());
    let numbers: BTreeSet<u32> = names.iter().filter_map(number).collect();
    assert_eq!(numbers.len(), names.len(), "two have one number, or one has none: {names:?}");
    for name in names {
        assert!(!name.ends_with(".postgres.sql"), "{name} is for PostgreSQL alone");
    }
    Ok(())
}

#[test]
fn every_decision_is_listed() -> Result<()> {
    let folder = repository().join("docs/adr");
    let Ok(list) = fs::read_to_string(folder.join("README.md")) else {
        tests::skip!("docs/adr/README.md is not there")
    };
    for path in files(&folder, ".md")? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        assert!(name == "README.md" || list.contains(&name), "docs/adr/README.md does not list {name}");
    }
    Ok(())
}

#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    for path in files(&repository(), ".md")? {
        let folder = path.parent().context("a file lies in a folder")?;
        let source = fs::read_to_string(&path)?;
        for target in source.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !file.is_empty() && !folder.join(file).exists() {
                broken.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    Ok(())
}
