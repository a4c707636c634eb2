//! `cargo dev new-tool`: creates a tool provider from a template, and its lines in `spin.toml`. Overwrites nothing.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::javascript;
use crate::manifest::{ADAPTER, KEYS_HOST, Manifest, TOOL_SERVER};
use crate::manifest_edit::{with_tool_server, without_member};
use crate::python;
use crate::repo::Repo;
use crate::tool_servers::FOLDER;
use crate::tools_file::CONTRACT;

/// The name is the first part of its tools' names, which have at most 64 characters for models.
const NAME_MAX_CHARS: usize = 32;
/// Names whose packages exist already.
const RESERVED: [&str; 3] = ["server", "client", "misbehaving"];

/// The templates are providers that the tests compose and call, so they work. The command replaces their names.
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../../tests/providers/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("../../../../tests/providers/rust/src/lib.rs")),
];
const PYTHON: &[(&str, &str)] = &[
    ("app.py", include_str!("../../../../tests/providers/python/app.py")),
    ("tool.py", include_str!("../../../../tests/providers/python/tool.py")),
    ("test_tool.py", include_str!("../../../../tests/providers/python/test_tool.py")),
    ("fetch.py", include_str!("../../../../tests/providers/python/fetch.py")),
    ("requirements.txt", include_str!("../../../../tests/providers/python/requirements.txt")),
];
const JAVASCRIPT: &[(&str, &str)] = &[
    ("app.js", include_str!("../../../../tests/providers/javascript/app.js")),
    ("tool.js", include_str!("../../../../tests/providers/javascript/tool.js")),
    ("tool.test.js", include_str!("../../../../tests/providers/javascript/tool.test.js")),
    ("package.json", include_str!("../../../../tests/providers/javascript/package.json")),
    ("package-lock.json", include_str!("../../../../tests/providers/javascript/package-lock.json")),
    (".npmrc", include_str!("../../../../tests/providers/javascript/.npmrc")),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Lower-case letters, digits and dashes; its tools are called <NAME>_<tool>
    name: String,
    /// What to write it in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
    #[value(name = "javascript")]
    JavaScript,
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let made = make(repo, &arguments.name, arguments.language)?;
    for file in &made {
        println!("made {file}");
    }
    let Arguments { name, language } = arguments;
    if *language != Language::Rust {
        println!("added to Cargo.toml: components/mcp/{name} is no package of the workspace");
    }
    println!(
        "added to spin.toml: the component mcp-{name}, which may reach nothing; `tools` lists it and may reach it"
    );
    println!("\n{}", next(name, *language));
    Ok(ExitCode::SUCCESS)
}

/// Creates everything, or changes nothing.
fn make(repo: &Repo, name: &str, language: Language) -> anyhow::Result<Vec<String>> {
    check(name)?;
    let path = repo.path("spin.toml");
    let manifest = std::fs::read_to_string(&path).context("cannot read spin.toml")?;
    let folder = format!("{FOLDER}/{name}");
    if repo.path(&folder).exists() {
        bail!("`{name}` is taken: there is {folder}. Nothing was changed");
    }
    // A tool with the name of a part of the app could be confused with it, in logs and in chats.
    for id in [format!("mcp-{name}"), name.to_owned()] {
        if Manifest::parse(&manifest)?.has_component(&id) {
            bail!("`{name}` is taken: spin.toml has the component {id}. Nothing was changed");
        }
    }
    let edited = with_tool_server(&manifest, name, &section(name, language)).context("nothing was changed")?;
    let files = match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::JavaScript => JAVASCRIPT,
    };
    let workspace = if language == Language::Rust {
        None
    } else {
        let workspace = std::fs::read_to_string(repo.path("Cargo.toml")).context("cannot read Cargo.toml")?;
        Some(without_member(&workspace, &folder).context("nothing was changed")?)
    };
    // Before the folder exists, which Cargo could not read.
    if let Some(workspace) = workspace {
        std::fs::write(repo.path("Cargo.toml"), workspace).context("cannot write Cargo.toml")?;
    }
    let mut made = Vec::new();
    for (file, template) in files {
        let file = format!("{folder}/{file}");
        let full = repo.path(&file);
        if let Some(parent) = full.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&full, named(template, name)).with_context(|| format!("cannot write {}", full.display()))?;
        made.push(file);
    }
    std::fs::write(&path, edited).context("cannot write spin.toml")?;
    Ok(made)
}

pub(crate) fn check(name: &str) -> anyhow::Result<()> {
    let is_well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(|part| !part.is_empty())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_well_formed {
        bail!(
            "`{name}` cannot be a tool's name: use lower-case letters, digits and single dashes, a letter first, such as `word-count`"
        );
    }
    if name.len() > NAME_MAX_CHARS {
        bail!(
            "`{name}` is too long: use at most {NAME_MAX_CHARS} characters, since they come first in the names of its tools"
        );
    }
    if let Some(rest) = name.strip_prefix(TOOL_SERVER) {
        bail!(
            "`{name}` would become the component {TOOL_SERVER}{name}: {TOOL_SERVER} is always added, so use `{rest}` instead"
        );
    }
    if RESERVED.contains(&name) {
        bail!("`{name}` is taken: there is a package mcp-{name} already. Choose another name");
    }
    Ok(())
}

/// A template with its name replaced.
fn named(template: &str, name: &str) -> String {
    let title = title(name);
    [
        ("name = \"fixture-letters\"", format!("name = \"mcp-{name}\"")),
        ("name: \"letters\", title: \"Letters\"", format!("name: \"{name}\", title: \"{title}\"")),
        ("name=\"dice\"", format!("name=\"{name}\"")),
        ("title=\"Dice\"", format!("title=\"{title}\"")),
        ("name: \"words\"", format!("name: \"{name}\"")),
        ("title: \"Words\"", format!("title: \"{title}\"")),
        ("\"edge-assistant-javascript-provider\"", format!("\"mcp-{name}\"")),
    ]
    .iter()
    .fold(template.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The title for people: `word-count` becomes `Word count`.
fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// The lines of `spin.toml` for a component of the adapter and this provider.
fn section(name: &str, language: Language) -> String {
    let (provider, command, sources) = match language {
        Language::Rust => (
            format!("target/wasm32-wasip2/release/mcp_{}.wasm", name.replace('-', "_")),
            format!("cargo build --target wasm32-wasip2 --release --package mcp-server --package mcp-{name}"),
            ["**/*.rs"].as_slice(),
        ),
        Language::Python => {
            let file = python::provider_file(name);
            let command = python::provider_command(&format!("components/mcp/{name}"), name);
            (file, format!("{ADAPTER}{command}"), ["**/*"].as_slice())
        }
        Language::JavaScript => {
            let file = javascript::provider_file(name);
            let command = javascript::provider_command(&format!("components/mcp/{name}"), name);
            // Without subfolders: the build writes `node_modules` there and would trigger itself again.
            (file, format!("{ADAPTER}{command}"), ["*.js", "*.json"].as_slice())
        }
    };
    let sources: Vec<String> = sources.iter().map(|files| format!(r#""components/mcp/{name}/{files}""#)).collect();
    let sources = sources.join(", ");
    format!(
        r#"[[trigger.http]]
route = {{ private = true }}
component = "mcp-{name}"

[component.mcp-{name}]
source = "target/wasm32-wasip2/release/mcp_server.wasm"
allowed_outbound_hosts = ["{KEYS_HOST}"]
dependencies_inherit_configuration = true
[component.mcp-{name}.variables]
audience = "mcp-{name}"
log_level = "{{{{ log_level }}}}"
otlp_endpoint = "{{{{ otlp_endpoint }}}}"
otlp_sampling = "{{{{ otlp_sampling }}}}"
[component.mcp-{name}.dependencies]
"{CONTRACT}" = {{ path = "{provider}" }}
[component.mcp-{name}.build]
command = "{command}"
watch = ["components/mcp-server/**/*.rs", {sources}, "crates/**/*.rs", "wit/**/*.wit"]
"#
    )
}

fn next(name: &str, language: Language) -> String {
    let folder = format!("{FOLDER}/{name}");
    let (file, test, question, tool, arguments) = match language {
        Language::Rust => (
            "src/lib.rs",
            format!("cargo test --package mcp-{name}"),
            "How many r are in strawberry?",
            "count",
            r#"{"text": "strawberry", "wanted": "r"}"#,
        ),
        Language::Python => (
            "app.py and tool.py",
            format!("python3 -m unittest discover {folder}"),
            "Roll 3d6+2 for me.",
            "roll",
            r#"{"dice": "3d6+2"}"#,
        ),
        Language::JavaScript => (
            "app.js and tool.js",
            format!("node --test {folder}/tool.test.js"),
            "How many words has this sentence?",
            "measure",
            r#"{"text": "How many words?"}"#,
        ),
    };
    format!(
        "What next: it works as it is; make it yours in {folder}, {file}.\n  \
         {test}\n      runs its tests\n  \
         cargo dev tool call {name}_{tool} '{arguments}'\n      builds it and calls it, without a chat\n  \
         cargo dev up\n      builds and serves it; ask in the chat: {question}\n\
         Without a model's key, the scripted model calls tools by order:\n  \
         cargo dev up --variable openai_model=scripted-obey=1\n\
         and say: CALL {name}_{tool} {arguments}\n\
         What tells how far it is: CALL {name}_count_down {{\"start\": 9}}\n\
         docs/tools.md is the guide."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> (tempfile::TempDir, Repo) {
        let folder = tempfile::tempdir().unwrap();
        for file in ["spin.toml", "Cargo.toml"] {
            std::fs::copy(Repo::here().unwrap().path(file), folder.path().join(file)).unwrap();
        }
        let repo = Repo::at(folder.path());
        (folder, repo)
    }

    fn read(repo: &Repo, file: &str) -> String {
        std::fs::read_to_string(repo.path(file)).unwrap()
    }

    #[test]
    fn a_provider_in_rust_is_a_package_and_a_component() {
        let (_folder, repo) = repo();
        let made = make(&repo, "word-count2", Language::Rust).unwrap();
        assert_eq!(made, ["components/mcp/word-count2/Cargo.toml", "components/mcp/word-count2/src/lib.rs"]);
        assert!(read(&repo, &made[0]).contains("name = \"mcp-word-count2\""));
        assert!(read(&repo, &made[1]).contains("name: \"word-count2\", title: \"Word count2\""));
        let manifest = Manifest::read(&repo).unwrap();
        assert!(manifest.packages().contains(&"mcp-word-count2".to_owned()));
        assert!(manifest.providers().unwrap().is_empty());
    }

    #[test]
    fn a_provider_in_python_is_built_by_the_command_of_its_component() {
        let (_folder, repo) = repo();
        let made = make(&repo, "luck", Language::Python).unwrap();
        assert!(read(&repo, &made[0]).contains("name=\"luck\",\n            title=\"Luck\""));
        let providers = Manifest::read(&repo).unwrap().providers().unwrap();
        let [luck] = providers.as_slice() else { panic!("{providers:?}") };
        assert_eq!((luck.folder.as_str(), luck.file.as_str()), ("components/mcp/luck", "target/python/luck.wasm"));
        assert!(read(&repo, "Cargo.toml").contains("exclude = [\"components/mcp/luck\""));
        assert!(luck.command.ends_with("-o target/python/luck.wasm"), "{}", luck.command);
    }

    #[test]
    fn a_provider_in_javascript_is_built_by_the_command_of_its_component() {
        let (_folder, repo) = repo();
        let made = make(&repo, "luck", Language::JavaScript).unwrap();
        assert!(read(&repo, &made[0]).contains("name: \"luck\",\n      title: \"Luck\""));
        for file in ["package.json", "package-lock.json"] {
            assert!(read(&repo, &format!("components/mcp/luck/{file}")).contains("\"name\": \"mcp-luck\""), "{file}");
        }
        let providers = Manifest::read(&repo).unwrap().providers().unwrap();
        let [luck] = providers.as_slice() else { panic!("{providers:?}") };
        assert_eq!((luck.folder.as_str(), luck.file.as_str()), ("components/mcp/luck", "target/javascript/luck.wasm"));
        assert!(luck.command.ends_with("--output target/javascript/luck.wasm"), "{}", luck.command);
    }

    #[test]
    fn a_second_time_changes_nothing_and_says_so() {
        let (_folder, repo) = repo();
        make(&repo, "dice", Language::Rust).unwrap();
        std::fs::write(repo.path("components/mcp/dice/src/lib.rs"), "mine").unwrap();
        let before = read(&repo, "spin.toml");
        for language in [Language::Rust, Language::Python, Language::JavaScript] {
            let error = make(&repo, "dice", language).unwrap_err().to_string();
            assert!(error.contains("taken") && error.contains("Nothing was changed"), "{error}");
        }
        assert_eq!(read(&repo, "spin.toml"), before);
        assert_eq!(read(&repo, "components/mcp/dice/src/lib.rs"), "mine");
        assert!(!repo.path("components/mcp/dice/app.py").exists());
    }

    #[test]
    fn no_tool_is_called_as_a_part_of_the_app_is() {
        let (_folder, repo) = repo();
        for name in ["chat", "tools", "clock"] {
            assert!(make(&repo, name, Language::Rust).unwrap_err().to_string().contains("taken"), "{name}");
        }
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", "Dice", "a_b", "-a", "a-", "a--b", "1a", "dé", "a/b", "server", "mcp-a", &"a".repeat(33)] {
            assert!(check(name).is_err(), "{name}");
        }
        for name in ["a", "word-count", "a1", &"a".repeat(32)] {
            assert!(check(name).is_ok(), "{name}");
        }
    }
}
