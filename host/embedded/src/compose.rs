//! Composes a component with its `[component.<id>.dependencies]` before it is compiled, as Spin does.
//!
//! Each dependency is a component file. Its exports satisfy the imports that its name matches; its own imports become imports of the composed
//! component.

use std::path::Path;

use anyhow::{Context, Result, bail};
use manifest::dependencies::matches_import;
use manifest::{Component, Dependency, Inherit, LocalDependency};
use wac_graph::types::{Package, SubtypeChecker, WorldId};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

/// The bytes of component `id` with its dependencies composed in. Paths are relative to `folder`.
pub(crate) fn compose(folder: &Path, id: &str, component: &Component) -> Result<Vec<u8>> {
    let source = folder.join(component.source.path(id)?);
    let bytes = read(&source, id)?;
    if component.dependencies.is_empty() {
        return Ok(bytes);
    }
    compose_all(folder, id, component, bytes).with_context(|| format!("cannot compose component {id:?}"))
}

fn read(path: &Path, id: &str) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!("component {id:?} is not built: cannot read {}; `cargo dev up` builds it", path.display())
    })
}

fn compose_all(folder: &Path, id: &str, component: &Component, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let (world, root) = instantiate(&mut graph, id, bytes)?;
    let imports: Vec<String> = graph.types()[world].imports.keys().cloned().collect();
    let mut satisfied: Vec<&str> = Vec::new();
    for (name, dependency) in &component.dependencies {
        let dependency = local(name, dependency)?;
        check_inherits(name, dependency, component)?;
        let matching: Vec<&str> =
            imports.iter().map(String::as_str).filter(|import| matches_import(name, import)).collect();
        if matching.is_empty() {
            bail!("it imports nothing called {name:?}; its imports are {}", imports.join(", "));
        }
        let bytes = read(&folder.join(&dependency.path), id)?;
        let (dependency_world, instance) = instantiate(&mut graph, name, bytes)?;
        for import in matching {
            if satisfied.contains(&import) {
                bail!("two dependencies satisfy {import}: name them so that only one does");
            }
            satisfied.push(import);
            let export = dependency.export.as_deref().unwrap_or(import);
            check_types(&graph, (world, import), (dependency_world, export))?;
            let alias = graph.alias_instance_export(instance, export)?;
            graph.set_instantiation_argument(root, import, alias)?;
        }
    }
    let exports: Vec<String> = graph.types()[world].exports.keys().cloned().collect();
    for export in &exports {
        let alias = graph.alias_instance_export(root, export)?;
        graph.export(alias, export)?;
    }
    // Compiling validates the composed component, and happens only once; composing happens at every start.
    Ok(graph.encode(EncodeOptions { validate: false, ..EncodeOptions::default() })?)
}

fn instantiate(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<(WorldId, NodeId)> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())
        .with_context(|| format!("{name:?} is not a component"))?;
    let world = package.ty();
    let package = graph.register_package(package)?;
    Ok((world, graph.instantiate(package)))
}

fn local<'a>(name: &str, dependency: &'a Dependency) -> Result<&'a LocalDependency> {
    match dependency {
        Dependency::Local(local) => Ok(local),
        Dependency::Remote(value) => bail!(
            "the dependency {name:?} is {value}, not a file: the embedded host takes {{ path = \"...\" }} and downloads nothing"
        ),
    }
}

/// Spin denies a dependency every host interface that it does not inherit. This host cannot do that. To serve the component anyway would grant
/// more than the manifest does.
fn check_inherits(name: &str, dependency: &LocalDependency, component: &Component) -> Result<()> {
    let inherits = match &dependency.inherit_configuration {
        Some(inherit) => *inherit == Inherit::All(true),
        None => component.dependencies_inherit_configuration,
    };
    if !inherits {
        bail!(
            "the dependency {name:?} does not inherit the component's permissions, which the embedded host cannot \
             enforce: set dependencies_inherit_configuration = true, or use Spin"
        );
    }
    Ok(())
}

fn check_types(graph: &CompositionGraph, import: (WorldId, &str), export: (WorldId, &str)) -> Result<()> {
    let types = graph.types();
    let export_type = types[export.0]
        .exports
        .get(export.1)
        .with_context(|| format!("the dependency has no export {:?} for the import {:?}", export.1, import.1))?;
    let import_type = types[import.0].imports.get(import.1).context("the import was just listed")?;
    SubtypeChecker::new(&mut Default::default())
        .is_subtype(*export_type, types, *import_type, types)
        .with_context(|| format!("the dependency's export {:?} does not fit the import {:?}", export.1, import.1))
}
