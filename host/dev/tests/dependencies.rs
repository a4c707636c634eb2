//! Our dependencies: only from registries, only with compatible licences, and between our libraries in one direction. The host's dependencies are
//! compiled once. Advisory databases are not read, because they need a network that a build must not depend on.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy.toml allows them in test functions, and these functions serve tests alone"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq};

/// Licences that Apache-2.0 software may use and ship.
const LICENCES: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Crates under the MPL, which covers only changes to their own files. They may be used as published.
const USED_AS_PUBLISHED: [&str; 1] = ["smartstring"];
/// Weak copyleft, for tools that build the page and ship nothing of themselves.
const LICENCES_OF_BUILD_TOOLS: [&str; 2] = ["BlueOak-1.0.0", "MPL-2.0"];
/// Cargo's name for the source of registry crates.
const REGISTRY: &str = "registry+";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

fn is_allowed(licence: &str, allowed: &[&str]) -> bool {
    // Before SPDX had OR, crates wrote a slash.
    let expression = Expression::parse(&licence.replace('/', " OR "));
    expression.is_ok_and(|expression| {
        expression.evaluate(|wanted: &LicenseReq| allowed.contains(&wanted.to_string().as_str()))
    })
}

#[test]
fn crates_come_from_the_registry_under_licences_that_fit() {
    let mut wrong = Vec::new();
    for package in packages() {
        let [name, version] = ["name", "version"].map(|field| package[field].as_str().unwrap());
        match package["source"].as_str() {
            None => {}
            Some(source) if !source.starts_with(REGISTRY) => {
                wrong.push(format!("{name} {version} comes from {source}"))
            }
            Some(_) => {
                let licence = package["license"].as_str().unwrap_or("none");
                if !is_allowed(licence, &LICENCES) && !USED_AS_PUBLISHED.contains(&name) {
                    wrong.push(format!("{name} {version} has the licence {licence}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "replace these, or argue for their licence in this file:\n{}", wrong.join("\n"));
}

#[test]
fn npm_packages_are_locked_by_hash_under_licences_that_fit() {
    let mut wrong = Vec::new();
    let tools: Vec<&str> = LICENCES.iter().chain(&LICENCES_OF_BUILD_TOOLS).copied().collect();
    for folder in ["static", "tests/browser", "tests/providers/javascript"] {
        let text = std::fs::read_to_string(root().join(folder).join("package-lock.json")).unwrap();
        let lock: Value = serde_json::from_str(&text).unwrap();
        for (path, package) in lock["packages"].as_object().unwrap().iter().filter(|(path, _)| !path.is_empty()) {
            let licence = package["license"].as_str().unwrap_or("none");
            let allowed: &[&str] = if package["dev"] == true { &tools } else { &LICENCES };
            if !is_allowed(licence, allowed) {
                wrong.push(format!("{folder}: {path} has the licence {licence}"));
            }
            if !package["integrity"].is_string() && package["inBundle"] != true {
                wrong.push(format!("{folder}: {path} has no hash"));
            }
            if package.get("resolved").is_some() {
                wrong.push(format!("{folder}: {path} is tied to one registry: it has a field `resolved`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_are_used_in_one_direction() {
    // Only our own packages, by their folders.
    let ours: Vec<(String, String, Vec<String>)> = packages()
        .iter()
        .filter(|package| package["source"].is_null())
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let folder = manifest.strip_prefix(root()).unwrap().components().next().unwrap();
            let uses = package["dependencies"].as_array().unwrap().iter();
            // Tests may use anything.
            let uses = uses.filter(|used| used["kind"] != "dev").map(|used| used["name"].as_str().unwrap().to_owned());
            let name = package["name"].as_str().unwrap().to_owned();
            (name, folder.as_os_str().to_string_lossy().into_owned(), uses.collect())
        })
        .collect();
    let in_folder = |folder: &str| -> BTreeSet<&str> {
        ours.iter().filter(|(_, lies_in, _)| lies_in == folder).map(|(name, _, _)| name.as_str()).collect()
    };
    let (components, host) = (in_folder("components"), in_folder("host"));
    let mut wrong = Vec::new();
    for (name, folder, uses) in &ours {
        for used in uses.iter().map(String::as_str) {
            let why = match folder.as_str() {
                "crates" if name != "platform" && (used == "spin-sdk" || used == "platform") => {
                    "only `platform` and components know Spin"
                }
                "crates" if components.contains(used) || host.contains(used) => {
                    "a library stands below components and hosts"
                }
                "components" if components.contains(used) => "components call each other over HTTP",
                "components" if host.contains(used) => "a component runs on any Spin, not only on our host",
                // The relay that the benchmark compares the app with is a guest, too.
                "host" if name == "bench-guest" && used == "platform" => continue,
                "host" | "tests" if components.contains(used) || used == "platform" => "it sees the app from outside",
                _ => continue,
            };
            wrong.push(format!("{name} uses {used}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The packages and features of the embedded host's build, along these edges of the graph.
fn features_of_the_host(edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--package",
            "embedded-host",
            "--prefix",
            "none",
            "--format",
            "{p} {f}",
            "--edges",
            edges,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn the_host_is_compiled_once_for_use_and_for_its_tests() {
    let (used, tested) = (features_of_the_host("normal"), features_of_the_host("normal,dev"));
    let otherwise: Vec<&String> = used.difference(&tested).collect();
    assert!(!used.is_empty());
    assert!(
        otherwise.is_empty(),
        "a dependency of the host's tests adds a feature to these, so that they and all that needs them are compiled twice: {otherwise:?}"
    );
}
