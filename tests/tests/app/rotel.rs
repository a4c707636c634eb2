//! A collector of traces that others made: Rotel, from a Python wheel, installed once under `target`. It decodes what it gets, and passes it on encoded anew.

use std::{
    env, fs,
    fs::File,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tests::repository;

const PACKAGE: &str = "rotel==0.0.1a15";
/// The environment's folder, and its lock, in `target`.
const ENVIRONMENT: &str = "rotel-venv-0.0.1a15";
/// Set to 1, the test fails where there is no Rotel.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_ROTEL";

/// How long it may take to start: usually a second, much longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running collector. Dropping it stops it.
pub(crate) struct Rotel {
    folder: TempDir,
    process: Child,
    pub(crate) url: String,
}

impl Rotel {
    /// A collector that passes on what it gets to another; `None`, with a message, where it cannot be installed.
    pub(crate) fn start_or_skip(onward: &str) -> Result<Option<Self>> {
        match install().and_then(|program| Self::start(&program, onward)) {
            Ok(rotel) => Ok(Some(rotel)),
            Err(error) if env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1") => Err(error),
            Err(error) => {
                eprintln!("\nSKIPPED, there is no Rotel here: {error:#}");
                Ok(None)
            }
        }
    }

    fn start(program: &Path, onward: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rotel-").tempdir()?;
        let free = || anyhow::Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?);
        let (http, grpc) = (free()?, free()?);
        let log = File::create(folder.path().join("log"))?;
        let mut command = Command::new(program);
        command.args(["start", "--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()]);
        command.args(["--exporter", "otlp", "--otlp-exporter-endpoint", onward, "--otlp-exporter-protocol", "http"]);
        command.args(["--batch-timeout", "100ms", "--pid-file"]);
        command.arg(folder.path().join("pid")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().context("cannot start Rotel")?;
        let mut rotel = Self { folder, process, url: format!("http://{http}") };
        let start = Instant::now();
        while TcpStream::connect(http).is_err() {
            if rotel.process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                bail!("Rotel does not start: {}", fs::read_to_string(rotel.folder.path().join("log"))?);
            }
            std::thread::sleep(POLL);
        }
        Ok(rotel)
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Installs the environment and returns the program.
fn install() -> Result<PathBuf> {
    let target = repository().join("target");
    fs::create_dir_all(&target)?;
    let venv = target.join(ENVIRONMENT);
    // Another run of these tests may install at the same time. The lock ends with this function.
    let lock = File::create(venv.with_extension("lock"))?;
    lock.lock().context("cannot lock the environment")?;
    let installed = venv.join("installed");
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", PACKAGE]);
        run(&mut pip)?;
        File::create(&installed)?;
    }
    let versions = fs::read_dir(venv.join("lib"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut programs = versions.map(|version| version.join("site-packages/rotel/rotel-agent"));
    programs.find(|program| program.exists()).context("the wheel has no program")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
