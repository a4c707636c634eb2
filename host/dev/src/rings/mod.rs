//! The rings of tests, from the ones that run in milliseconds to a person's view in a browser.
//! A ring says how it is made ready and which parts it has; `commands/test.rs` runs them and counts.

pub(crate) mod counts;

use std::path::PathBuf;
use std::process::Command;

use crate::artifacts;
use crate::fixtures;
use crate::manifest::{Manifest, Provider};
use crate::npm::{install, npm};
use crate::prerequisites;
use crate::python;
use crate::repo::Repo;
use crate::step::aside;
use crate::test_programs::{self, APP_TESTS, PROVIDER_TESTS, TestProgram};

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
    /// Installs what comes from outside. Rings do it again when they are prepared, and then it is there.
    pub(crate) fetch: fn(&Repo) -> anyhow::Result<()>,
    pub(crate) prepare: fn(&Repo, &Manifest) -> anyhow::Result<Readiness>,
    pub(crate) parts: fn(&Repo, &Manifest) -> anyhow::Result<Vec<Part>>,
    /// As many parts at once as there are processors; else one after the other.
    pub(crate) at_once: bool,
}

/// What runs as one program.
pub(crate) struct Part {
    /// What it is called beside the ring's name, in a log's name too.
    pub(crate) name: String,
    pub(crate) command: Command,
    /// What runs it alone, where that is not `cargo dev test` with the ring's name.
    pub(crate) again: Option<String>,
}

impl Part {
    fn new(name: &str, command: Command) -> Self {
        Self { name: name.to_owned(), command, again: None }
    }
}

/// Whether a ring can run here.
pub(crate) enum Readiness {
    Ready,
    /// It cannot, for this reason.
    Skip(String),
}

/// All rings, the quick ones first.
pub(crate) const RINGS: [Ring; 11] = [
    Ring {
        name: "crates",
        about: "libraries, the scripted model and this program",
        folder: "crates",
        fetch: nothing_to_fetch,
        prepare: nothing,
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
        fetch: prerequisites::cyrus,
        prepare: servers_of_mail,
        parts: |repo, manifest| {
            let packages = manifest.packages();
            tests(repo, manifest, |program| packages.contains(&program.package))
        },
        at_once: true,
    },
    Ring {
        name: "page",
        about: "the page's types and unit tests",
        folder: artifacts::PAGE,
        fetch: |repo| install(repo, artifacts::PAGE),
        prepare: |repo, _| install(repo, artifacts::PAGE).map(|()| Readiness::Ready),
        parts: |repo, _| {
            let script = |name| {
                let mut npm = npm(repo, artifacts::PAGE);
                npm.args(["run", "--if-present", name]);
                Part::new(name, npm)
            };
            Ok(vec![script("check"), script("test")])
        },
        at_once: false,
    },
    Ring {
        name: "deploy",
        about: "the deployment files, against the schemas of what reads them",
        folder: DEPLOY,
        fetch: |repo| python::install(repo, DEPLOY),
        prepare: a_python,
        parts: |repo, _| Ok(vec![Part::new("check", python::python(repo, DEPLOY, "check.py"))]),
        at_once: false,
    },
    Ring {
        name: "host",
        about: "the embedded host, with guests made for its tests",
        folder: "host/embedded",
        fetch: nothing_to_fetch,
        prepare: |repo, _| prerequisites::wasm_target(repo).map(|()| Readiness::Ready),
        parts: |repo, _| {
            let mut test = repo.cargo();
            test.args(["test", "--profile", "host", "--package", "embedded-host", "--tests"]);
            Ok(vec![Part::new("tests", test)])
        },
        at_once: false,
    },
    Ring {
        name: "providers",
        about: "a tool provider in each language, composed with the adapter and called over MCP",
        folder: PROVIDERS,
        fetch: nothing_to_fetch,
        prepare: the_providers,
        parts: |repo, manifest| {
            let is_ours = |program: &TestProgram| program.package == APP_TESTS && program.target == PROVIDER_TESTS;
            let mut parts = app_tests(repo, manifest, is_ours)?;
            for mut part in app_tests(repo, manifest, is_ours)? {
                part.name += "-fresh";
                part.command.env(REUSE_VARIABLE, "1");
                parts.push(part);
            }
            Ok(parts)
        },
        at_once: false,
    },
    Ring {
        name: "app",
        about: "the whole app over HTTP, instances shared as in production",
        folder: "tests",
        fetch: nothing_to_fetch,
        prepare: the_app,
        parts: app,
        at_once: false,
    },
    Ring {
        name: "app-fresh",
        about: "the same with a new instance for each request",
        folder: "tests",
        fetch: nothing_to_fetch,
        prepare: the_app,
        parts: |repo, manifest| {
            let mut parts = app(repo, manifest)?;
            for part in &mut parts {
                part.command.env(REUSE_VARIABLE, "1");
            }
            Ok(parts)
        },
        at_once: false,
    },
    Ring {
        name: "app-postgres",
        about: "the same on a real PostgreSQL, and many hosts on one",
        folder: "tests",
        fetch: nothing_to_fetch,
        prepare: the_app_and_python,
        parts: |repo, manifest| {
            let mut parts = app(repo, manifest)?;
            for part in &mut parts {
                part.command.env(STORE_VARIABLE, "postgres");
            }
            Ok(parts)
        },
        at_once: false,
    },
    Ring {
        name: "conformance",
        about: "MCP: the protocol's own suite, server and client, and other people's clients against the app",
        folder: CONFORMANCE,
        fetch: |repo| {
            install(repo, CONFORMANCE)?;
            python::install(repo, CLIENTS)
        },
        prepare: the_app_and_clients,
        parts: |repo, _| {
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
        at_once: false,
    },
    Ring {
        name: "browser",
        about: "the whole app as a person sees it, in Chromium",
        folder: BROWSER,
        fetch: |repo| {
            prerequisites::chromium(repo)?;
            install(repo, BROWSER)
        },
        prepare: the_app_and_a_browser,
        parts: |repo, _| {
            let mut npm = npm(repo, BROWSER);
            npm.arg("test").env(HOST_VARIABLE, the_host(repo)).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
            Ok(vec![Part::new("pages", npm)])
        },
        at_once: false,
    },
];

fn nothing_to_fetch(_: &Repo) -> anyhow::Result<()> {
    Ok(())
}

fn nothing(_: &Repo, _: &Manifest) -> anyhow::Result<Readiness> {
    Ok(Readiness::Ready)
}

/// Without Cyrus, the tests that need it say that they are skipped.
fn servers_of_mail(repo: &Repo, _: &Manifest) -> anyhow::Result<Readiness> {
    if let Err(reason) = prerequisites::cyrus(repo) {
        aside(|| eprintln!("tests with Cyrus are skipped: {reason:#}"));
    }
    Ok(Readiness::Ready)
}

fn a_python(repo: &Repo, _: &Manifest) -> anyhow::Result<Readiness> {
    if let Err(reason) = python::is_there(repo) {
        return Ok(Readiness::Skip(format!("{reason:#}")));
    }
    python::install(repo, DEPLOY)?;
    Ok(Readiness::Ready)
}

/// Without Python, its test says that it is skipped.
fn the_providers(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Readiness> {
    the_app(repo, manifest)?;
    let _built = artifacts::lock(repo)?;
    if python::is_there(repo).is_ok() {
        let (name, folder) = ("fixture-dice".to_owned(), format!("{PROVIDERS}/python"));
        let (file, command) = (python::provider_file(&name), python::provider_command(&folder, &name));
        artifacts::provider(repo, &Provider { name, folder, file, command })?;
    }
    Ok(Readiness::Ready)
}

fn the_app(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Readiness> {
    let _built = artifacts::lock(repo)?;
    artifacts::app_and(repo, manifest, &fixtures::GUESTS)?;
    fixtures::write_manifest(repo)?;
    Ok(Readiness::Ready)
}

/// PostgreSQL comes out of a Python package.
fn the_app_and_python(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Readiness> {
    if let Err(reason) = python::is_there(repo) {
        return Ok(Readiness::Skip(format!("{reason:#}")));
    }
    the_app(repo, manifest)
}

/// Without Python, the tests of its client say that they are skipped.
fn the_app_and_clients(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Readiness> {
    the_app(repo, manifest)?;
    let _built = artifacts::lock(repo)?;
    test_programs::build(repo, manifest)?;
    install(repo, CONFORMANCE)?;
    if python::is_there(repo).is_ok() {
        python::install(repo, CLIENTS)?;
    }
    Ok(Readiness::Ready)
}

fn the_app_and_a_browser(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Readiness> {
    if let Err(reason) = prerequisites::chromium(repo) {
        return Ok(Readiness::Skip(format!("{reason:#}")));
    }
    install(repo, BROWSER)?;
    the_app(repo, manifest)
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
    };
    Ok(programs.iter().filter(|program| is_ours(program)).map(part).collect())
}

/// The same for tests of the whole app, which are told where it is.
fn app_tests(repo: &Repo, manifest: &Manifest, is_ours: impl Fn(&TestProgram) -> bool) -> anyhow::Result<Vec<Part>> {
    let mut parts = tests(repo, manifest, is_ours)?;
    for Part { command, again, .. } in &mut parts {
        *again = None;
        command.env(HOST_VARIABLE, the_host(repo));
        command.env(MANIFEST_VARIABLE, repo.path("spin.toml")).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
        command.env_remove(REUSE_VARIABLE).env_remove(STORE_VARIABLE);
    }
    Ok(parts)
}

fn app(repo: &Repo, manifest: &Manifest) -> anyhow::Result<Vec<Part>> {
    let is_ours = |program: &TestProgram| program.package == APP_TESTS && program.target != PROVIDER_TESTS;
    let mut parts = app_tests(repo, manifest, is_ours)?;
    for part in &mut parts {
        // These tests wait for the app more than they compute.
        part.command.arg("--test-threads=16");
    }
    Ok(parts)
}
