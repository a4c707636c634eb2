//! `tools.toml`: ready-made tools. Each is a component that exports the contract, and is composed with the adapter like the app's own tools. The
//! entries are checked here, so that any host can serve a manifest with these tools. This module must not serve anything or write `spin.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::manifest::allowed_hosts::AllowedHosts;
use ::manifest::variables::Variables;
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use wasmparser::{Parser, Payload};

use crate::artifacts::Profile;
use crate::commands::new_tool::check;
use crate::fetched::{self, Digest};
use crate::host::absolute;
use crate::manifest::{GUESTS, KEYS_HOST, Manifest, TOOL_SERVER};
use crate::manifest_edit::with_tool_server;
use crate::repo::Repo;

/// The default file, beside `spin.toml`.
pub(crate) const FILE: &str = "tools.toml";
/// The interface that a provider must export.
pub(crate) const CONTRACT: &str = "edge-assistant:tools/provider@2.0.0";
/// The same in any version.
const CONTRACT_OF_ANY_VERSION: &str = "edge-assistant:tools/provider@";

/// The option for ready-made tools.
#[derive(clap::Args)]
pub(crate) struct ToolsFlag {
    /// The file of tools that are ready; `tools.toml` beside spin.toml if it is there
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
}

/// A manifest that includes the tools.
#[derive(Default)]
pub(crate) struct Composed {
    pub(crate) text: String,
    /// The tools' names.
    pub(crate) names: Vec<String>,
    /// The file of tools and the files that it names, without links in their paths. Fetched files are left out, because they do not change.
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A file, relative to `tools.toml`.
    source: Option<PathBuf>,
    /// The address of the component.
    url: Option<String>,
    /// The name of an OCI registry, and a repository in it.
    registry: Option<String>,
    repository: Option<String>,
    /// `sha256:` and the hash of the component.
    digest: Option<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
}

impl ToolsFlag {
    /// The path of the file of tools.
    pub(crate) fn file(&self, repo: &Repo) -> anyhow::Result<PathBuf> {
        self.tools.as_deref().map_or_else(|| Ok(repo.path(FILE)), absolute)
    }

    /// `spin.toml` with guests of this profile, and with the tools of the given file, or of the default file if it exists.
    pub(crate) fn composed(&self, repo: &Repo, profile: Profile) -> anyhow::Result<Composed> {
        let manifest = std::fs::read_to_string(repo.path("spin.toml")).context("cannot read spin.toml")?;
        let manifest = manifest.replace(GUESTS, profile.guests());
        let file = self.file(repo)?;
        if self.tools.is_none() && !file.exists() {
            return Ok(Composed { text: manifest, ..Composed::default() });
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
        let mut composed =
            compose(repo, profile, manifest, &text, &folder).with_context(|| format!("in {}", file.display()))?;
        composed.files.extend(file.file_name().map(|name| folder.join(name)));
        Ok(composed)
    }
}

fn compose(repo: &Repo, profile: Profile, manifest: String, tools: &str, folder: &Path) -> anyhow::Result<Composed> {
    let entries: BTreeMap<String, Entry> = toml::from_str(tools)?;
    let mut composed = Composed { text: manifest, ..Composed::default() };
    for (name, entry) in entries {
        let component = checked(repo, &composed.text, &name, &entry, folder).with_context(|| format!("[{name}]"))?;
        composed.text = with_tool_server(&composed.text, &name, &section(repo, profile, &name, &entry, &component))?;
        composed.names.push(name);
        composed.files.extend(entry.source.is_some().then_some(component));
    }
    Ok(composed)
}

/// The component of an entry, after all checks.
fn checked(repo: &Repo, manifest: &str, name: &str, entry: &Entry, folder: &Path) -> anyhow::Result<PathBuf> {
    check(name)?;
    let known = Manifest::parse(manifest)?;
    for id in [format!("{TOOL_SERVER}{name}"), name.to_owned()] {
        ensure!(!known.has_component(&id), "spin.toml has the component {id} already: give this tool another name");
    }
    entry.allowed_outbound_hosts.iter().try_for_each(|host| check_host(host))?;
    let file = file(repo, entry, folder)?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    if let Some(digest) = &entry.digest {
        Digest::parse(digest)?.check(&bytes).with_context(|| file.display().to_string())?;
    }
    check_exports(&bytes).with_context(|| file.display().to_string())?;
    Ok(file)
}

/// The lines of a manifest for an entry.
fn section(repo: &Repo, profile: Profile, name: &str, entry: &Entry, component: &Path) -> String {
    // Paths below the manifest's folder are relative to it.
    let component = component.strip_prefix(repo.path("")).unwrap_or(component);
    let text = |text: &str| toml::Value::from(text).to_string();
    let hosts = std::iter::once(KEYS_HOST).chain(entry.allowed_outbound_hosts.iter().map(String::as_str));
    let hosts: Vec<String> = hosts.map(text).collect();
    format!(
        r#"[[trigger.http]]
route = {{ private = true }}
component = "mcp-{name}"

[component.mcp-{name}]
source = "{}mcp_server.wasm"
allowed_outbound_hosts = [{}]
dependencies_inherit_configuration = true
[component.mcp-{name}.variables]
audience = "mcp-{name}"
log_level = "{{{{ log_level }}}}"
otlp_endpoint = "{{{{ otlp_endpoint }}}}"
otlp_sampling = "{{{{ otlp_sampling }}}}"
[component.mcp-{name}.dependencies]
"{CONTRACT}" = {{ path = {} }}
"#,
        profile.guests(),
        hosts.join(", "),
        text(&component.display().to_string()),
    )
}

/// The component's file. It is fetched if necessary.
fn file(repo: &Repo, entry: &Entry, folder: &Path) -> anyhow::Result<PathBuf> {
    let digest = || {
        entry
            .digest
            .as_deref()
            .context("digest = \"sha256:...\" is missing: only the hash says whether the right file was fetched")
    };
    match (&entry.source, &entry.url, &entry.registry, &entry.repository) {
        (Some(source), None, None, None) => {
            let file = folder.join(source).canonicalize();
            let file = file.with_context(|| {
                let file = folder.join(source);
                format!("source: cannot find {} (the path is relative to the folder of this file)", file.display())
            })?;
            ensure!(
                entry.digest.is_some() || file.starts_with(folder),
                "digest = \"sha256:...\" is missing: {} does not lie beside this file, so somebody else may replace it",
                source.display()
            );
            Ok(file)
        }
        (None, Some(url), None, None) => fetched::from_url(repo, url, &Digest::parse(digest()?)?),
        (None, None, Some(registry), Some(repository)) => {
            fetched::from_registry(repo, registry, repository, &Digest::parse(digest()?)?)
        }
        _ => bail!("say where the component is, in one way: `source`, `url`, or `registry` and `repository`"),
    }
}

/// Refuses hosts that no host program accepts, and hosts by which another author's component could reach the app's components.
fn check_host(entry: &str) -> anyhow::Result<()> {
    ensure!(!entry.contains("{{"), "the host {entry:?} is a template: write the host itself");
    // `http://*.spin.internal` means all components of the app, whichever exist.
    let allowed = AllowedHosts::new(&[entry.to_owned()], &Variables::default(), &["any"])?;
    ensure!(
        !allowed.reach_the_application(),
        "the host {entry:?} covers the app itself or spin.internal, where its components are: name the hosts that the tool needs"
    );
    Ok(())
}

fn check_exports(component: &[u8]) -> anyhow::Result<()> {
    let mut exports = Vec::new();
    let mut depth = 0_usize;
    ensure!(
        component.starts_with(b"\0asm"),
        "this is not WebAssembly: name the `.wasm` file that the build of the tool wrote"
    );
    for payload in Parser::new(0).parse_all(component) {
        match payload.context("this WebAssembly is damaged: build or fetch it again")? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } if depth == 0 => {
                bail!(
                    "this is a core module, not a component: build it for wasm32-wasip2, or as its language makes components"
                )
            }
            // Nested modules and components have their own exports.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.context("this is not a component")?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    if exports.iter().any(|export| export == CONTRACT) {
        return Ok(());
    }
    if let Some(other) = exports.iter().find(|export| export.starts_with(CONTRACT_OF_ANY_VERSION)) {
        bail!(
            "this component exports {other}, and the app composes {CONTRACT}: it was built with another version of the contract. \
             Get a newer build of it, or build it again with the wit/provider.wit of this app; docs/tools.md, \"Versions of the contract\", \
             says what an author has to change"
        );
    }
    let others = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
    bail!(
        "this component does not export {CONTRACT}, so it is not a tool provider; it exports {others}. wit/provider.wit is the contract"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetched::sha256;

    const SPIN: &str = "[component.tools]\nallowed_outbound_hosts = []\n[component.tools.variables]\ntool_servers = \"clock\"\n\
                        [component.mcp-clock]\nsource = \"clock.wasm\"\n";

    /// A component that exports an empty instance.
    fn component(export: &str) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([5, 3, 1, 1, 0]);
        let mut exports = vec![1, 0, u8::try_from(export.len()).unwrap()];
        exports.extend(export.as_bytes());
        exports.extend([5, 0, 0]);
        bytes.extend([11, u8::try_from(exports.len()).unwrap()]);
        bytes.extend(exports);
        bytes
    }

    fn digest(bytes: &[u8]) -> String {
        format!("sha256:{}", sha256(bytes))
    }

    /// The result of `tools.toml` in a folder with components.
    fn composed_with(tools: &str) -> anyhow::Result<Composed> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("app");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("weather.wasm"), component(CONTRACT)).unwrap();
        std::fs::write(root.join("other.wasm"), component("wasi:http/handler@0.3.0")).unwrap();
        std::fs::write(root.join("old.wasm"), component("edge-assistant:tools/provider@1.0.0")).unwrap();
        std::fs::write(root.join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
        std::fs::write(root.join("page.wasm"), b"<html>").unwrap();
        std::fs::write(folder.path().join("elsewhere.wasm"), component(CONTRACT)).unwrap();
        let root = root.canonicalize().unwrap();
        compose(&Repo::at(&root), Profile::Quick, SPIN.to_owned(), tools, &root)
    }

    fn refusal(tools: &str) -> String {
        format!("{:#}", composed_with(tools).err().expect(tools))
    }

    #[test]
    fn a_tool_that_is_ready_becomes_a_tool_server_that_reaches_what_it_is_allowed() {
        let tools = "[weather]\nsource = 'weather.wasm'\nallowed_outbound_hosts = ['https://api.weather.example']\n";
        let composed = composed_with(tools).unwrap();
        assert_eq!(composed.names, ["weather"]);
        assert!(
            composed.files.iter().map(|file| file.file_name().unwrap()).eq(["weather.wasm"]),
            "{:?}",
            composed.files
        );
        let manifest = Manifest::parse(&composed.text).unwrap();
        let component = manifest.component("mcp-weather").unwrap();
        let hosts: Vec<_> =
            component["allowed_outbound_hosts"].as_array().unwrap().iter().map(|it| it.as_str()).collect();
        assert_eq!(hosts, [Some(KEYS_HOST), Some("https://api.weather.example")]);
        assert_eq!(component["variables"]["audience"].as_str(), Some("mcp-weather"), "it is called by `tools` alone");
        assert_eq!(manifest.files_of("mcp-weather"), ["target/wasm32-wasip2/quick/mcp_server.wasm", "weather.wasm"]);
        assert!(manifest.has_trigger("mcp-weather"));
        let tools = manifest.component("tools").unwrap();
        assert_eq!(tools["variables"]["tool_servers"].as_str(), Some("clock, weather"));
        assert_eq!(tools["allowed_outbound_hosts"][0].as_str(), Some("http://mcp-weather.spin.internal"));
    }

    #[test]
    fn what_lies_elsewhere_needs_its_hash_and_is_that() {
        let right = digest(&component(CONTRACT));
        let at = |more: &str| format!("[weather]\nsource = '../elsewhere.wasm'\n{more}");
        assert!(composed_with(&at(&format!("digest = '{right}'"))).is_ok());
        assert!(refusal(&at("")).contains("does not lie beside this file"));
        let other = digest(b"other");
        let said = refusal(&format!("[weather]\nsource = 'weather.wasm'\ndigest = '{other}'"));
        assert!(said.contains(&right) && said.contains(&other), "{said}");
        assert!(refusal("[weather]\nurl = 'https://a.example/w.wasm'").contains("only the hash says"));
        assert!(refusal(&at("digest = 'md5:1'")).contains("64 hexadecimal digits"));
    }

    #[test]
    fn nobody_elses_component_reaches_those_of_the_app() {
        let app = "covers the app itself or spin.internal";
        for (host, expected) in [
            ("*://*:*", app),
            ("https://*:443", app),
            ("http://chat.spin.internal", app),
            ("http://CHAT.Spin.Internal.:80", app),
            ("http://chat.spin%2einternal", app),
            ("http://chat.ｓｐｉｎ.internal", app),
            ("http://chat.spin。internal", app),
            ("http://chat.spin.in\u{ad}ternal", app),
            ("http://*.spin.internal", app),
            ("http://*.spin%2Einternal", app),
            ("http://*.internal", app),
            ("http://self", app),
            ("https://self.alt:443", app),
            ("{{ api_host }}", "is a template"),
            ("https://{{ api_host }}", "is a template"),
            ("api.example", "has no scheme"),
            ("https://api.example/path", "has a path"),
        ] {
            let said = refusal(&format!("[weather]\nsource = 'weather.wasm'\nallowed_outbound_hosts = ['{host}']"));
            assert!(said.starts_with("[weather]: ") && said.contains(expected), "{host}: {said}");
            assert!(said.contains(&format!("{host:?}")), "{host}: {said}");
        }
        for host in
            ["https://*.weather.example", "http://127.0.0.1:8000", "http://[::1]:*", "https://spin.internal.example"]
        {
            assert!(check_host(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_is_no_tool_is_refused_in_words() {
        for (tools, expected) in [
            ("[weather]\nsource = 'other.wasm'", "it exports wasi:http/handler@0.3.0"),
            ("[weather]\nsource = 'old.wasm'", "built with another version of the contract"),
            ("[weather]\nsource = 'module.wasm'", "a core module"),
            ("[weather]\nsource = 'page.wasm'", "not WebAssembly"),
            ("[weather]\nsource = 'nothing.wasm'", "source: cannot find"),
            ("[weather]\n", "in one way"),
            ("[weather]\nsource = 'weather.wasm'\nurl = 'https://a.example'", "in one way"),
            ("[weather]\nsource = 'weather.wasm'\nhosts = []", "unknown field `hosts`"),
            ("[clock]\nsource = 'weather.wasm'", "has the component mcp-clock already"),
            ("[tools]\nsource = 'weather.wasm'", "has the component tools already"),
            ("[Weather]\nsource = 'weather.wasm'", "cannot be a tool's name"),
        ] {
            let said = refusal(tools);
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}
