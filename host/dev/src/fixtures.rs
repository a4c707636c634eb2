//! The app with an additional tool server for tests. In `target/dev/fixtures.toml` its tools do forbidden things, and one changes the world outside;
//! in `target/dev/gateway.toml` it is the server of the conformance suite. `target/dev/apis` contains a document for `mcp-http`. This module must not
//! change `spin.toml` itself.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::manifest_edit::with_tool_server;
use crate::repo::Repo;

/// The server's name; its package is `mcp-<name>`.
const NAME: &str = "misbehaving";

/// Its section. It may reach this machine, where tests have their own servers.
const SECTION: &str = r#"
[[trigger.http]]
route = { private = true }
component = "mcp-misbehaving"

[component.mcp-misbehaving]
source = "target/wasm32-wasip2/release/mcp_server.wasm"
allowed_outbound_hosts = ["http://ops.spin.internal", "http://127.0.0.1:*"]
dependencies_inherit_configuration = true
[component.mcp-misbehaving.variables]
audience = "mcp-misbehaving"
[component.mcp-misbehaving.dependencies]
"edge-assistant:tools/provider@2.0.0" = { path = "target/wasm32-wasip2/release/mcp_misbehaving.wasm" }
"#;

/// The server of the conformance suite, which the suite asks at the gateway. tests/conformance/run.mjs knows both names.
const GATEWAY: &str = "gateway.toml";
const CONFORMANCE: &str = "conformance";
const CONFORMANCE_SECTION: &str = r#"
[[trigger.http]]
route = { private = true }
component = "mcp-conformance"

[component.mcp-conformance]
source = "target/wasm32-wasip2/release/mcp_server.wasm"
allowed_outbound_hosts = ["http://ops.spin.internal"]
dependencies_inherit_configuration = true
[component.mcp-conformance.variables]
audience = "mcp-conformance"
[component.mcp-conformance.dependencies]
"edge-assistant:tools/provider@2.0.0" = { path = "target/wasm32-wasip2/release/conformance_component.wasm" }
"#;

/// The document, and the folder in the manifest. It must be beside the manifest.
const API: &str = "tests/apis/board.yaml";
const APIS: &str = "apis";

/// The manifest's path.
pub(crate) fn manifest(repo: &Repo) -> PathBuf {
    repo.own("fixtures.toml")
}

/// Guests that only tests use.
pub(crate) const GUESTS: [&str; 3] = ["conformance-component", "fixture-letters", "mcp-misbehaving"];

/// Writes the manifests.
pub(crate) fn write_manifest(repo: &Repo) -> anyhow::Result<()> {
    let app = std::fs::read_to_string(repo.path("spin.toml")).context("cannot read spin.toml")?;
    std::fs::create_dir_all(repo.own(APIS)).context("cannot make a folder for documents")?;
    std::fs::copy(repo.path(API), repo.own(APIS).join("board.yaml")).with_context(|| format!("cannot copy {API}"))?;
    // The manifests are in another folder, so their paths must be absolute.
    let target = format!("\"{}/", repo.target("").display().to_string().trim_end_matches('/'));
    let write = |name, section, path: PathBuf| {
        let text = with_tool_server(&app, name, section)?.replace("\"target/", &target);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(NAME, SECTION, manifest(repo))?;
    write(CONFORMANCE, CONFORMANCE_SECTION, repo.own(GATEWAY))
}

/// Changes the template of a tool provider in Python: its example with an API becomes a tool, and the key becomes the API's address, so that no
/// request goes to the address in the template.
const API_OF_TEMPLATE: [(&str, &str); 2] = [
    ("(COUNT_DOWN, count_down)]", "(COUNT_DOWN, count_down), (LOOK_UP, look_up)]"),
    ("fetch(\"GET\", API,", "fetch(\"GET\", key,"),
];

/// Writes the provider and returns its folder.
pub(crate) fn write_python_provider(repo: &Repo, template: &str) -> anyhow::Result<String> {
    let folder = repo.own("fixture-dice");
    std::fs::create_dir_all(&folder).context("cannot make a folder for the fixture in Python")?;
    for entry in std::fs::read_dir(repo.path(template)).with_context(|| format!("cannot list {template}"))? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).with_context(|| format!("cannot read {template}"))?;
        let text = API_OF_TEMPLATE.iter().fold(text, |text, (from, to)| text.replace(from, to));
        std::fs::write(folder.join(entry.file_name()), text).context("cannot write the fixture in Python")?;
    }
    Ok(folder.display().to_string())
}
