//! `cargo dev tool`: lists the tools of a tool server or calls one, without the app, an account or a model.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::artifacts::{self, Profile};
use crate::host::Variables;
use crate::listing::{self, Secret, ServedTool};
use crate::manifest::{Manifest, TOOL_SERVER};
use crate::repo::Repo;
use crate::tool_servers;
use crate::tools_file::ToolsFlag;
use crate::trial::Trial;

/// The key under which the adapter reads a call's context, and how long the app waits for a result.
const META_CALL: &str = "edge-assistant/call";
const DEADLINE_MS: u32 = 55_000;
/// How much of a description is shown in a list.
const SHOWN_MAX_CHARS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say which tools there are, what calling them leads to, and which secrets they need
    List {
        /// Only those of this tool server
        server: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Call a tool
    Call(Call),
}

#[derive(clap::Args)]
struct Call {
    /// As in the chat: SERVER_TOOL
    name: String,
    /// A JSON object
    #[arg(default_value = "{}")]
    arguments: String,
    /// A secret that the tool names: NAME=VALUE, or NAME=@FILE
    #[arg(long = "secret", value_name = "NAME=VALUE")]
    secrets: Vec<String>,
    /// The person's time zone, such as Europe/Berlin; if it is left out, it is not known
    #[arg(long, value_name = "NAME")]
    time_zone: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// The options that `up` has too.
#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    tools: ToolsFlag,
}

impl Settings {
    fn manifest(&self, repo: &Repo) -> anyhow::Result<Manifest> {
        Manifest::parse(&self.tools.composed(repo, Profile::Quick)?.text)
    }
}

pub(crate) fn run(repo: &Repo, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::List { server, settings } => list(repo, server.as_deref(), settings),
        Command::Call(arguments) => call(repo, arguments),
    }
}

fn list(repo: &Repo, server: Option<&str>, settings: &Settings) -> anyhow::Result<ExitCode> {
    let manifest = settings.manifest(repo)?;
    let all = manifest.tool_servers();
    let names = match server {
        Some(server) => {
            let name = server.strip_prefix(TOOL_SERVER).unwrap_or(server);
            ensure!(all.contains(&name), "there is no tool server `{name}`; there are {}", all.join(", "));
            vec![name]
        }
        None => all,
    };
    let trial = built_and_served(repo, &manifest, &names, settings)?;
    let mut code = ExitCode::SUCCESS;
    for name in names {
        println!("{TOOL_SERVER}{name}");
        let tools: Vec<ServedTool> = match trial.server(name).tools() {
            Ok(tools) => tools.into_iter().map(ServedTool::new).collect(),
            Err(error) => {
                println!("  error: it does not list its tools: {error:#}");
                code = ExitCode::FAILURE;
                continue;
            }
        };
        if tools.is_empty() {
            println!("  no tools");
        }
        for tool in &tools {
            println!("  {}  ({})", tool.full_name(name), tool.effect());
            for words in [tool.title(), &beginning(tool.description())].into_iter().filter(|words| !words.is_empty()) {
                println!("      {words}");
            }
            for Secret { name, title, optional, .. } in tool.secrets() {
                println!("      secret {name}: {title}{}", if optional { " (optional)" } else { "" });
            }
        }
        warn(&listing::problems(name, &tools));
    }
    Ok(code)
}

fn call(repo: &Repo, call: &Call) -> anyhow::Result<ExitCode> {
    let Call { name, arguments, secrets, time_zone, settings } = call;
    let given: Value = serde_json::from_str(arguments).with_context(|| {
        format!(
            "the arguments are not valid JSON: {arguments}. Write an object in single quotes: '{{\"name\": \"value\"}}'"
        )
    })?;
    ensure!(given.is_object(), "the arguments are not a JSON object: {arguments}");
    let secrets = secrets.iter().map(|secret| read(secret)).collect::<anyhow::Result<Vec<_>>>()?;
    let manifest = settings.manifest(repo)?;
    let server = server_of(&manifest, name)?;
    let trial = built_and_served(repo, &manifest, &[server], settings)?;
    let served = trial.server(server);
    let tools: Vec<ServedTool> = served.tools()?.into_iter().map(ServedTool::new).collect();
    warn(&listing::problems(server, &tools));
    let Some(tool) =
        tools.iter().find(|tool| tool.full_name(server) == *name || format!("{server}_{}", tool.name()) == *name)
    else {
        let names: Vec<String> = tools.iter().map(|tool| tool.full_name(server)).collect();
        bail!("{TOOL_SERVER}{server} has no tool `{name}`; it has {}", names.join(", "));
    };
    check_secrets(tool, &secrets)?;
    check_arguments(tool, &given)?;
    let secrets: serde_json::Map<String, Value> =
        secrets.into_iter().map(|(name, value)| (name, value.into())).collect();
    let id = format!("{name}-{}", std::process::id());
    let about =
        json!({ "id": id, "locale": "en", "timeZone": time_zone, "deadlineMs": DEADLINE_MS, "secrets": secrets });
    let meta = json!({ "progressToken": 1, META_CALL: about });
    // The arguments are sent as written. Parsing would change numbers.
    let params = format!(r#"{{"name":{},"arguments":{arguments},"_meta":{meta}}}"#, Value::from(tool.name()));
    let result = served.ask("tools/call", &params, &mut |method, params| notice(method, params))?;
    Ok(show(tool, &result))
}

fn built_and_served(repo: &Repo, manifest: &Manifest, names: &[&str], settings: &Settings) -> anyhow::Result<Trial> {
    // Before the build: it may fail without naming the cause, or leave the previous component in place.
    warn(&tool_servers::problems(repo, &Manifest::read(repo)?)?);
    artifacts::announce_first_build(repo, Profile::Quick);
    let built = artifacts::lock(repo)?;
    artifacts::tool_servers(repo, names, Profile::Quick)?;
    drop(built);
    Trial::start(repo, manifest, names, &settings.variables)
}

fn warn(problems: &[String]) {
    for problem in problems {
        eprintln!("warning: {problem}");
    }
}

/// The tool server at the beginning of a tool's name.
fn server_of<'a>(manifest: &'a Manifest, name: &str) -> anyhow::Result<&'a str> {
    let servers = manifest.tool_servers();
    let is_of = |server: &&&str| name.strip_prefix(**server).is_some_and(|rest| rest.starts_with('_'));
    let server = servers.iter().filter(is_of).max_by_key(|server| server.len());
    server.copied().with_context(|| {
        format!("`{name}` begins with the name of no tool server and `_`; there are {}", servers.join(", "))
    })
}

fn read(secret: &str) -> anyhow::Result<(String, String)> {
    // The faulty text is not quoted: it may be the secret.
    let (name, value) = secret.split_once('=').context("--secret: write NAME=VALUE, or NAME=@FILE")?;
    let value = match value.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("--secret {name}: cannot read {file}"))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}

/// A tool gets the secrets that it declares, as in the app. It is not called without the required ones.
fn check_secrets(tool: &ServedTool, given: &[(String, String)]) -> anyhow::Result<()> {
    let named = tool.secrets();
    if let Some((unknown, _)) = given.iter().find(|(name, _)| !named.iter().any(|secret| secret.name == *name)) {
        let names: Vec<&str> = named.iter().map(|secret| secret.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("it does not name the secret `{unknown}`, so it would not get it; it names {names}");
    }
    let is_missing = |secret: &&Secret| !secret.optional && !given.iter().any(|(name, _)| *name == secret.name);
    let missing: Vec<String> =
        named.iter().filter(is_missing).map(|secret| format!("--secret {}=...", secret.name)).collect();
    ensure!(missing.is_empty(), "it needs secrets: give {}", missing.join(" "));
    Ok(())
}

/// Checks the arguments like the app does before a call: against the schema in the form that models get.
fn check_arguments(tool: &ServedTool, given: &Value) -> anyhow::Result<()> {
    let schema =
        tool.repaired_input_schema().map_err(|unfit| anyhow!("it cannot be called: its input schema {unfit}"))?;
    let problems = json_schema::check(&schema, given).context("it cannot be called")?;
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    ensure!(
        problems.is_empty(),
        "the arguments do not fit its schema, so a call would not reach it:\n- {}",
        problems.join("\n- ")
    );
    Ok(())
}

fn notice(method: &str, params: &Value) {
    let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
    if method == "notifications/progress" {
        eprintln!("... {}  {}", how_far(params), text("message"));
    } else {
        eprintln!("{}: {}", text("level"), params.get("data").unwrap_or(&Value::Null));
    }
}

/// The progress, such as "3 of 8". In JSON the numbers have a fraction (`3.0`), which is omitted if it is zero.
fn how_far(progress: &Value) -> String {
    let number = |key: &str| progress.get(key).and_then(Value::as_f64);
    let done = number("progress").unwrap_or_default();
    number("total").map_or_else(|| done.to_string(), |total| format!("{done} of {total}"))
}

fn show(tool: &ServedTool, result: &Value) -> ExitCode {
    let structured = result.get("structuredContent").filter(|structured| !structured.is_null());
    let failed = result.get("isError") == Some(&Value::Bool(true));
    for part in result.get("content").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            // The same as text, for models.
            "text"
                if structured.is_some_and(|structured| {
                    serde_json::from_str(text("text")).is_ok_and(|said: Value| said == *structured)
                }) => {}
            "text" if failed => eprintln!("failed: {}", text("text")),
            "text" => println!("{}", text("text")),
            "resource" => println!("{:#}", part.get("resource").unwrap_or(&Value::Null)),
            kind => println!("({kind} of the type {}, {} bytes in base64)", text("mimeType"), text("data").len()),
        }
    }
    if let Some(structured) = structured {
        println!("{structured:#}");
        let problems = tool.output_schema().map(|schema| json_schema::check(schema, structured));
        for problem in problems.and_then(Result::ok).unwrap_or_default() {
            eprintln!("warning: the result does not fit the output schema: {problem}");
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn beginning(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.chars().count() <= SHOWN_MAX_CHARS {
        return line.to_owned();
    }
    line.chars().take(SHOWN_MAX_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::parse("[component.mcp-a]\n[component.mcp-a-b]\n[component.ui]\n").unwrap()
    }

    #[test]
    fn a_tool_belongs_to_the_server_whose_name_it_begins_with() {
        assert_eq!(server_of(&manifest(), "a_b").unwrap(), "a");
        assert_eq!(server_of(&manifest(), "a-b_c_d").unwrap(), "a-b");
        for unknown in ["ab_c", "ui_x", "a", ""] {
            let error = server_of(&manifest(), unknown).unwrap_err().to_string();
            assert!(error.contains("there are a, a-b"), "{error}");
        }
    }

    #[test]
    fn arguments_are_checked_against_the_schema_that_the_app_reads_out_of_the_tools_own() {
        let properties = json!({ "count": { "type": "int" }, "label": { "type": "no type" } });
        let tool = ServedTool::new(json!({ "name": "t", "inputSchema": { "type": "dict", "properties": properties } }));
        assert!(check_arguments(&tool, &json!({ "count": 1, "label": true })).is_ok());
        let error = check_arguments(&tool, &json!({ "count": "1" })).unwrap_err().to_string();
        assert!(error.contains("/count: must be an integer"), "{error}");
        let unfit = ServedTool::new(json!({ "name": "t", "inputSchema": { "type": "string" } }));
        assert!(check_arguments(&unfit, &json!({})).is_err());
    }

    #[test]
    fn progress_is_shown_without_a_needless_fraction() {
        for (progress, expected) in [
            (json!({ "progress": 3.0, "total": 8.0 }), "3 of 8"),
            (json!({ "progress": 2 }), "2"),
            (json!({ "progress": 0.5, "total": 1 }), "0.5 of 1"),
        ] {
            assert_eq!(how_far(&progress), expected);
        }
    }

    #[test]
    fn only_secrets_that_a_tool_names_are_given_and_none_may_be_missing() {
        let secret = |name: &str, optional: bool| json!({ "name": name, "title": name, "optional": optional });
        let secrets = json!({ "secrets": [secret("key", false), secret("more", true)] });
        let tool = ServedTool::new(json!({ "name": "t", "_meta": { "edge-assistant/tool": secrets } }));
        let given =
            |names: &[&str]| -> Vec<_> { names.iter().map(|name| read(&format!("{name}=v=1")).unwrap()).collect() };
        assert_eq!(given(&["key"])[0].1, "v=1");
        assert!(check_secrets(&tool, &given(&["key"])).is_ok());
        assert!(check_secrets(&tool, &given(&["more"])).unwrap_err().to_string().contains("--secret key=..."));
        assert!(check_secrets(&tool, &given(&["key", "kee"])).unwrap_err().to_string().contains("it names key, more"));
        let error = read("sk-12345").unwrap_err().to_string();
        assert!(!error.contains("sk-12345"), "{error}");
    }
}
