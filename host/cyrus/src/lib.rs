//! A real Cyrus for tests: mailboxes by JMAP and IMAP, calendars by CalDAV, on loopback, in a folder of its own that goes with it.
//!
//! What it sends goes to `Sink`, and no further. It needs Debian's packages and root, since Cyrus changes to a user of its own; `cargo dev test`
//! installs them where it can.

mod imap;
mod settings;
mod sink;

use std::{
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

pub use sink::{Received, Sink};

/// How long it may take to be there: a second as a rule, much more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Ports tried: a free one can be taken by somebody else before the server has it.
const PORT_ATTEMPTS: u32 = 5;

/// Set to 1, it makes a test fail that would be skipped.
const REQUIRE_VARIABLE: &str = "EA_REQUIRE_CYRUS";

/// Its program, as Debian has it.
const PROGRAM: &str = "/usr/sbin/cyrmaster";

/// Its people, and their passwords.
pub const PEOPLE: [(&str, &str); 2] = [("ada", "a secret"), ("bob", "another")];

/// A running server; it ends with this.
#[derive(Debug)]
pub struct Cyrus {
    process: Child,
    imap_port: u16,
    /// Where it speaks JMAP and CalDAV.
    pub url: String,
    /// What it has sent.
    pub sink: Sink,
    _folder: TempDir,
}

impl Cyrus {
    /// `None`, and a line that says so, where it cannot be had.
    ///
    /// # Panics
    /// If it cannot be had and `EA_REQUIRE_CYRUS` is 1.
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
            let free = || Ok::<_, anyhow::Error>(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
            let (http, imap) = (free()?, free()?);
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

    /// The first log-in of a person makes their mailboxes, without which JMAP fails.
    fn log_in_all(&self) -> anyhow::Result<()> {
        (0..PEOPLE.len()).try_for_each(|person| self.log_in(person).map(|_| ()))
    }

    fn log_in(&self, person: usize) -> anyhow::Result<imap::Connection> {
        let (name, password) = PEOPLE.get(person).context("there is no such person")?;
        imap::Connection::open(self.imap_port, name, password)
    }

    /// Puts a message into a person's mailbox as if it had come at a time, such as `02-Mar-2026 10:00:00 +0000`.
    ///
    /// # Errors
    /// If the server does not take it.
    pub fn deliver(&self, person: usize, mailbox: &str, received: &str, message: &str) -> anyhow::Result<()> {
        self.log_in(person)?.append(mailbox, received, &message.replace("\r\n", "\n").replace('\n', "\r\n"))
    }
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        // With its services, and not asked to: some of its programs then go on for ever, and their folder goes too.
        let _ = output("kill", &["-KILL", "--", &format!("-{}", self.process.id())]);
        let _ = self.process.wait();
    }
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
