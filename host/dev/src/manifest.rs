//! What `spin.toml` says about building: which packages make the wasm files, which variables are secret.
//! Must not interpret routes or capabilities: that is the host's.

use anyhow::Context as _;
use toml::{Table, Value};

use crate::repo::Repo;

/// Where the manifest expects the guests.
const GUESTS: &str = "target/wasm32-wasip2/release/";

/// The manifest, read.
pub(crate) struct Manifest(Table);

impl Manifest {
    pub(crate) fn read(repo: &Repo) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(repo.path("spin.toml")).context("cannot read spin.toml")?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Self(text.parse().context("spin.toml is not TOML")?))
    }

    /// The packages behind the wasm files that components and their dependencies name, without repetition.
    /// A package is called as its file, with dashes: `mcp_clock.wasm` is `mcp-clock`.
    pub(crate) fn packages(&self) -> Vec<String> {
        let mut packages = Vec::new();
        for component in self.0.get("component").and_then(Value::as_table).into_iter().flatten() {
            collect(component.1, &mut packages);
        }
        packages.sort();
        packages.dedup();
        packages
    }

    /// Whether the variable is declared as secret.
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
        // `source` and `dependencies.*.path` lie at most this deep, and TOML values cannot contain themselves.
        Value::Table(table) => table.values().for_each(|value| collect(value, packages)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

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
    "#;

    #[test]
    fn packages_are_those_of_sources_and_dependencies_once_each() {
        assert_eq!(Manifest::parse(TEXT).unwrap().packages(), ["mcp-clock", "mcp-server"]);
    }

    #[test]
    fn only_declared_secrets_are_secret() {
        let manifest = Manifest::parse(TEXT).unwrap();
        assert!(manifest.is_secret("key") && !manifest.is_secret("url") && !manifest.is_secret("unknown"));
    }
}
