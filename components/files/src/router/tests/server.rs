//! Real S3-compatible servers for these tests, on loopback, in a temporary folder: nanio, which checks signatures, and LocalBucket. They are installed once under
//! `target`, in a Python environment of their own.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tempfile::TempDir;

use crate::{
    config::Keeping,
    outside::{Exchange, Unanswered},
};

/// The servers and what they need.
const PACKAGES: [&str; 17] = [
    "PyYAML==6.0.4",
    "aiofiles==25.1.0",
    "anyio==4.16.0",
    "click==8.5.1",
    "defusedxml==0.7.1",
    "h11==0.16.0",
    "httptools==0.9.0",
    "idna==3.20",
    "localbucket==1.2.1",
    "nanio==0.1.7",
    "python-dotenv==1.2.4",
    "starlette==1.10.0",
    "typing_extensions==4.16.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "watchfiles==1.3.0",
    "websockets==17.4",
];

/// The version of the environment. Each version has its own folder.
const VERSION: &str = "1";

/// How long one may take to start: usually a second, much longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// How many ports are tried: another program may take a free port before the server has it.
const PORT_ATTEMPTS: u32 = 5;

/// Set to 1, tests fail that would be skipped otherwise.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_S3";

/// The credentials that nanio takes.
const ACCESS_KEY: &str = "test-access-key";
pub(super) const SECRET_KEY: &str = "test-secret-key-0123456789";

/// Which server it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Nanio,
    LocalBucket,
}

/// A running server with a bucket. Dropping it stops the server.
pub(super) struct Server {
    kind: Kind,
    folder: TempDir,
    process: Child,
    port: u16,
}

impl Server {
    /// `None`, with a message, where it cannot be installed.
    pub(super) fn start_or_skip(kind: Kind) -> Option<Self> {
        static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let started = match PYTHON.get_or_init(install) {
            Ok(_) => Self::start(kind),
            Err(error) => Err(error.clone()),
        };
        let error = match started {
            Ok(server) => return Some(server),
            Err(error) => error,
        };
        let is_required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        assert!(!is_required, "there is no {kind:?}: {error}");
        let _ = writeln!(std::io::stderr(), "\nSKIPPED, there is no {kind:?} here: {error}");
        None
    }

    fn start(kind: Kind) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("s3-").tempdir().map_err(|error| error.to_string())?;
        for _ in 1..PORT_ATTEMPTS {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let port = free.map_err(|error| error.to_string())?.port();
            if let Some(process) = launch(kind, folder.path(), port)? {
                let server = Self { kind, folder, process, port };
                let Keeping::Bucket(bucket, credentials) = server.keeping(SECRET_KEY) else { unreachable!() };
                let address = bucket.create_bucket(&credentials).sign(Duration::from_secs(60));
                let made = exchange(&Request::put(address.as_str()).body(Bytes::new()).unwrap());
                assert!(made.as_ref().is_ok_and(|(status, _)| status.is_success()), "{made:?}");
                return Ok(server);
            }
        }
        Err(format!("{kind:?} does not start"))
    }

    pub(super) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub(super) fn start_again(&mut self) {
        self.process = launch(self.kind, self.folder.path(), self.port).unwrap().expect("its port is free");
    }

    /// The bucket, for whoever knows the secret or another one.
    pub(super) fn keeping(&self, secret: &str) -> Keeping {
        let endpoint = format!("http://127.0.0.1:{}", self.port).parse().unwrap();
        let bucket = Bucket::new(endpoint, UrlStyle::Path, "files", "us-east-1").unwrap();
        Keeping::Bucket(Arc::new(bucket), Arc::new(Credentials::new(ACCESS_KEY, secret)))
    }

    /// What lies in its folder, but for its own files: the paths and bytes of objects.
    pub(super) fn objects(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join("data/files")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    found.push((path, bytes));
                }
            }
        }
        // nanio keeps what it knows of an object in a file beside it.
        found.retain(|(path, _)| path.file_name().unwrap().to_str().unwrap().bytes().all(|byte| byte.is_ascii_digit()));
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(kind: Kind, folder: &Path, port: u16) -> Result<Option<Child>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let data = folder.join("data");
    fs::create_dir_all(&data).map_err(failed)?;
    let log = File::options().create(true).append(true).open(folder.join("log")).map_err(failed)?;
    let mut command = Command::new(python());
    match kind {
        Kind::Nanio => command.args(["-m", "nanio", "serve", "--host", "127.0.0.1", "--data-dir"]).arg(&data),
        Kind::LocalBucket => command.args(["-m", "localbucket", "--host", "127.0.0.1"]),
    };
    command.args(["--port", &port.to_string()]);
    if kind == Kind::LocalBucket {
        command.arg(&data);
    }
    command.env("NANIO_ACCESS_KEY", ACCESS_KEY).env("NANIO_SECRET_KEY", SECRET_KEY);
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    let mut process = command.spawn().map_err(failed)?;
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if process.try_wait().map_err(failed)?.is_some() || start.elapsed() > PATIENCE {
            let _ = process.kill();
            let _ = process.wait();
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
    Ok(Some(process))
}

/// The way out of these tests: HTTP/1.1 over one connection, which the server closes.
pub(super) fn outlet(request: Request<Bytes>) -> Exchange {
    Box::pin(async move { exchange(&request).map_err(|_| Unanswered::Unreachable) })
}

fn exchange(request: &Request<Bytes>) -> std::io::Result<(StatusCode, Vec<u8>)> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let authority = request.uri().authority().ok_or_else(invalid)?;
    let address: SocketAddr = authority.as_str().parse().map_err(|_| invalid())?;
    let mut stream = TcpStream::connect(address)?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        request.method(),
        request.body().len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(invalid)?;
    let status = std::str::from_utf8(&answer[..end]).ok().and_then(|head| head.split(' ').nth(1)?.parse().ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(invalid)?;
    Ok((status, answer[end + 4..].to_vec()))
}

fn environment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/s3-venv-{VERSION}"))
}

fn python() -> PathBuf {
    environment().join("bin/python")
}

/// Installs the environment and returns its Python.
fn install() -> Result<PathBuf, String> {
    let venv = environment();
    let target = venv.parent().unwrap();
    fs::create_dir_all(target).map_err(|error| error.to_string())?;
    // Another run of these tests may install at the same time. The lock ends with this function.
    let lock = File::create(target.join("s3-venv.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let installed = venv.join("installed");
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = Command::new(python());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.args(PACKAGES))?;
        File::create(&installed).map_err(|error| error.to_string())?;
    }
    Ok(python())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
