//! How a tool provider in JavaScript is built: componentize-qjs, which the lock file of its folder pins, puts it and QuickJS into a component.

/// Where tool providers in JavaScript are put.
const PROVIDERS: &str = "target/javascript/";

/// What makes a tool provider out of `app.js` and `package-lock.json` in a folder, whose `node_modules` gets the packages; for a shell at the
/// root, and for `spin.toml`, so that `spin build` does the same.
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

/// Where such a provider is put.
pub(crate) fn provider_file(name: &str) -> String {
    format!("{PROVIDERS}{name}.wasm")
}
