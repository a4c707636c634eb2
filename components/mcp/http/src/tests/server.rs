//! A real FastAPI for these tests, on loopback: a to-do list that generates its own OpenAPI document. It is installed once under `target`, in its own
//! Python environment.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

/// FastAPI, its server, and their dependencies.
const PACKAGES: [&str; 15] = [
    "annotated-doc==0.0.7",
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "click==8.5.1",
    "fastapi==0.165.0",
    "h11==0.16.0",
    "idna==3.20",
    "opentelemetry-api==1.45.2",
    "pydantic==2.14.3",
    "pydantic_core==2.50.4",
    "python-multipart==0.0.34",
    "starlette==1.10.0",
    "typing-inspection==0.4.5",
    "typing_extensions==4.16.0",
    "uvicorn==0.54.0",
];

/// The version of the environment. Each version has its own folder.
const VERSION: &str = "0.165.0";

/// How long it may take to start: usually a second, much longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// How many ports are tried: another program may take a free port before the server has it.
const PORT_ATTEMPTS: u32 = 5;

/// Set to 1, tests fail that would be skipped otherwise.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_FASTAPI";

const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/app.py");

/// A running server. It ends with its standard input, so it always ends with these tests.
pub(super) struct FastApi {
    _process: Child,
    pub(super) port: u16,
}

impl FastApi {
    /// The server of all tests, because a start takes a second; `None`, with a message, where it cannot be installed.
    pub(super) fn shared_or_skip() -> Option<&'static Self> {
        static SERVER: OnceLock<Result<FastApi, String>> = OnceLock::new();
        let started = || install().and_then(|python| Self::start(&python)).map_err(|error| format!("{error:#}"));
        let error = match SERVER.get_or_init(started) {
            Ok(server) => return Some(server),
            Err(error) => error,
        };
        let is_required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        assert!(!is_required, "there is no FastAPI: {error}");
        let _ = writeln!(std::io::stderr(), "\nSKIPPED, there is no FastAPI here: {error}");
        None
    }

    fn start(python: &Path) -> anyhow::Result<Self> {
        for _ in 0..PORT_ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if let Some(server) = Self::launch(python, port)? {
                return Ok(server);
            }
        }
        bail!("FastAPI does not start")
    }

    fn launch(python: &Path, port: u16) -> anyhow::Result<Option<Self>> {
        // Standard error is the test's, so that faults of the program are visible.
        let mut command = Command::new(python);
        command.arg(APP).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.spawn().context("cannot start FastAPI")?;
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let _ = process.kill();
                process.wait()?;
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
        Ok(Some(Self { _process: process, port }))
    }
}

/// Installs the environment and returns its Python.
fn install() -> anyhow::Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target");
    fs::create_dir_all(&target)?;
    let venv = target.join(format!("fastapi-venv-{VERSION}"));
    // Another run of these tests may install at the same time. The lock ends with this function.
    let lock = File::create(target.join("fastapi-venv.lock"))?;
    lock.lock().context("cannot lock target/fastapi-venv.lock")?;
    let python = venv.join("bin/python");
    let installed = venv.join("installed");
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).context(
            "the tests' API is a Python program: install python3 with its venv (Debian and Ubuntu: apt install python3-venv)",
        )?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.args(PACKAGES)).context("cannot install FastAPI: is the package index reachable?")?;
        File::create(&installed)?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
