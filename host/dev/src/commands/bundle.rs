//! `cargo dev bundle`: builds the app for deployment and writes one folder with all that a server needs, which `spin up` serves as it is.
//!
//! Paths in its manifest lead into the folder, and nothing in it builds anything. `sha256sum --check SHA256SUMS` says whether it arrived whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use toml_edit::{DocumentMut, Item, Value};

use crate::artifacts::{self, Profile};
use crate::fetched::sha256;
use crate::host::absolute;
use crate::manifest::Manifest;
use crate::repo::Repo;
use crate::tools_file::ToolsFlag;

/// Lists the files and their hashes. Only a folder with this file is replaced.
const SUMS: &str = "SHA256SUMS";
/// Where the wasm files are in the bundle.
const GUESTS: &str = "wasm";
/// What a server needs besides the app: where it is in the repository, and its name in the bundle.
const BESIDE: [(&str, &str); 4] = [
    ("deploy/edge-assistant.service", "edge-assistant.service"),
    ("deploy/runtime-config.toml", "runtime-config.toml"),
    ("docs/deploy.md", "deploy.md"),
    // The app contains them. Here they are for whoever wants to read what an upgrade does.
    ("migrations", "migrations"),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tools: ToolsFlag,
    /// The folder to write
    #[arg(long, value_name = "FOLDER", default_value = "target/bundle")]
    out: PathBuf,
}

pub(crate) fn run(repo: &Repo, Arguments { tools, out }: &Arguments) -> anyhow::Result<ExitCode> {
    let out = absolute(out)?;
    check_replaceable(&out)?;
    let composed = tools.composed(repo, Profile::Release)?;
    let built = artifacts::lock(repo)?;
    artifacts::components(repo, &Manifest::parse(&composed.text)?, &[], Profile::Release)?;
    let sums = write(repo, &composed.text, &out)?;
    drop(built);
    println!("wrote {}; the hash of its {SUMS} is {sums}", out.display());
    Ok(ExitCode::SUCCESS)
}

fn check_replaceable(out: &Path) -> anyhow::Result<()> {
    let is_ours = !out.exists() || out.join(SUMS).is_file();
    ensure!(
        is_ours,
        "--out: {} exists and was not made by this command, so it is not replaced: name another folder, or remove it",
        out.display()
    );
    Ok(())
}

/// Writes the folder and returns the hash of its list of hashes.
fn write(repo: &Repo, manifest: &str, out: &Path) -> anyhow::Result<String> {
    let (manifest, files) = moved(manifest)?;
    let parent = out.parent().context("--out: name a folder")?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let bundle = tempfile::tempdir_in(parent).with_context(|| format!("cannot write in {}", parent.display()))?;
    let place = |name: &str| bundle.path().join(name);
    std::fs::write(place("spin.toml"), manifest).context("cannot write spin.toml")?;
    let files = files.iter().map(|(name, source)| (source.as_str(), name.as_str()));
    for (source, name) in files.chain(BESIDE) {
        copy(&repo.path(source), &place(name))?;
    }
    let sums = sums(bundle.path())?;
    std::fs::write(place(SUMS), &sums).with_context(|| format!("cannot write {SUMS}"))?;
    if out.exists() {
        std::fs::remove_dir_all(out).with_context(|| format!("cannot replace {}", out.display()))?;
    }
    // A folder for temporary files is its owner's alone.
    copy(bundle.path(), out)?;
    Ok(sha256(sums.as_bytes()))
}

/// The manifest with the paths of the bundle and without build commands, and the files that it names: name in the bundle → path in the repository.
fn moved(manifest: &str) -> anyhow::Result<(String, BTreeMap<String, String>)> {
    let mut document: DocumentMut = manifest.parse().context("spin.toml is not TOML")?;
    let mut files = BTreeMap::new();
    let components = document.get_mut("component").and_then(Item::as_table_like_mut);
    for (id, component) in components.into_iter().flat_map(|components| components.iter_mut()) {
        let Some(component) = component.as_table_like_mut() else { continue };
        component.remove("build");
        if let Some(source) = component.get_mut("source").and_then(Item::as_value_mut) {
            lead_into_bundle(source, &mut files).with_context(|| format!("the component {id}"))?;
        }
        let dependencies = component.get_mut("dependencies").and_then(Item::as_table_like_mut);
        for (_, dependency) in dependencies.into_iter().flat_map(|dependencies| dependencies.iter_mut()) {
            let path = dependency.as_table_like_mut().and_then(|dependency| dependency.get_mut("path")?.as_value_mut());
            if let Some(path) = path {
                lead_into_bundle(path, &mut files).with_context(|| format!("the component {id}"))?;
            }
        }
        let mounted = component.get("files").and_then(Item::as_array);
        for mounted in mounted.into_iter().flatten() {
            let source = mounted.as_inline_table().and_then(|mounted| mounted.get("source")?.as_str());
            let source = source.or(mounted.as_str()).with_context(|| format!("the component {id} mounts {mounted}"))?;
            ensure!(!source.contains('*'), "the component {id} mounts a pattern, {source}: name the folder instead");
            files.insert(source.to_owned(), source.to_owned());
        }
    }
    Ok((document.to_string(), files))
}

/// Changes the path of a wasm file to where it is in the bundle.
fn lead_into_bundle(path: &mut Value, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let source = path.as_str().context("a path is no text")?.to_owned();
    let name = Path::new(&source).file_name().and_then(|name| name.to_str()).context("a path names no file")?;
    let moved = format!("{GUESTS}/{name}");
    if let Some(other) = files.insert(moved.clone(), source.clone()).filter(|other| *other != source) {
        bail!("{source} and {other} have the same name: rename one of them");
    }
    let decor = path.decor().clone();
    *path = moved.into();
    *path.decor_mut() = decor;
    Ok(())
}

/// Copies a file, or a folder with everything in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let said = || format!("cannot copy {} to {}", from.display(), to.display());
    if !from.is_dir() {
        to.parent().map_or(Ok(()), std::fs::create_dir_all).with_context(said)?;
        return std::fs::copy(from, to).map(drop).with_context(said);
    }
    std::fs::create_dir_all(to).with_context(said)?;
    for entry in std::fs::read_dir(from).with_context(said)? {
        let entry = entry.with_context(said)?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The lines that `sha256sum --check` reads, sorted by path.
fn sums(bundle: &Path) -> anyhow::Result<String> {
    let mut folders = vec![bundle.to_owned()];
    let mut lines = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            lines.insert(path.strip_prefix(bundle)?.display().to_string(), sha256(&content));
        }
    }
    Ok(lines.iter().map(|(path, hash)| format!("{hash}  {path}\n")).collect())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const MANIFEST: &str = r#"
# Who answers what.
[component.ui]
source = "target/wasm32-wasip2/release/ui.wasm"
[component.ui.build]
command = "cargo build"
[component.mcp-luck]
source = "target/wasm32-wasip2/release/mcp_server.wasm"
files = [{ source = "apis", destination = "/apis" }]
[component.mcp-luck.dependencies]
"edge-assistant:tools/provider@2.0.0" = { path = "target/python/luck.wasm", export = "x" }
"#;

    fn repo() -> (tempfile::TempDir, Repo) {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        for file in [
            "target/wasm32-wasip2/release/ui.wasm",
            "target/wasm32-wasip2/release/mcp_server.wasm",
            "target/python/luck.wasm",
            "apis/shop/shop.json",
            "deploy/edge-assistant.service",
            "deploy/runtime-config.toml",
            "docs/deploy.md",
            "migrations/0001.sql",
        ] {
            std::fs::create_dir_all(repo.path(file).parent().unwrap()).unwrap();
            std::fs::write(repo.path(file), file).unwrap();
        }
        (folder, repo)
    }

    #[test]
    fn a_bundle_has_every_file_that_its_manifest_names_and_builds_nothing() {
        let (_folder, repo) = repo();
        let out = repo.path("target/bundle");
        write(&repo, MANIFEST, &out).unwrap();
        let text = std::fs::read_to_string(out.join("spin.toml")).unwrap();
        assert!(text.contains("# Who answers what.") && !text.contains("build"), "{text}");
        let manifest = Manifest::parse(&text).unwrap();
        assert_eq!(manifest.files_of("ui"), ["wasm/ui.wasm"]);
        assert_eq!(manifest.files_of("mcp-luck"), ["wasm/mcp_server.wasm", "wasm/luck.wasm"]);
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(read("wasm/luck.wasm"), "target/python/luck.wasm");
        assert_eq!(read("apis/shop/shop.json"), "apis/shop/shop.json");
        assert_eq!(read("migrations/0001.sql"), "migrations/0001.sql");
        let checked = Command::new("sha256sum").args(["--check", "--strict", SUMS]).current_dir(&out).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        assert_eq!(String::from_utf8_lossy(&checked.stdout).lines().count(), 9);
    }

    #[test]
    fn the_same_app_makes_the_same_bundle_again_and_what_is_gone_is_gone() {
        let (_folder, repo) = repo();
        let out = repo.path("target/bundle");
        let first = write(&repo, MANIFEST, &out).unwrap();
        std::fs::write(out.join("old.txt"), "").unwrap();
        assert_eq!(write(&repo, MANIFEST, &out).unwrap(), first);
        assert!(!out.join("old.txt").exists());
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_replaced() {
        let (_folder, repo) = repo();
        assert!(check_replaceable(&repo.path("apis")).unwrap_err().to_string().contains("is not replaced"));
        check_replaceable(&repo.path("new")).unwrap();
    }

    #[test]
    fn two_wasm_files_of_one_name_are_refused() {
        let manifest = MANIFEST.replace("target/python/luck.wasm", "target/python/ui.wasm");
        assert!(moved(&manifest).unwrap_err().root_cause().to_string().contains("have the same name"));
    }
}
