//! Starts the host in its own folder, sends it requests and waits for its log.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

/// How long a condition may take to become true. It is generous, because only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Poll interval for conditions.
const POLL: Duration = Duration::from_millis(10);

/// A running host; it is killed when dropped.
pub(crate) struct Host {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    pub(crate) folder: TempDir,
}

/// The path of a built fixture, for a manifest. All are built on the first call.
pub(crate) fn guest(name: &str) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
            .args(["-p", "fixture-everything", "-p", "fixture-asker", "-p", "fixture-answerer", "-p", "fixture-alone"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "the fixtures do not build");
        target_folder().join("wasm32-wasip2/release")
    });
    folder.join(format!("fixture_{name}.wasm")).display().to_string()
}

fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// A manifest with one component `web`, the fixture `everything`, at `/...`; `more` goes under `[component.web]`.
pub(crate) fn web(more: &str) -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"fixture\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"web\"\n\
         [component.web]\nsource = {:?}\n{more}\n",
        guest("everything")
    )
}

/// A further component, the same fixture, reachable by other components only.
pub(crate) fn private(id: &str, more: &str) -> String {
    format!(
        "[[trigger.http]]\nroute = {{ private = true }}\ncomponent = \"{id}\"\n\
         [component.{id}]\nsource = {:?}\n{more}\n",
        guest("everything")
    )
}

impl Host {
    /// Serves a manifest from a new folder.
    pub(crate) fn start(manifest: &str) -> Self {
        Self::start_with(manifest, &[])
    }

    /// The same with further flags.
    pub(crate) fn start_with(manifest: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, manifest, flags)
    }

    /// The same in an existing folder.
    pub(crate) fn start_in(folder: TempDir, manifest: &str, flags: &[&str]) -> Self {
        let (mut child, log) = spawn(&folder, manifest, flags);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let serving = lines.find_map(|line| Some(line.ok()?.strip_prefix("Serving http://")?.to_owned()));
        let Some(serving) = serving else {
            let _ = child.wait();
            panic!("the host did not serve: {}", log.lock().unwrap());
        };
        // Guests' output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: serving.parse().unwrap(), log, folder }
    }

    /// The status and text of a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        read(self.open(path).await).await
    }

    /// The text of a GET that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, path: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        let getting = self.get(path);
        async move {
            let (status, text) = getting.await;
            assert_eq!(status, 200, "{text} ({caller})");
            text
        }
    }

    /// The head of a GET's response.
    pub(crate) async fn open(&self, path: &str) -> Response<Incoming> {
        self.send(Request::get(path).body(Full::default()).unwrap()).await
    }

    /// The head of the response to any request. Its connection closes when the body is dropped.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().insert("host", host);
        sender.send_request(request).await.unwrap()
    }

    /// Waits until the host's own log has this text.
    pub(crate) async fn logged(&self, text: &str) {
        until(async || self.log().contains(text)).await;
    }

    /// The host's own log and guests' standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal, `TERM` or `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the host did not end");
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a host that must refuse to start. Returns its exit code and its output.
pub(crate) fn refused(manifest: &str, flags: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, log) = spawn(&folder, manifest, flags);
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let code = child.wait().unwrap().code();
    // The thread that reads standard error ends a moment after the process.
    let start = Instant::now();
    while Arc::strong_count(&log) > 1 && start.elapsed() < PATIENCE {
        std::thread::sleep(POLL);
    }
    let said = log.lock().unwrap().clone();
    (code, said)
}

fn spawn(folder: &TempDir, manifest: &str, flags: &[&str]) -> (Child, Arc<Mutex<String>>) {
    let path = folder.path().join("spin.toml");
    std::fs::write(&path, manifest).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_embedded-host"));
    command.arg("up");
    if !flags.contains(&"--cache-dir") {
        // The cache keeps the compiled fixtures for all tests and for the next run.
        command.arg("--cache-dir").arg(target_folder().join("embedded-host-tests"));
    }
    let mut child = command
        .args(["--listen", "127.0.0.1:0", "--from"])
        .arg(&path)
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let (stderr, shared) = (child.stderr.take().unwrap(), log.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = shared.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    (child, log)
}

/// An address without a listener. Nobody else can get it while the socket is held.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap();
    (held, address)
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn until(condition: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !condition().await {
            assert!(start.elapsed() < PATIENCE, "waited in vain at {caller}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The status and the whole text of a response.
pub(crate) async fn read(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The next piece of a body as text; `None` at its end.
pub(crate) async fn next_piece(response: &mut Response<Incoming>) -> Option<String> {
    let frame = response.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}
