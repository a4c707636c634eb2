//! A host as a child process, with its own state folder: the embedded host, or Spin, which takes the same options.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use native_postgres::server::SharedDatabase;
use storage::Value;
use tempfile::TempDir;

use crate::store;

/// Compiling the components for the first time is slow on a small machine.
const START_LIMIT: Duration = Duration::from_secs(180);
/// The host drains for ten seconds at most.
const EXIT_LIMIT: Duration = Duration::from_secs(20);
const EXIT_POLL: Duration = Duration::from_millis(10);

/// The variable with the address of a host's database.
const DATABASE_URL: &str = "database_url";

/// Kills the host when the test process has ended, however it ended: a static is never dropped. Spin serves in another process, which does not end
/// with the one that was started, so the whole group is killed.
const WATCH: &str = r#"read -r _ || { kill -9 "-$1"; rm -rf "$2"; }"#;

/// One person sends more messages in a test than people do. Tests of limits set them as variables, which come before the environment.
const WITHOUT_LIMITS: [&str; 3] = [
    "SPIN_VARIABLE_REQUESTS_PER_MINUTE",
    "SPIN_VARIABLE_PERSON_REQUESTS_PER_MINUTE",
    "SPIN_VARIABLE_SESSION_REQUESTS_PER_MINUTE",
];

/// The options of a host.
#[derive(Clone, Debug, Default)]
pub struct Options {
    variables: Vec<(String, String)>,
    environment: Vec<(&'static str, &'static str)>,
    manifest: Option<PathBuf>,
}

impl Options {
    /// Serves another manifest than the app's. Its compiled components are kept with the app's.
    #[must_use]
    pub fn manifest(mut self, path: &Path) -> Self {
        self.manifest = Some(path.to_owned());
        self
    }

    /// Sets a variable of the host's environment.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Sets a variable of the manifest.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The exit code of a host, and its error output.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; `None` for a signal.
    pub code: Option<i32>,
    /// Everything on standard error.
    pub errors: String,
}

/// A host that serves. Killed on drop.
#[derive(Debug)]
pub struct Host {
    options: Options,
    state: Arc<TempDir>,
    /// Its own, which goes with the last host that has it.
    database: Option<Arc<SharedDatabase>>,
    address: String,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    watcher: Option<(Child, ChildStdin)>,
    errors: thread::JoinHandle<String>,
}

/// Starts a host on a free port; `None` when the tests run against an app elsewhere.
///
/// # Errors
/// When it does not serve.
pub fn host(options: Options) -> Result<Option<Host>> {
    if env::var_os("EA_URL").is_some() {
        return Ok(None);
    }
    Host::start(options).map(Some)
}

/// The root of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from(".."), Path::to_owned)
}

fn program() -> PathBuf {
    setting("EA_HOST", "target/host/embedded-host")
}

pub(crate) fn setting(name: &str, default: &str) -> PathBuf {
    env::var_os(name).map_or_else(|| repository().join(default), PathBuf::from)
}

impl Host {
    /// Whether the host lets running work end when it is told to stop. Spin does not.
    #[must_use]
    pub fn drains() -> bool {
        program().ends_with("embedded-host")
    }

    fn start(mut options: Options) -> Result<Self> {
        let named = options.variables.iter().any(|(name, _)| name == DATABASE_URL);
        let database = if named { None } else { store::new_database()?.map(Arc::new) };
        if let Some(database) = &database {
            options = options.variable(DATABASE_URL, database.url());
        }
        Self::start_in(options, Arc::new(new_state()?), database)
    }

    fn start_in(options: Options, state: Arc<TempDir>, database: Option<Arc<SharedDatabase>>) -> Result<Self> {
        let mut host = Self { options, state, database, address: "127.0.0.1:0".to_owned(), process: None };
        host.restart()?;
        Ok(host)
    }

    /// Starts another host beside this one, on another port and with the same database: in PostgreSQL, or else in the same state folder.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn beside(&self) -> Result<Self> {
        let shares = self.options.variables.iter().any(|(name, _)| name == DATABASE_URL);
        let state = if shares { Arc::new(new_state()?) } else { Arc::clone(&self.state) };
        Self::start_in(self.options.clone(), state, self.database.clone())
    }

    /// Starts the host again, on the same port and state folder.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let program = program();
        let mut command = Command::new(&program);
        command.args(["up", "--quiet", "--listen", &self.address]);
        command.args([OsString::from("--state-dir"), self.state.path().into()]);
        let manifest = self.options.manifest.clone().unwrap_or_else(|| setting("EA_MANIFEST", "spin.toml"));
        command.args([OsString::from("--from"), manifest.into()]);
        if self.options.manifest.is_some() {
            command.args([OsString::from("--cache-dir"), repository().join("target/embedded-host").into()]);
        }
        if env::var("EA_INSTANCE_REUSE").is_ok_and(|reuse| reuse == "1") {
            command.args(["--max-instance-reuse-count", "1"]);
        }
        for (name, value) in &self.options.variables {
            command.args(["--variable", &format!("{name}={value}")]);
        }
        let mut child = command
            .envs(WITHOUT_LIMITS.map(|name| (name, "0")))
            .envs(self.options.environment.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}: `cargo dev test` builds it", program.display()))?;
        let id = child.id();
        let watcher = watch(id, self.state.path())?;
        let stderr = child.stderr.take();
        let errors = thread::spawn(move || {
            let mut said = String::new();
            let _ = stderr.map(|mut stderr| stderr.read_to_string(&mut said));
            said
        });
        let stdout = child.stdout.take();
        self.process = Some(Process { child, watcher: Some(watcher), errors });
        match stdout.and_then(served) {
            Some(address) => self.address = address,
            None => {
                send("KILL", &format!("-{id}"))?;
                let exit = self.wait()?;
                bail!("the host did not serve within {START_LIMIT:?}; it said: {}", exit.errors);
            }
        }
        Ok(())
    }

    /// The folder of its state: with SQLite, the database and the logs.
    #[must_use]
    pub fn state_folder(&self) -> &Path {
        self.state.path()
    }

    /// Runs a statement in its database, for what would take too long through the app, or what nobody can see there. The rows are of text.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn in_database(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let url = self.options.variables.iter().find(|(name, _)| name == DATABASE_URL).map(|(_, url)| url.as_str());
        let rows = store::run(url, self.state.path(), sql).await?;
        Ok(rows.into_iter().map(|row| row.0.into_iter().filter_map(text_of).collect()).collect())
    }

    /// Sets a variable of the manifest, from the next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.options.variables.retain(|(known, _)| known != name);
        self.options.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it at once, with SIGKILL, as a power cut would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(process) = &self.process {
            send("KILL", &format!("-{}", process.child.id()))?;
            self.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, with SIGTERM.
    ///
    /// # Errors
    /// When it does not run.
    pub fn terminate(&mut self) -> Result<()> {
        let process = self.process.as_ref().context("the host does not run")?;
        send("TERM", &process.child.id().to_string())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn wait(&mut self) -> Result<Exit> {
        let mut process = self.process.take().context("the host does not run")?;
        let deadline = Instant::now() + EXIT_LIMIT;
        let status = loop {
            if let Some(status) = process.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                process.child.kill()?;
                process.child.wait()?;
                bail!("the host did not end within {EXIT_LIMIT:?}");
            }
            thread::sleep(EXIT_POLL);
        };
        let errors = process.release();
        Ok(Exit { code: status.code(), errors })
    }
}

impl Host {
    /// Stops it, and returns everything that it has written: its error output, each file of its state folder (logs, and SQLite's), or each row of its
    /// PostgreSQL database, with a name for each.
    ///
    /// # Errors
    /// When it does not stop, or something cannot be read.
    pub async fn everything_written(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        self.terminate()?;
        let mut written = vec![("its error output".to_owned(), self.wait()?.errors.into_bytes())];
        let mut folders = vec![self.state.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    written.push((path.display().to_string(), fs::read(&path)?));
                }
            }
        }
        if let Some((_, url)) = self.options.variables.iter().find(|(name, _)| name == DATABASE_URL) {
            written.extend(store::every_row(url).await?);
        }
        Ok(written)
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Null => None,
    }
}

/// Sends a signal to a process, or to a process group if the number begins with a minus.
fn send(signal: &str, to: &str) -> Result<()> {
    let status = Command::new("kill").args(["-s", signal, "--", to]).status()?;
    anyhow::ensure!(status.success(), "the host could not be sent SIG{signal}");
    Ok(())
}

fn new_state() -> Result<TempDir> {
    Ok(TempDir::with_prefix("edge-assistant-")?)
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl Process {
    /// Tells the watcher that nothing is left to end, and returns the host's error output.
    fn release(mut self) -> String {
        if let Some((mut watcher, mut stdin)) = self.watcher.take() {
            let _ = std::io::Write::write_all(&mut stdin, b"ended\n");
            drop(stdin);
            let _ = watcher.wait();
        }
        self.errors.join().unwrap_or_default()
    }
}

fn watch(process: u32, state: &Path) -> Result<(Child, ChildStdin)> {
    let mut watcher = Command::new("sh")
        .args(["-c", WATCH, "watch", &process.to_string()])
        .arg(state)
        // A terminal ends the tests by their process group. It must not end the watcher.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start sh")?;
    let stdin = watcher.stdin.take().context("sh has no input")?;
    Ok((watcher, stdin))
}

/// The address in the line "Serving http://..."; `None` when the host ended or took too long.
fn served(stdout: std::process::ChildStdout) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("Serving http://") {
                let _ = sender.send(address.to_owned());
            }
        }
    });
    receiver.recv_timeout(START_LIMIT).ok()
}
