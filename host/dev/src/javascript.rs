//! The build of a tool provider in JavaScript: componentize-qjs, pinned by the lock file of its folder, combines it with QuickJS to a component.

/// The folder of built tool providers in JavaScript.
const PROVIDERS: &str = "target/javascript/";

/// The command that builds a tool provider from `app.js` and `package-lock.json` in a folder, whose `node_modules` gets the packages. It is for a
/// shell at the root, and for `spin.toml`, so that `spin build` does the same.
pub(crate) fn provider_command(folder: &str, name: &str) -> String {
    let (program, file) = ("node_modules/componentize-qjs/bin/componentize-qjs", provider_file(name));
    [
        format!("npm --prefix {folder} ci --no-audit --no-fund"),
        format!("mkdir -p {PROVIDERS}"),
        format!(
            "node {folder}/{program} --wit wit --world tool-provider-in-javascript --js {folder}/app.js --output {file}"
        ),
    ]
    .join(" && ")
}

/// The path of a built provider.
pub(crate) fn provider_file(name: &str) -> String {
    format!("{PROVIDERS}{name}.wasm")
}
