//! Checks that all places name the same tool servers: four places in `spin.toml`, the folders of providers, and the packages in them. This module must
//! not write, build or start anything.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use toml::{Table, Value};

use crate::manifest::{Manifest, TOOL_SERVER};
use crate::repo::Repo;

/// The folder of providers, each in a folder of its name.
pub(crate) const FOLDER: &str = "components/mcp";

/// The inconsistencies, each with advice. Its reader has changed one of the places and forgotten another.
pub(crate) fn problems(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let folder = repo.path(FOLDER);
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        // A removed tool leaves an empty folder.
        if entry.file_type()?.is_dir() && entry.path().read_dir()?.next().is_some() {
            folders.insert(entry.file_name().to_string_lossy().into_owned(), package(&entry.path()));
        }
    }
    Ok(misfits(manifest, &folders))
}

/// The content of the folder's `Cargo.toml`. If it cannot be read, Cargo reports the error.
fn package(folder: &Path) -> Option<Table> {
    std::fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()
}

/// The reasons why Cargo cannot build the component from this package. Cargo's own error does not lead to the solution. Or there is no error: Cargo
/// builds something else, and the previous component is served.
fn misfits_of_package(name: &str, package: &Table) -> Vec<String> {
    let mut misfits = Vec::new();
    let file = format!("{FOLDER}/{name}/Cargo.toml");
    let called = package.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    if called != Some(&format!("{TOOL_SERVER}{name}")) {
        misfits.push(format!(
            "{file} has a different name than its component in spin.toml: write name = \"{TOOL_SERVER}{name}\" under [package]"
        ));
    }
    let types = package.get("lib").and_then(|lib| lib.get("crate-type")).and_then(Value::as_array);
    if !types.into_iter().flatten().any(|kind| kind.as_str() == Some("cdylib")) {
        misfits.push(format!(
            "{file} does not build a component, so an earlier build would be served: write crate-type = [\"cdylib\"] under [lib]"
        ));
    }
    misfits
}

fn misfits(manifest: &Manifest, folders: &BTreeMap<String, Option<Table>>) -> Vec<String> {
    let tools = manifest.component("tools");
    let listed = tools.and_then(|tools| tools.get("variables")?.get("tool_servers")?.as_str()).unwrap_or_default();
    // A template takes the list from elsewhere.
    if listed.contains("{{") {
        return Vec::new();
    }
    let listed: Vec<&str> = listed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let hosts = tools.and_then(|tools| tools.get("allowed_outbound_hosts")?.as_array());
    let reaches = |host: &str| hosts.into_iter().flatten().any(|allowed| allowed.as_str() == Some(host));
    let components: Vec<&str> = manifest.components().filter_map(|(id, _)| id.strip_prefix(TOOL_SERVER)).collect();
    let unlisted: Vec<&str> = components.iter().copied().filter(|name| !listed.contains(name)).collect();

    let mut misfits = Vec::new();
    for (at, name) in listed.iter().enumerate() {
        if listed.iter().take(at).any(|before| before == name) {
            misfits.push(format!("tool_servers in spin.toml names `{name}` twice: take one away"));
        } else if !components.contains(name) {
            let meant = match unlisted.as_slice() {
                [] => format!("`cargo dev new-tool {name}` creates one; or take the name away"),
                unlisted => format!("did you mean one of these, which it does not name: {}?", unlisted.join(", ")),
            };
            misfits.push(format!(
                "tool_servers in spin.toml names `{name}`, and there is no component `{TOOL_SERVER}{name}`: {meant}"
            ));
        } else if !reaches(&format!("http://{TOOL_SERVER}{name}.spin.internal")) {
            misfits.push(format!(
                "the component `tools` in spin.toml lists `{name}` and may not reach it: add \
                 \"http://{TOOL_SERVER}{name}.spin.internal\" to its allowed_outbound_hosts"
            ));
        }
    }
    for name in &components {
        if !listed.contains(name) {
            misfits.push(format!(
                "spin.toml has the component `{TOOL_SERVER}{name}`, but its tools are not offered: add `{name}` to tool_servers of `tools`"
            ));
        }
        if !manifest.has_trigger(&format!("{TOOL_SERVER}{name}")) {
            misfits.push(format!(
                "the component `{TOOL_SERVER}{name}` in spin.toml has no trigger, so it is not served: add [[trigger.http]] with \
                 route = {{ private = true }} and component = \"{TOOL_SERVER}{name}\""
            ));
        }
    }
    for (name, package) in folders {
        if components.contains(&name.as_str()) {
            misfits.extend(package.iter().flat_map(|package| misfits_of_package(name, package)));
        } else {
            misfits.push(format!(
                "{FOLDER}/{name} is no tool server: spin.toml has no component `{TOOL_SERVER}{name}`. Move the folder away, run \
                 `cargo dev new-tool {name}`, which writes the lines and a new folder, and move the files back into it"
            ));
        }
    }
    misfits
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = r#"
        [[trigger.http]]
        route = { private = true }
        component = "mcp-clock"
        [component.tools]
        allowed_outbound_hosts = ["postgres://x", "http://mcp-clock.spin.internal"]
        variables = { tool_servers = "clock" }
        [component.mcp-clock]
        source = "clock.wasm"
    "#;

    fn misfits_of(manifest: &str, folders: &[&str]) -> Vec<String> {
        let folders = folders.iter().map(|&folder| (folder.to_owned(), None)).collect();
        misfits(&Manifest::parse(manifest).unwrap(), &folders)
    }

    #[test]
    fn a_package_that_does_not_build_its_component_is_reported_with_the_line_to_write() {
        const PACKAGE: &str = "[package]\nname = \"mcp-clock\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
        for (from, to, expected) in [
            ("", "", ""),
            ("\"cdylib\"", "\"lib\"", "write crate-type = [\"cdylib\"]"),
            ("[lib]\ncrate-type = [\"cdylib\"]\n", "", "write crate-type = [\"cdylib\"]"),
            ("mcp-clock", "clock", "write name = \"mcp-clock\""),
        ] {
            let package = PACKAGE.replace(from, to).parse().unwrap();
            let misfits = misfits(&Manifest::parse(WELL).unwrap(), &[("clock".to_owned(), Some(package))].into());
            if expected.is_empty() {
                assert_eq!(misfits, Vec::<String>::new());
            } else {
                assert!(matches!(misfits.as_slice(), [misfit] if misfit.contains(expected)), "{misfits:?}");
            }
        }
    }

    #[test]
    fn what_fits_together_is_not_spoken_of() {
        assert_eq!(misfits_of(WELL, &["clock"]), Vec::<String>::new());
        let elsewhere = WELL.replace("\"clock\" }", "\"{{ servers }}\" }");
        assert_eq!(misfits_of(&elsewhere, &["clock"]), Vec::<String>::new());
    }

    #[test]
    fn each_place_that_was_forgotten_is_named() {
        for (from, to, expected) in [
            ("= \"clock\" }", "= \"clok\" }", "did you mean one of these, which it does not name: clock?"),
            ("= \"clock\" }", "= \"clock, clock\" }", "names `clock` twice"),
            ("= \"clock\" }", "= \"\" }", "add `clock` to tool_servers"),
            (
                ", \"http://mcp-clock.spin.internal\"",
                "",
                "add \"http://mcp-clock.spin.internal\" to its allowed_outbound_hosts",
            ),
            ("component = \"mcp-clock\"", "component = \"ui\"", "add [[trigger.http]]"),
            ("[component.mcp-clock]", "[component.ui]", "there is no component `mcp-clock`"),
        ] {
            let misfits = misfits_of(&WELL.replace(from, to), &["clock"]);
            assert!(misfits.iter().any(|misfit| misfit.contains(expected)), "{expected}: {misfits:?}");
        }
        let misfits = misfits_of(WELL, &["clock", "dice"]);
        assert!(
            matches!(misfits.as_slice(), [misfit] if misfit.contains("components/mcp/dice is no tool server")),
            "{misfits:?}"
        );
    }
}
