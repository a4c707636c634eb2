//! A real Cyrus for tests: mailboxes by JMAP and IMAP, calendars by CalDAV, on loopback, in its own folder, which is removed with it.
//!
//! Mails that it sends go to `Sink`, and no further. It needs Debian's packages, and root, because Cyrus changes to its own user. `cargo dev test`
//! installs the packages where it can.

mod imap;
mod settings;
mod sink;

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    ops::Range,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

pub use sink::{Received, Sink};

/// How long the server may take to start: usually a second, much more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// How many ports are tried: another program may take a free port before the server does.
const PORT_ATTEMPTS: u32 = 5;

/// Where the server listens: below the ports that Linux gives to connections. While the server starts, a connection of any program could take such a
/// port, and even one that looks whether the server listens there: it would then be connected with itself.
const PORTS: Range<u16> = 20_000..32_000;

/// If it is 1, a test fails instead of being skipped.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_CYRUS";

/// The path of its program in Debian.
const PROGRAM: &str = "/usr/sbin/cyrmaster";

/// The people with an account, and their passwords.
pub const PEOPLE: [(&str, &str); 2] = [("ada", "a secret"), ("bob", "another")];

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Cyrus {
    process: Child,
    imap_port: u16,
    /// Its address for JMAP and CalDAV.
    pub url: String,
    /// Receives the mails that it sends.
    pub sink: Sink,
    _folder: TempDir,
}

impl Cyrus {
    /// Starts a server. If that is not possible, prints a line that says so, and returns `None`.
    ///
    /// # Panics
    /// If it does not start and `EA_REQUIRE_CYRUS` is 1.
    #[must_use]
    pub fn start_or_skip() -> Option<Self> {
        let error = match Self::start() {
            Ok(server) => return Some(server),
            Err(error) => error,
        };
        let is_required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        assert!(!is_required, "there is no Cyrus: {error:#}");
        let _ = writeln!(std::io::stderr(), "\nSKIPPED, there is no Cyrus here: {error:#}");
        None
    }

    fn start() -> anyhow::Result<Self> {
        let packages = "apt-get install cyrus-imapd cyrus-caldav sasl2-bin libsasl2-modules";
        ensure!(Path::new(PROGRAM).exists(), "install it (Debian and Ubuntu, as root: {packages})");
        ensure!(output("id", &["-u"])?.trim() == "0", "it starts as root");
        for _ in 0..PORT_ATTEMPTS {
            let (http, imap) = (free_port()?, free_port()?);
            let (http_port, imap_port) = (http.local_addr()?.port(), imap.local_addr()?.port());
            drop((http, imap));
            if let Some(server) = Self::launch(http_port, imap_port)? {
                return Ok(server);
            }
        }
        bail!("Cyrus does not start")
    }

    fn launch(http_port: u16, imap_port: u16) -> anyhow::Result<Option<Self>> {
        let sink = Sink::start()?;
        let folder = tempfile::Builder::new().prefix("cyrus-").tempdir()?;
        let path = folder.path();
        for name in settings::FOLDERS {
            fs::create_dir_all(path.join(name))?;
        }
        let shown = path.display().to_string();
        fs::write(path.join("imapd.conf"), settings::imapd(&shown, sink.port))?;
        fs::write(path.join("cyrus.conf"), settings::master(&shown, http_port, imap_port))?;
        for (name, password) in PEOPLE {
            let mut command = Command::new("saslpasswd2");
            command.args(["-p", "-c", "-u", "localhost", "-f"]).arg(path.join("passwords")).arg(name);
            let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("saslpasswd2")?;
            process.stdin.take().context("no input")?.write_all(password.as_bytes())?;
            ensure!(process.wait()?.success(), "saslpasswd2 failed");
        }
        output("chown", &["-R", "cyrus:mail", &shown])?;
        let log = File::create(path.join("output"))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-C").arg(path.join("imapd.conf")).arg("-M").arg(path.join("cyrus.conf"));
        command.arg("-p").arg(path.join("master.pid")).arg("-D");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.process_group(0).spawn().context("cannot start Cyrus")?;
        let url = format!("http://127.0.0.1:{http_port}");
        let mut server = Self { process, imap_port, url, sink, _folder: folder };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, http_port)).is_err() || server.log_in_all().is_err() {
            if server.process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
        Ok(Some(server))
    }

    /// Logs everybody in. A person's first log-in makes their mailboxes; without these, JMAP fails.
    fn log_in_all(&self) -> anyhow::Result<()> {
        (0..PEOPLE.len()).try_for_each(|person| self.log_in(person).map(|_| ()))
    }

    fn log_in(&self, person: usize) -> anyhow::Result<imap::Connection> {
        let (name, password) = PEOPLE.get(person).context("there is no such person")?;
        imap::Connection::open(self.imap_port, name, password)
    }

    /// Puts a message into a person's mailbox as if it had arrived at a time, such as `02-Mar-2026 10:00:00 +0000`.
    ///
    /// # Errors
    /// If the server does not accept it.
    pub fn deliver(&self, person: usize, mailbox: &str, received: &str, message: &str) -> anyhow::Result<()> {
        self.log_in(person)?.append(mailbox, received, &message.replace("\r\n", "\n").replace('\n', "\r\n"))
    }
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        // The server and its services are killed. If they were only asked to stop, some programs would run for ever, although their folder is
        // removed.
        let _ = output("kill", &["-KILL", "--", &format!("-{}", self.process.id())]);
        let _ = self.process.wait();
    }
}

fn free_port() -> anyhow::Result<TcpListener> {
    // A random one first, because servers may start at once.
    let random = RandomState::new().hash_one(()) % PORTS.len() as u64;
    let ports = PORTS.cycle().skip(random as usize).take(PORTS.len());
    ports.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))).find_map(Result::ok).context("no port is free")
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
