//! Points the bindings of `src/bindings.rs` at the WIT files that come with the `spin-sdk` crate.
//!
//! The files stay where cargo unpacked them: a copy in this repository could drift from the SDK that guests are compiled with. `bindgen!` needs
//! a literal path, so the macro call itself is written to `OUT_DIR`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The guest SDK whose WIT this host implements. If a guest was built with another SDK and imports a missing interface, it is refused at start.
const SDK: &str = "spin-sdk";
const SDK_VERSION: &str = "7.0.0";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let wit = sdk_folder()?.join("wit");
    println!("cargo::rerun-if-changed={}", wit.display());
    let out = PathBuf::from(std::env::var("OUT_DIR").context("cargo sets OUT_DIR")?);
    std::fs::write(out.join("bindings.rs"), bindings(&wit))
        .with_context(|| format!("cannot write {}", out.display()))?;
    Ok(())
}

fn sdk_folder() -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").context("cargo sets CARGO")?;
    let manifest = std::env::var("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?;
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(Path::new(&manifest).join("Cargo.toml"))
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let text = |package: &serde_json::Value, key: &str| Some(package.get(key)?.as_str()?.to_owned());
    let packages = metadata.get("packages").and_then(|packages| packages.as_array());
    packages
        .context("cargo metadata has no packages")?
        .iter()
        .find(|package| {
            text(package, "name").as_deref() == Some(SDK) && text(package, "version").as_deref() == Some(SDK_VERSION)
        })
        .and_then(|package| PathBuf::from(text(package, "manifest_path")?).parent().map(Path::to_path_buf))
        .with_context(|| format!("no {SDK} {SDK_VERSION} in the workspace: the host takes its WIT files from there"))
}

fn bindings(wit: &Path) -> String {
    format!(
        r#"wasmtime::component::bindgen!({{
    inline: "
        package embedded:host;
        world host {{
            import spin:key-value/key-value@3.0.0;
            import spin:postgres/postgres@4.2.0;
            import spin:sqlite/sqlite@3.1.0;
            import spin:variables/variables@3.0.0;
        }}
    ",
    path: {wit:?},
    imports: {{ default: async | trappable }},
    with: {{
        "spin:key-value/key-value.store": crate::key_value::Store,
        "spin:postgres/postgres.connection": crate::postgres::Connection,
        "spin:postgres/postgres.connection-builder": crate::postgres::ConnectionBuilder,
        "spin:sqlite/sqlite.connection": crate::sqlite::Connection,
    }},
}});
"#
    )
}
