//! The rings of tests, from fast ones to a person's view in a browser. A ring describes its preparation and its parts. `commands/test.rs` runs and
//! counts them.

pub(crate) mod counts;

use std::path::PathBuf;
use std::process::Command;

use crate::artifacts::{self, Once, Profile};
use crate::fixtures;
use crate::javascript;
use crate::manifest::{ComposedProvider, Manifest};
use crate::npm::{install, npm};
use crate::prerequisites;
use crate::python;
use crate::repo::Repo;
use crate::step::aside;
use crate::test_programs::{self, APP_TESTS, PACE_TESTS, PROVIDER_TESTS, TestProgram};

/// The folder of the browser ring.
const BROWSER: &str = "tests/browser";
/// The folder of the checks of deployment files.
const DEPLOY: &str = "tests/deploy";
/// The folder of the checks of the API against its description.
const API: &str = "tests/api";
/// The folder of the templates of `cargo dev new-tool`, one folder for each language.
const PROVIDERS: &str = "tests/providers";
/// The folder of the protocol's own test suite, and that of other MCP clients.
const CONFORMANCE: &str = "tests/conformance";
const CLIENTS: &str = "tests/conformance/clients";
/// The folder of the load tests.
const LOAD: &str = "tests/load";
/// Environment variables for the app ring: the host's program, the manifest, the manifest with misbehaving tools, and how often an instance is
/// reused.
const HOST_VARIABLE: &str = "EA_HOST";
const MANIFEST_VARIABLE: &str = "EA_MANIFEST";
const FIXTURES_VARIABLE: &str = "EA_FIXTURES_MANIFEST";
const REUSE_VARIABLE: &str = "EA_INSTANCE_REUSE";
const STORE_VARIABLE: &str = "EA_STORE";
/// Additional environment variables for the conformance ring: MCP clients.
const CLIENT_VARIABLE: &str = "MCP_CLIENT_COMMAND";
const PYTHON_VARIABLE: &str = "EA_PYTHON";
const RMCP_VARIABLE: &str = "EA_RMCP_CLIENT";
/// An additional environment variable for the load ring: the program of k6.
const K6_VARIABLE: &str = "K6";

pub(crate) struct Ring {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The ring's folder. Without it, the ring is skipped.
    pub(crate) folder: &'static str,
    /// Installs requirements. This may run while another ring is built.
    pub(crate) fetch: fn(&Repo) -> anyhow::Result<Readiness>,
    /// Builds what is stale and returns the parts.
    pub(crate) parts: fn(&Repo, &Manifest) -> anyhow::Result<Vec<Part>>,
    /// Whether the parts run at the same time, as many as there are processors, together with those of neighbouring rings. Otherwise they run one
    /// after the other.
    pub(crate) at_once: bool,
}

/// A part of a ring: one program.
pub(crate) struct Part {
    /// The name after the ring's name, also in the log's name.
    pub(crate) name: String,
    pub(crate) command: Command,
    /// The command that runs only this part, if it is not `cargo dev test` with the ring's name.
    pub(crate) again: Option<String>,
    /// It measures, so it runs alone, after everything else that may run at once.
    pub(crate) measures: bool,
}

impl Part {
    fn new(name: &str, command: Command) -> Self {
        Self { name: name.to_owned(), command, again: None, measures: false }
    }
}

/// Whether a ring can run here.
pub(crate) enum Readiness {
    Ready,
    /// It cannot run, for this reason.
    Skip(String),
}

/// All rings, fast ones first. The host's ring runs alone, because it compiles. Of the rings after it, the longest is first.
pub(crate) const RINGS: [Ring; 13] = [
    Ring {
        name: "crates",
        about: "libraries, the scripted model and this program",
        folder: "crates",
        fetch: checker_of_metrics,
        parts: |repo, manifest| {
            let packages = manifest.packages();
            tests(repo, manifest, |program| program.package != APP_TESTS && !packages.contains(&program.package))
        },
        at_once: true,
    },
    Ring {
        name: "components",
        about: "the parts of the components that run natively",
        folder: "components",
        fetch: servers_of_mail,
        parts: |repo, manifest| {
            let packages = manifest.packages();
            tests(repo, manifest, |program| packages.contains(&program.package))
        },
        at_once: true,
    },
    Ring {
        name: "page",
        about: "the page's types, lints and unit tests",
        folder: artifacts::PAGE,
        fetch: |repo| install(repo, artifacts::PAGE).map(|()| Readiness::Ready),
        parts: |repo, _| {
            let script = |name| {
                let mut npm = npm(repo, artifacts::PAGE);
                npm.args(["run", "--if-present", name]);
                Part::new(name, npm)
            };
            Ok(vec![script("check"), script("lint"), script("test")])
        },
        at_once: true,
    },
    Ring {
        name: "deploy",
        about: "the deployment files, dashboards and the pipeline, against the schemas of their readers",
        folder: DEPLOY,
        fetch: |repo| {
            needs(python::is_there(repo), || python::install(repo, DEPLOY).and_then(|()| install(repo, DEPLOY)))
        },
        parts: |repo, _| {
            let mut workflows = npm(repo, DEPLOY);
            workflows.args(["run", "workflows"]);
            Ok(vec![Part::new("check", python::python(repo, DEPLOY, "check.py")), Part::new("workflows", workflows)])
        },
        at_once: true,
    },
    Ring {
        name: "host",
        about: "the embedded host, with guests made for its tests",
        folder: "host/embedded",
        fetch: |repo| prerequisites::wasm_target(repo).map(|()| Readiness::Ready),
        parts: |repo, _| {
            let mut test = repo.cargo();
            test.args(["test", "--profile", "host", "--package", "embedded-host", "--tests"]);
            Ok(vec![Part::new("tests", test)])
        },
        at_once: false,
    },
    Ring {
        name: "browser",
        about: "the whole app as a person sees it, in Chromium",
        folder: BROWSER,
        fetch: |repo| needs(prerequisites::chromium(repo), || install(repo, BROWSER)),
        parts: |repo, manifest| {
            the_app(repo, manifest)?;
            let mut npm = npm(repo, BROWSER);
            npm.arg("test").env(HOST_VARIABLE, the_host(repo)).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
            Ok(vec![Part::new("pages", npm)])
        },
        at_once: true,
    },
    Ring {
        name: "providers",
        about: "a tool provider in each language, composed with the adapter and called over MCP",
        folder: PROVIDERS,
        fetch: nothing,
        parts: |repo, manifest| {
            the_app(repo, manifest)?;
            a_provider_in_python(repo)?;
            a_provider_in_javascript(repo)?;
            let mut parts = tests_of_templates(repo);
            parts.extend(app_tests(repo, manifest, true)?);
            for mut part in app_tests(repo, manifest, true)? {
                part.name += "-fresh";
                part.command.env(REUSE_VARIABLE, "1");
                parts.push(part);
            }
            Ok(parts)
        },
        at_once: true,
    },
    Ring {
        name: "app",
        about: "the whole app over HTTP, instances shared as in production",
        folder: "tests",
        fetch: nothing,
        parts: |repo, manifest| app(repo, manifest, None),
        at_once: true,
    },
    Ring {
        name: "app-fresh",
        about: "the same with a new instance for each request",
        folder: "tests",
        fetch: nothing,
        parts: |repo, manifest| app(repo, manifest, Some((REUSE_VARIABLE, "1"))),
        at_once: true,
    },
    Ring {
        name: "app-postgres",
        about: "the same on a real PostgreSQL, and many hosts on one",
        folder: "tests",
        // PostgreSQL comes in a Python package.
        fetch: |repo| needs(python::is_there(repo), || Ok(())),
        parts: |repo, manifest| app(repo, manifest, Some((STORE_VARIABLE, "postgres"))),
        at_once: true,
    },
    Ring {
        name: "conformance",
        about: "MCP: the protocol's own suite, server and client, and other people's clients against the app",
        folder: CONFORMANCE,
        fetch: clients,
        parts: |repo, manifest| {
            the_app(repo, manifest)?;
            let _built = artifacts::lock(repo)?;
            test_programs::build(repo, manifest)?;
            let script = |name| {
                let mut npm = npm(repo, CONFORMANCE);
                npm.args(["run", name]).env(HOST_VARIABLE, the_host(repo));
                npm
            };
            let (mut suite, mut clients) = (script("test"), script("clients"));
            suite.env(CLIENT_VARIABLE, test_programs::program(repo, "mcp-client")).env_remove("MCP_SERVER_URL");
            clients.env(PYTHON_VARIABLE, python::program(repo, CLIENTS));
            clients.env(RMCP_VARIABLE, test_programs::program(repo, "rmcp-client"));
            Ok(vec![Part::new("suite", suite), Part::new("clients", clients)])
        },
        at_once: true,
    },
    Ring {
        name: "api",
        about: "the description of the API: its lints, the page's types of it, and the app against it",
        folder: API,
        fetch: |repo| needs(python::is_there(repo), || install(repo, API).and_then(|()| python::install(repo, API))),
        parts: |repo, manifest| {
            the_app(repo, manifest)?;
            let (mut document, mut app) = (npm(repo, API), python::python(repo, API, "run.py"));
            document.arg("test");
            app.env(HOST_VARIABLE, the_host(repo));
            Ok(vec![Part::new("document", document), Part::new("app", app)])
        },
        at_once: true,
    },
    Ring {
        name: "load",
        about: "the load tests, a few seconds of each",
        folder: LOAD,
        // k6 comes in a Python package.
        fetch: |repo| needs(python::is_there(repo), || python::install(repo, LOAD)),
        parts: |repo, manifest| {
            the_app(repo, manifest)?;
            let mut node = repo.command("node");
            node.arg("--test").arg(repo.path(LOAD).join("run.test.mjs"));
            node.env(HOST_VARIABLE, the_host(repo)).env(K6_VARIABLE, python::program(repo, LOAD).with_file_name("k6"));
            Ok(vec![Part { measures: true, ..Part::new("scenarios", node) }])
        },
        at_once: true,
    },
];

fn nothing(_: &Repo) -> anyhow::Result<Readiness> {
    Ok(Readiness::Ready)
}

/// Skips a ring if a requirement is missing; otherwise installs what it needs.
fn needs(there: anyhow::Result<()>, install: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Readiness> {
    match there {
        Ok(()) => install().map(|()| Readiness::Ready),
        Err(reason) => Ok(Readiness::Skip(format!("{reason:#}"))),
    }
}

/// Without Cyrus, the tests that need it are skipped with a message.
fn servers_of_mail(repo: &Repo) -> anyhow::Result<Readiness> {
    if let Err(reason) = prerequisites::cyrus(repo) {
        aside(|| eprintln!("tests with Cyrus are skipped: {reason:#}"));
    }
    Ok(Readiness::Ready)
}

/// Without `promtool`, its test is skipped with a message.
fn checker_of_metrics(repo: &Repo) -> anyhow::Result<Readiness> {
    if let Err(reason) = prerequisites::promtool(repo) {
        aside(|| eprintln!("the test with promtool is skipped: {reason:#}"));
    }
    Ok(Readiness::Ready)
}

/// Without Python, the tests of its client are skipped with a message.
fn clients(repo: &Repo) -> anyhow::Result<Readiness> {
    install(repo, CONFORMANCE)?;
    if python::is_there(repo).is_ok() {
        python::install(repo, CLIENTS)?;
    }
    Ok(Readiness::Ready)
}

fn the_app(repo: &Repo, manifest: &Manifest) -> anyhow::Result<()> {
    static APP: Once<()> = Once::new("the app");
    APP.get(|| {
        let _built = artifacts::lock(repo)?;
        artifacts::app_and(repo, manifest, &fixtures::GUESTS, Profile::Release)?;
        fixtures::write_manifest(repo)
    })?;
    Ok(())
}

/// Without Python, its test is skipped with a message.
fn a_provider_in_python(repo: &Repo) -> anyhow::Result<()> {
    if python::is_there(repo).is_err() {
        return Ok(());
    }
    let _built = artifacts::lock(repo)?;
    let name = "fixture-dice".to_owned();
    let folder = fixtures::write_python_provider(repo, &format!("{PROVIDERS}/python"))?;
    let (file, command) = (python::provider_file(&name), python::provider_command(&folder, &name));
    artifacts::provider(repo, &ComposedProvider { name, folder, file, command })
}

fn a_provider_in_javascript(repo: &Repo) -> anyhow::Result<()> {
    let _built = artifacts::lock(repo)?;
    let (name, folder) = ("fixture-words".to_owned(), format!("{PROVIDERS}/javascript"));
    let (file, command) = (javascript::provider_file(&name), javascript::provider_command(&folder, &name));
    artifacts::provider(repo, &ComposedProvider { name, folder, file, command })
}

/// The tests of the templates' tools. Those of the Rust template are in the ring `crates`.
fn tests_of_templates(repo: &Repo) -> Vec<Part> {
    let mut parts = Vec::new();
    if python::is_there(repo).is_ok() {
        let mut unittest = repo.command("python3");
        unittest.args(["-m", "unittest", "discover", "--start-directory"]).arg(repo.path(PROVIDERS).join("python"));
        parts.push(Part::new("python", unittest));
    }
    let mut node = repo.command("node");
    node.arg("--test").arg(repo.path(PROVIDERS).join("javascript/tool.test.js"));
    parts.push(Part::new("javascript", node));
    parts
}

/// The program that serves the app: the embedded host, unless the environment names another program with Spin's options.
fn the_host(repo: &Repo) -> PathBuf {
    std::env::var_os(HOST_VARIABLE).map_or_else(|| artifacts::program(repo, "embedded-host"), PathBuf::from)
}

/// The test programs of a ring.
fn tests(repo: &Repo, manifest: &Manifest, is_ours: impl Fn(&TestProgram) -> bool) -> anyhow::Result<Vec<Part>> {
    let _built = artifacts::lock(repo)?;
    let programs = test_programs::build(repo, manifest)?;
    let part = |program: &TestProgram| Part {
        name: program.name(),
        command: program.command(repo),
        again: Some(program.again()),
        measures: program.package == APP_TESTS && program.target == PACE_TESTS,
    };
    Ok(programs.iter().filter(|program| is_ours(program)).map(part).collect())
}

/// The tests of the whole app, either those of providers or the others, with the app's paths in the environment.
fn app_tests(repo: &Repo, manifest: &Manifest, of_providers: bool) -> anyhow::Result<Vec<Part>> {
    let mut parts = tests(repo, manifest, |program| {
        program.package == APP_TESTS && (program.target == PROVIDER_TESTS) == of_providers
    })?;
    for Part { command, again, .. } in &mut parts {
        // Without `cargo dev`, they would not get these variables.
        *again = None;
        command.env(HOST_VARIABLE, the_host(repo));
        command.env(MANIFEST_VARIABLE, repo.path("spin.toml")).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
        command.env_remove(REUSE_VARIABLE).env_remove(STORE_VARIABLE);
    }
    Ok(parts)
}

/// The tests of the app, with an additional environment variable.
fn app(repo: &Repo, manifest: &Manifest, more: Option<(&str, &str)>) -> anyhow::Result<Vec<Part>> {
    the_app(repo, manifest)?;
    let mut parts = app_tests(repo, manifest, false)?;
    for Part { command, .. } in &mut parts {
        // These tests mostly wait for the app.
        command.arg("--test-threads=16").envs(more);
    }
    Ok(parts)
}
