//! The parts of `spin.toml` that matter for building: the packages behind the wasm files, and the secret variables. Routes and capabilities are for
//! the host.

use anyhow::{Context as _, bail};
use toml::{Table, Value};

use crate::repo::Repo;

/// The folder of the guests in the manifest.
pub(crate) const GUESTS: &str = "target/wasm32-wasip2/release/";
/// The folder of everything that is built.
const TARGET: &str = "target/";
/// The beginning of the ids of tool servers.
pub(crate) const TOOL_SERVER: &str = "mcp-";
/// Where every tool server reads the public keys of whoever calls it (docs/adr/0037).
pub(crate) const KEYS_HOST: &str = "http://ops.spin.internal";
/// The beginning of a component's build command that builds the adapter, for `spin build`. `cargo dev` builds the adapter together with all other
/// guests. Alone it would get other features, and each build would undo the other.
pub(crate) const ADAPTER: &str = "cargo build --target wasm32-wasip2 --release --package mcp-server && ";

/// A tool provider that Cargo does not build.
#[derive(Debug)]
pub(crate) struct ComposedProvider {
    pub(crate) name: String,
    /// Its sources.
    pub(crate) folder: String,
    /// The built component.
    pub(crate) file: String,
    /// The build command, for a shell at the root.
    pub(crate) command: String,
}

pub(crate) struct Manifest(Table);

impl Manifest {
    pub(crate) fn read(repo: &Repo) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(repo.path("spin.toml")).context("cannot read spin.toml")?;
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Self(text.parse().context("spin.toml is not TOML")?))
    }

    /// The packages of all wasm files that components and their dependencies name, without repetition. A package has the name of its file with
    /// dashes: `mcp_clock.wasm` is `mcp-clock`.
    pub(crate) fn packages(&self) -> Vec<String> {
        let mut packages = Vec::new();
        for (_, component) in self.components() {
            collect(component, &mut packages);
        }
        packages.sort();
        packages.dedup();
        packages
    }

    /// The providers of tool servers that Cargo does not build. The component's build command builds them.
    pub(crate) fn providers(&self) -> anyhow::Result<Vec<ComposedProvider>> {
        let mut providers = Vec::new();
        for (id, component) in self.components() {
            let Some(name) = id.strip_prefix(TOOL_SERVER) else { continue };
            let dependencies = component.get("dependencies").and_then(Value::as_table);
            let paths =
                dependencies.into_iter().flatten().filter_map(|(_, dependency)| dependency.get("path")?.as_str());
            for file in paths.filter(|path| path.starts_with(TARGET) && !path.starts_with(GUESTS)) {
                let command = component.get("build").and_then(|build| build.get("command")).and_then(Value::as_str);
                let Some(command) = command else {
                    bail!("spin.toml does not say what makes {file}: give [component.{id}.build] a `command`");
                };
                providers.push(ComposedProvider {
                    name: name.to_owned(),
                    folder: format!("components/mcp/{name}"),
                    file: file.to_owned(),
                    command: command.strip_prefix(ADAPTER).unwrap_or(command).to_owned(),
                });
            }
        }
        Ok(providers)
    }

    pub(crate) fn tool_servers(&self) -> Vec<&str> {
        self.components().filter_map(|(id, _)| id.strip_prefix(TOOL_SERVER)).collect()
    }

    /// The wasm files of a component, relative to the manifest.
    pub(crate) fn files_of(&self, id: &str) -> Vec<&str> {
        let component = self.component(id);
        let source = component.and_then(|component| component.get("source")?.as_str());
        let dependencies = component.and_then(|component| component.get("dependencies")?.as_table());
        let paths = dependencies.into_iter().flatten().filter_map(|(_, dependency)| dependency.get("path")?.as_str());
        source.into_iter().chain(paths).collect()
    }

    /// A manifest with only these tool servers, each public below `/<name>/` for whoever asks, with everything that it may read and reach.
    pub(crate) fn of_tool_servers(&self, names: &[&str]) -> anyhow::Result<String> {
        let (mut components, mut triggers) = (Table::new(), Vec::new());
        for name in names {
            let id = format!("{TOOL_SERVER}{name}");
            let component = self.component(&id).with_context(|| format!("there is no component {id}"))?;
            components.insert(id.clone(), alone(component.clone()));
            let route = format!("/{name}/...");
            triggers.push(Table::from_iter([("route".to_owned(), route.into()), ("component".to_owned(), id.into())]));
        }
        let mut alone = Table::new();
        for key in ["spin_manifest_version", "application", "variables"] {
            alone.extend(self.0.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        alone.insert("component".to_owned(), components.into());
        alone.insert("trigger".to_owned(), Table::from_iter([("http".to_owned(), triggers.into())]).into());
        toml::to_string(&alone).context("it cannot be written")
    }

    pub(crate) fn has_component(&self, id: &str) -> bool {
        self.component(id).is_some()
    }

    pub(crate) fn component(&self, id: &str) -> Option<&Value> {
        self.0.get("component")?.get(id)
    }

    /// Whether a component is served, publicly or to other components.
    pub(crate) fn has_trigger(&self, id: &str) -> bool {
        let triggers = self.0.get("trigger").and_then(|trigger| trigger.get("http")?.as_array());
        triggers.into_iter().flatten().any(|trigger| trigger.get("component").and_then(Value::as_str) == Some(id))
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get("component").and_then(Value::as_table).into_iter().flatten()
    }

    pub(crate) fn is_secret(&self, variable: &str) -> bool {
        let declared = self.0.get("variables").and_then(|variables| variables.get(variable));
        declared.and_then(|variable| variable.get("secret")).and_then(Value::as_bool) == Some(true)
    }
}

fn collect(value: &Value, packages: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let name = text.strip_prefix(GUESTS).and_then(|file| file.strip_suffix(".wasm"));
            packages.extend(name.map(|name| name.replace('_', "-")));
        }
        // `source` and `dependencies.*.path` are at most this deep, and TOML values cannot contain themselves.
        Value::Table(table) => table.values().for_each(|value| collect(value, packages)),
        _ => {}
    }
}

/// A tool server's section for when it serves alone: there is no `tools` that calls it, and no `ops` that knows keys.
fn alone(mut component: Value) -> Value {
    let Some(section) = component.as_table_mut() else { return component };
    if let Some(hosts) = section.get_mut("allowed_outbound_hosts").and_then(Value::as_array_mut) {
        hosts.retain(|host| host.as_str() != Some(KEYS_HOST));
    }
    let variables = section.entry("variables").or_insert_with(|| Table::new().into());
    if let Some(variables) = variables.as_table_mut() {
        variables.insert("audience".to_owned(), "*".into());
    }
    component
}

#[cfg(test)]
mod tests {
    use super::{ADAPTER, Manifest};

    const TEXT: &str = r#"
        [variables]
        key = { default = "", secret = true }
        url = { default = "" }
        [component.mcp-clock]
        source = "target/wasm32-wasip2/release/mcp_server.wasm"
        [component.mcp-clock.dependencies]
        "a:b/c@1.0.0" = { path = "target/wasm32-wasip2/release/mcp_clock.wasm" }
        [component.mcp-web]
        source = "target/wasm32-wasip2/release/mcp_server.wasm"
        [component.shipped]
        source = "vendor/shipped.wasm"
        [component.mcp-luck]
        source = "target/wasm32-wasip2/release/mcp_server.wasm"
        dependencies = { "a:b/c@1.0.0" = { path = "target/python/luck.wasm" }, "a:b/d@1.0.0" = { path = "vendor/d.wasm" } }
        build = { command = "make luck" }
    "#;

    #[test]
    fn packages_are_those_of_sources_and_dependencies_once_each() {
        assert_eq!(Manifest::parse(TEXT).unwrap().packages(), ["mcp-clock", "mcp-server"]);
    }

    #[test]
    fn what_cargo_does_not_make_is_made_by_the_command_of_its_component() {
        let providers = Manifest::parse(TEXT).unwrap().providers().unwrap();
        let [luck] = providers.as_slice() else { panic!("{providers:?}") };
        assert_eq!((luck.name.as_str(), luck.file.as_str()), ("luck", "target/python/luck.wasm"));
        assert_eq!((luck.folder.as_str(), luck.command.as_str()), ("components/mcp/luck", "make luck"));
        let with_adapter = Manifest::parse(&TEXT.replace("make luck", &format!("{ADAPTER}make luck"))).unwrap();
        assert_eq!(with_adapter.providers().unwrap()[0].command, "make luck");
        let error = Manifest::parse(&TEXT.replace("make luck", "").replace("command", "other")).unwrap().providers();
        assert!(error.unwrap_err().to_string().contains("[component.mcp-luck.build]"));
    }

    #[test]
    fn what_builds_the_adapter_alone_is_left_to_the_build_of_all() {
        let text = TEXT.replace("make luck", &format!("{}make luck", super::ADAPTER));
        assert_eq!(Manifest::parse(&text).unwrap().providers().unwrap()[0].command, "make luck");
    }

    #[test]
    fn a_tool_server_alone_keeps_what_it_may_and_loses_the_rest() {
        let text = format!(
            "spin_manifest_version = 2\napplication = {{ name = 'app' }}\n{TEXT}\n[component.mcp-api]\nsource = 'a.wasm'\n\
             allowed_outbound_hosts = ['{{{{ url }}}}']\n[[trigger.http]]\nroute = {{ private = true }}\ncomponent = 'mcp-api'"
        );
        let alone = Manifest::parse(&text).unwrap().of_tool_servers(&["api"]).unwrap();
        let alone: toml::Table = alone.parse().unwrap();
        let api = &alone["component"]["mcp-api"];
        assert_eq!(api["allowed_outbound_hosts"][0].as_str(), Some("{{ url }}"));
        assert_eq!(alone["component"].as_table().unwrap().len(), 1);
        let triggers = alone["trigger"]["http"].as_array().unwrap();
        assert_eq!((triggers.len(), triggers[0]["route"].as_str()), (1, Some("/api/...")));
        assert!(alone["variables"].get("key").is_some() && alone.contains_key("application"));
        assert!(Manifest::parse(&text).unwrap().of_tool_servers(&["nobody"]).is_err());
    }

    #[test]
    fn only_declared_secrets_are_secret() {
        let manifest = Manifest::parse(TEXT).unwrap();
        assert!(manifest.is_secret("key") && !manifest.is_secret("url") && !manifest.is_secret("unknown"));
    }
}
