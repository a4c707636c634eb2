//! The rings of tests, from the ones that run in milliseconds to a person's view in a browser.
//! A ring says how it is made ready and which parts it has; `commands/test.rs` runs them and counts.

pub(crate) mod counts;

use std::path::PathBuf;
use std::process::Command;

use crate::artifacts::{self, Once, Profile};
use crate::fixtures;
use crate::javascript;
use crate::manifest::{Manifest, Provider};
use crate::npm::{install, npm};
use crate::prerequisites;
use crate::python;
use crate::repo::Repo;
use crate::step::aside;
use crate::test_programs::{self, APP_TESTS, PACE_TESTS, PROVIDER_TESTS, TestProgram};

/// Where the browser ring lies.
const BROWSER: &str = "tests/browser";
/// Where the checks of the deployment files lie.
const DEPLOY: &str = "tests/deploy";
/// Where the tool providers that `cargo dev new-tool` begins with lie, one folder for each language.
const PROVIDERS: &str = "tests/providers";
/// Where the protocol's own suite is run from, and other people's MCP clients.
const CONFORMANCE: &str = "tests/conformance";
const CLIENTS: &str = "tests/conformance/clients";
/// What the app ring is told: the host's program, the manifest, the same with tools that misbehave, and how often an instance may be used
/// again.
const HOST_VARIABLE: &str = "EA_HOST";
const MANIFEST_VARIABLE: &str = "EA_MANIFEST";
const FIXTURES_VARIABLE: &str = "EA_FIXTURES_MANIFEST";
const REUSE_VARIABLE: &str = "EA_INSTANCE_REUSE";
const STORE_VARIABLE: &str = "EA_STORE";
/// What the conformance ring is told beside: MCP clients.
const CLIENT_VARIABLE: &str = "MCP_CLIENT_COMMAND";
const PYTHON_VARIABLE: &str = "EA_PYTHON";
const RMCP_VARIABLE: &str = "EA_RMCP_CLIENT";

/// One ring.
pub(crate) struct Ring {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// A ring without its folder does not exist yet.
    pub(crate) folder: &'static str,
    /// Installs what comes from outside. This may happen while another ring is built.
    pub(crate) fetch: fn(&Repo) -> anyhow::Result<Readiness>,
    /// Builds what is stale and says what is to be run.
    pub(crate) parts: fn(&Repo, &Manifest) -> anyhow::Result<Vec<Part>>,
    /// As many parts at once as there are processors, those of its neighbours that may too among them; else one after the other.
    pub(crate) at_once: bool,
}

/// What runs as one program.
pub(crate) struct Part {
    /// What it is called beside the ring's name, in a log's name too.
    pub(crate) name: String,
    pub(crate) command: Command,
    /// What runs only this, where that is not `cargo dev test` with the ring's name.
    pub(crate) again: Option<String>,
    /// It measures: the machine is its own, after everything else that may run at once.
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
    /// It cannot, for this reason.
    Skip(String),
}

/// All rings, the quick ones first. The host's has the machine to itself, because it compiles; of those behind it, the longest begins first.
pub(crate) const RINGS: [Ring; 11] = [
    Ring {
        name: "crates",
        about: "libraries, the scripted model and this program",
        folder: "crates",
        fetch: nothing,
        parts: |repo, manifest| {
            let packages = manifest.packages();
            tests(repo, manifest, |program| program.package != APP_TESTS && !packages.contains(&program.package))
        },
        at_once: true,
    },
    Ring {
        name: "components",
        about: "what of the components runs natively",
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
        about: "the deployment files, against the schemas of what reads them",
        folder: DEPLOY,
        fetch: |repo| needs(python::is_there(repo), || python::install(repo, DEPLOY)),
        parts: |repo, _| Ok(vec![Part::new("check", python::python(repo, DEPLOY, "check.py"))]),
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
        // PostgreSQL comes out of a Python package.
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
];

fn nothing(_: &Repo) -> anyhow::Result<Readiness> {
    Ok(Readiness::Ready)
}

/// A ring that is skipped without something, and installs more where it is there.
fn needs(there: anyhow::Result<()>, install: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Readiness> {
    match there {
        Ok(()) => install().map(|()| Readiness::Ready),
        Err(reason) => Ok(Readiness::Skip(format!("{reason:#}"))),
    }
}

/// Without Cyrus, the tests that need it say that they are skipped.
fn servers_of_mail(repo: &Repo) -> anyhow::Result<Readiness> {
    if let Err(reason) = prerequisites::cyrus(repo) {
        aside(|| eprintln!("tests with Cyrus are skipped: {reason:#}"));
    }
    Ok(Readiness::Ready)
}

/// Without Python, the tests of its client say that they are skipped.
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

/// Without Python, its test says that it is skipped.
fn a_provider_in_python(repo: &Repo) -> anyhow::Result<()> {
    if python::is_there(repo).is_err() {
        return Ok(());
    }
    let _built = artifacts::lock(repo)?;
    let name = "fixture-dice".to_owned();
    let folder = fixtures::write_python_provider(repo, &format!("{PROVIDERS}/python"))?;
    let (file, command) = (python::provider_file(&name), python::provider_command(&folder, &name));
    artifacts::provider(repo, &Provider { name, folder, file, command })
}

fn a_provider_in_javascript(repo: &Repo) -> anyhow::Result<()> {
    let _built = artifacts::lock(repo)?;
    let (name, folder) = ("fixture-words".to_owned(), format!("{PROVIDERS}/javascript"));
    let (file, command) = (javascript::provider_file(&name), javascript::provider_command(&folder, &name));
    artifacts::provider(repo, &Provider { name, folder, file, command })
}

/// What a template brings to test its own tools with. That of the one in Rust is in the ring `crates`.
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

/// What serves the app: the embedded host, unless the environment names another program that takes Spin's options, such as Spin.
fn the_host(repo: &Repo) -> PathBuf {
    std::env::var_os(HOST_VARIABLE).map_or_else(|| artifacts::program(repo, "embedded-host"), PathBuf::from)
}

/// Those of the programs that Cargo makes of tests which a ring is about.
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

/// The same for tests of the whole app, which are told where it is; those of providers or the others.
fn app_tests(repo: &Repo, manifest: &Manifest, of_providers: bool) -> anyhow::Result<Vec<Part>> {
    let mut parts = tests(repo, manifest, |program| {
        program.package == APP_TESTS && (program.target == PROVIDER_TESTS) == of_providers
    })?;
    for Part { command, again, .. } in &mut parts {
        // Alone, they would not be told.
        *again = None;
        command.env(HOST_VARIABLE, the_host(repo));
        command.env(MANIFEST_VARIABLE, repo.path("spin.toml")).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
        command.env_remove(REUSE_VARIABLE).env_remove(STORE_VARIABLE);
    }
    Ok(parts)
}

/// The tests of the app, with what a ring tells them more.
fn app(repo: &Repo, manifest: &Manifest, more: Option<(&str, &str)>) -> anyhow::Result<Vec<Part>> {
    the_app(repo, manifest)?;
    let mut parts = app_tests(repo, manifest, false)?;
    for Part { command, .. } in &mut parts {
        // These tests wait for the app more than they compute.
        command.arg("--test-threads=16").envs(more);
    }
    Ok(parts)
}
