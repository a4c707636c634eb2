//! The rings of tests, from the ones that run in milliseconds to a person's view in a browser.
//! A ring says how it is made ready and which commands it is; `commands/test.rs` runs them and counts.

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
    pub(crate) prepare: fn(&Repo, &Manifest) -> anyhow::Result<Readiness>,
    pub(crate) commands: fn(&Repo, &Manifest) -> Vec<Command>,
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
        prepare: nothing,
        commands: |repo, _| vec![cargo_test(repo, &[])],
    },
    Ring {
        name: "components",
        about: "what of the components runs natively",
        folder: "components",
        prepare: servers_of_mail,
        commands: |repo, manifest| {
            let mut test = cargo_test(repo, &[]);
            for package in manifest.packages() {
                test.args(["--package", &package]);
            }
            vec![test]
        },
    },
    Ring {
        name: "page",
        about: "the page's types and unit tests",
        folder: artifacts::PAGE,
        prepare: |repo, _| install(repo, artifacts::PAGE).map(|()| Readiness::Ready),
        commands: |repo, _| {
            let script = |name| {
                let mut npm = npm(repo, artifacts::PAGE);
                npm.args(["run", "--if-present", name]);
                npm
            };
            vec![script("check"), script("test")]
        },
    },
    Ring {
        name: "deploy",
        about: "the deployment files, against the schemas of what reads them",
        folder: DEPLOY,
        prepare: a_python,
        commands: |repo, _| vec![python::python(repo, DEPLOY, "check.py")],
    },
    Ring {
        name: "host",
        about: "the embedded host, with guests made for its tests",
        folder: "host/embedded",
        prepare: |repo, _| prerequisites::wasm_target(repo).map(|()| Readiness::Ready),
        commands: |repo, _| vec![cargo_test(repo, &["--profile", "host", "--package", "embedded-host"])],
    },
    Ring {
        name: "providers",
        about: "a tool provider in each language, composed with the adapter and called over MCP",
        folder: PROVIDERS,
        prepare: the_providers,
        commands: |repo, _| {
            let test = || cargo_test(repo, &["--package", "tests", "--test", "providers"]);
            let (mut shared, mut fresh) = (test(), test());
            for test in [&mut shared, &mut fresh] {
                test.env(HOST_VARIABLE, the_host(repo));
                test.env_remove(REUSE_VARIABLE).env_remove(STORE_VARIABLE);
            }
            fresh.env(REUSE_VARIABLE, "1");
            vec![shared, fresh]
        },
    },
    Ring {
        name: "app",
        about: "the whole app over HTTP, instances shared as in production",
        folder: "tests",
        prepare: the_app,
        commands: |repo, _| vec![app_test(repo)],
    },
    Ring {
        name: "app-fresh",
        about: "the same with a new instance for each request",
        folder: "tests",
        prepare: the_app,
        commands: |repo, _| {
            let mut test = app_test(repo);
            test.env(REUSE_VARIABLE, "1");
            vec![test]
        },
    },
    Ring {
        name: "app-postgres",
        about: "the same on a real PostgreSQL, and many hosts on one",
        folder: "tests",
        prepare: the_app_and_python,
        commands: |repo, _| {
            let mut test = app_test(repo);
            test.env(STORE_VARIABLE, "postgres");
            vec![test]
        },
    },
    Ring {
        name: "conformance",
        about: "MCP: the protocol's own suite, server and client, and other people's clients against the app",
        folder: CONFORMANCE,
        prepare: the_app_and_clients,
        commands: |repo, _| {
            let script = |name| {
                let mut npm = npm(repo, CONFORMANCE);
                npm.args(["run", name]).env(HOST_VARIABLE, the_host(repo));
                npm
            };
            let (mut suite, mut clients) = (script("test"), script("clients"));
            suite.env(CLIENT_VARIABLE, artifacts::program(repo, "mcp-client")).env_remove("MCP_SERVER_URL");
            clients.env(PYTHON_VARIABLE, python::program(repo, CLIENTS));
            clients.env(RMCP_VARIABLE, artifacts::program(repo, "rmcp-client"));
            vec![suite, clients]
        },
    },
    Ring {
        name: "browser",
        about: "the whole app as a person sees it, in Chromium",
        folder: BROWSER,
        prepare: the_app_and_a_browser,
        commands: |repo, _| {
            let mut npm = npm(repo, BROWSER);
            npm.arg("test").env(HOST_VARIABLE, the_host(repo)).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
            vec![npm]
        },
    },
];

fn nothing(_: &Repo, _: &Manifest) -> anyhow::Result<Readiness> {
    Ok(Readiness::Ready)
}

/// Without Cyrus, the tests that need it say that they are skipped.
fn servers_of_mail(repo: &Repo, _: &Manifest) -> anyhow::Result<Readiness> {
    if let Err(reason) = prerequisites::cyrus(repo) {
        eprintln!("tests with Cyrus are skipped: {reason:#}");
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
    artifacts::mcp_clients(repo)?;
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

/// `cargo test` that goes on after a failure, so that one run tells all of them.
fn cargo_test(repo: &Repo, arguments: &[&str]) -> Command {
    let mut cargo = repo.cargo();
    cargo.args(["test", "--no-fail-fast"]).args(arguments);
    cargo
}

fn app_test(repo: &Repo) -> Command {
    // These tests wait for the app more than they compute.
    let mut test = cargo_test(repo, &["--package", "tests", "--", "--test-threads=16"]);
    test.env(HOST_VARIABLE, the_host(repo));
    test.env(MANIFEST_VARIABLE, repo.path("spin.toml")).env(FIXTURES_VARIABLE, fixtures::manifest(repo));
    test.env_remove(REUSE_VARIABLE).env_remove(STORE_VARIABLE);
    test
}
