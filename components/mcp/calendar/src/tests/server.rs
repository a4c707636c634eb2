//! A real Radicale for these tests, on loopback, in a temporary folder. It is installed once under `target`, in its own Python environment.

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
use tempfile::TempDir;

/// Radicale and its dependencies.
const PACKAGES: [&str; 14] = [
    "Radicale==3.9.0",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "defusedxml==0.7.1",
    "idna==3.20",
    "libpass==1.9.4",
    "pika==1.4.4",
    "python-dateutil==4.0.0",
    "pytz==2026.6",
    "requests==2.34.2",
    "six==1.17.0",
    "tzdata==2026.6",
    "urllib3==2.8.0",
    "vobject==0.9.9",
];

/// The version of the environment. Each version has its own folder.
const VERSION: &str = "3.9.0";

/// How long it may take to start: usually a second, much longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// How many ports are tried: another program may take a free port before the server has it.
const PORT_ATTEMPTS: u32 = 5;

/// Set to 1, tests fail that would be skipped otherwise.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_RADICALE";

/// The users and their passwords.
pub(super) const PEOPLE: [(&str, &str); 2] = [("ada", "a secret"), ("bob", "another")];

/// A running server. Dropping it stops the server.
pub(super) struct Radicale {
    _folder: TempDir,
    process: Child,
    pub(super) url: String,
}

impl Radicale {
    /// `None`, with a message, where Radicale cannot be installed.
    pub(super) fn start_or_skip() -> Option<Self> {
        static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let python = PYTHON.get_or_init(|| install().map_err(|error| format!("{error:#}")));
        let started = python.clone().map_err(anyhow::Error::msg).and_then(|python| Self::start(&python));
        let error = match started {
            Ok(server) => return Some(server),
            Err(error) => error,
        };
        let is_required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        assert!(!is_required, "there is no Radicale: {error:#}");
        let _ = writeln!(std::io::stderr(), "\nSKIPPED, there is no Radicale here: {error:#}");
        None
    }

    fn start(python: &Path) -> anyhow::Result<Self> {
        for _ in 1..PORT_ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if let Some(server) = Self::launch(python, port)? {
                return Ok(server);
            }
        }
        bail!("Radicale does not start")
    }

    fn launch(python: &Path, port: u16) -> anyhow::Result<Option<Self>> {
        let folder = tempfile::Builder::new().prefix("radicale-").tempdir()?;
        let path = folder.path().display();
        let people: String = PEOPLE.iter().map(|(name, password)| format!("{name}:{password}\n")).collect();
        fs::write(folder.path().join("people"), people)?;
        let settings = format!(
            "[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = htpasswd\nhtpasswd_filename = {path}/people\n\
             htpasswd_encryption = plain\ndelay = 0\n[web]\ntype = none\n[rights]\ntype = owner_only\n\
             [storage]\nfilesystem_folder = {path}/data\n"
        );
        fs::write(folder.path().join("settings"), settings)?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = Command::new(python);
        command.args(["-m", "radicale", "--config"]).arg(folder.path().join("settings"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = command.spawn().context("cannot start Radicale")?;
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let _ = process.kill();
                process.wait()?;
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
        let url = format!("http://127.0.0.1:{port}");
        Ok(Some(Self { _folder: folder, process, url }))
    }
}

impl Drop for Radicale {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Installs the environment and returns its Python.
fn install() -> anyhow::Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target");
    fs::create_dir_all(&target)?;
    let venv = target.join(format!("radicale-venv-{VERSION}"));
    // Another run of these tests may install at the same time. The lock ends with this function.
    let lock = File::create(target.join("radicale-venv.lock"))?;
    lock.lock().context("cannot lock target/radicale-venv.lock")?;
    let python = venv.join("bin/python");
    let installed = venv.join("installed");
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).context(
            "the tests' Radicale is a Python program: install python3 with its venv (Debian and Ubuntu: apt install python3-venv)",
        )?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.args(PACKAGES)).context("cannot install Radicale: is the package index reachable?")?;
        File::create(&installed)?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
