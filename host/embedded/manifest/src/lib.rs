//! Reads the parts of an application manifest, `spin.toml` version 2, that the embedded host needs: values of variables, routes, where a
//! component may send requests, and which folders it may read.
//!
//! A key that Spin refuses is refused here too, so that a manifest that works on the embedded host works on Spin. A key that Spin knows and the
//! embedded host does not support is an error that says so. This crate must not know how components run, and opens no file but the manifest.

pub mod allowed_hosts;
pub mod dependencies;
pub mod files;
pub mod routes;
pub mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// An application manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    spin_manifest_version: toml::Value,
    /// `[application]`.
    pub application: Application,
    /// `[variables]`, by name.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    trigger: BTreeMap<String, Vec<toml::Table>>,
    /// `[component.<id>]`, by id.
    #[serde(default, rename = "component")]
    pub components: BTreeMap<String, Component>,
    /// `[[trigger.http]]`, in the order written.
    #[serde(skip)]
    pub triggers: Vec<HttpTrigger>,
}

/// `[application]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The application's name, for the first line of output.
    pub name: String,
    #[serde(default, rename = "version")]
    _version: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
    #[serde(default, rename = "targets")]
    _targets: toml::value::Array,
    #[serde(default, rename = "trigger")]
    _trigger: toml::Table,
    #[serde(default, rename = "tool")]
    _tool: toml::Table,
}

/// One of `[variables]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Whether the start fails if it has no value.
    #[serde(default)]
    pub required: bool,
    /// The value if none is given.
    pub default: Option<String>,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

/// One `[[trigger.http]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    /// The path pattern, or private.
    pub route: Route,
    /// The id of the component that answers.
    pub component: String,
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default)]
    executor: Option<Executor>,
}

#[derive(Debug, Clone, Deserialize)]
struct Executor {
    #[serde(rename = "type")]
    kind: String,
}

/// The `route` of a trigger.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Route {
    /// A path pattern: `/exact`, `/prefix/...`, `/:param`.
    Path(String),
    /// `{ private = true }`: reachable from other components only.
    Private {
        /// Must be true; the type cannot express that.
        private: bool,
    },
}

/// One `[component.<id>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The wasm file, relative to the manifest.
    pub source: Source,
    /// The component's variables; templates over `[variables]`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Its environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The hosts it may send requests to; templates over `[variables]`.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// Labels of the key-value stores it may open.
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    /// Labels of the databases it may open.
    #[serde(default)]
    pub sqlite_databases: Vec<String>,
    /// Components composed into it, by the import they satisfy.
    #[serde(default)]
    pub dependencies: BTreeMap<String, Dependency>,
    /// Whether every dependency gets this component's permissions.
    #[serde(default)]
    pub dependencies_inherit_configuration: bool,
    /// Folders it may read.
    #[serde(default)]
    pub files: Vec<Files>,
    #[serde(default)]
    ai_models: Vec<String>,
    #[serde(default)]
    exclude_files: Vec<String>,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "targets")]
    _targets: toml::value::Array,
    #[serde(default, rename = "build")]
    _build: toml::Table,
    #[serde(default, rename = "tool")]
    _tool: toml::Table,
    #[serde(default, rename = "profile")]
    _profile: toml::Table,
}

/// The `source` of a component.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A file.
    Path(PathBuf),
    /// `{ url, digest }` or `{ registry, ... }`: Spin downloads these, but this host does not.
    Remote(toml::Table),
}

/// One of the `files` of a component.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Files {
    /// A folder, whose path is the same for the component. In Spin it can also be a file or a pattern.
    Path(String),
    /// A folder, and its path for the component.
    Placed(Placed),
}

/// `{ source, destination }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The folder, relative to the manifest.
    pub source: String,
    /// Its path for the component.
    pub destination: String,
}

/// One of a component's dependencies.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Dependency {
    /// A file.
    Local(LocalDependency),
    /// A version or a registry reference: Spin downloads these, but this host does not.
    Remote(toml::Value),
}

/// A dependency that is a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalDependency {
    /// The wasm file, relative to the manifest.
    pub path: PathBuf,
    /// The export that satisfies the import, if their names differ.
    pub export: Option<String>,
    /// Which of the component's permissions the dependency gets.
    pub inherit_configuration: Option<Inherit>,
}

/// `inherit_configuration` of a dependency.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Inherit {
    /// All or nothing.
    All(bool),
    /// Only the named kinds.
    Some(Vec<String>),
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    ///
    /// # Errors
    /// As [`Self::parse`], and when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {}: give another with --from", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a manifest this host can serve", path.display()))
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// The text is not a manifest, Spin refuses it, or the embedded host does not support it.
    pub fn parse(text: &str) -> Result<Self> {
        let mut manifest: Self = toml::from_str(text)?;
        let version = &manifest.spin_manifest_version;
        if version.as_integer() != Some(2) && version.as_str() != Some("2") {
            bail!("spin_manifest_version is {version}: this host serves version 2");
        }
        for (kind, triggers) in std::mem::take(&mut manifest.trigger) {
            if kind != "http" {
                bail!("[[trigger.{kind}]] is not served by the embedded host: it has http triggers only");
            }
            for table in triggers {
                let written = table.to_string();
                let trigger =
                    table.try_into().with_context(|| format!("in a [[trigger.http]] with {}", written.trim()))?;
                manifest.triggers.push(trigger);
            }
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        for trigger in &self.triggers {
            let id = &trigger.component;
            if !self.components.contains_key(id) {
                bail!("[[trigger.http]] names component {id:?}, and there is no [component.{id}]");
            }
            if matches!(trigger.route, Route::Private { private: false }) {
                bail!("the route of {id:?} must be a path or {{ private = true }}");
            }
            if let Some(executor) = &trigger.executor
                && executor.kind != "http"
            {
                bail!("executor {:?} of {id:?} is not served by the embedded host", executor.kind);
            }
        }
        for (id, component) in &self.components {
            let excluding = !component.files.is_empty() && !component.exclude_files.is_empty();
            let lacking = [("exclude_files", excluding), ("ai_models", !component.ai_models.is_empty())];
            for (key, used) in lacking {
                if used {
                    bail!("component.{id}.{key} is not served by the embedded host: leave it out, or use Spin");
                }
            }
            // Spin does not start when a label has no definition. The default store and the default database are both called `default`.
            let labels =
                [("key_value_stores", &component.key_value_stores), ("sqlite_databases", &component.sqlite_databases)];
            for (key, labels) in labels {
                if let Some(label) = labels.iter().find(|label| *label != "default") {
                    bail!(
                        "component.{id}.{key} has {label:?}, which is not defined: the embedded host has \"default\""
                    );
                }
            }
        }
        Ok(())
    }
}

impl Source {
    /// The file's path.
    ///
    /// # Errors
    /// The source must be downloaded; the message names `id`.
    pub fn path(&self, id: &str) -> Result<&Path> {
        match self {
            Self::Path(path) => Ok(path),
            Self::Remote(table) => {
                bail!("component.{id}.source is {table}, not a file: the embedded host downloads nothing")
            }
        }
    }
}
