//! The server that tests run against.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use native_postgres::server::{Options, Server};

fn start(options: Options) -> Option<Server> {
    Server::start_or_skip(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap(), options)
}

#[test]
fn it_serves_while_it_lives_and_leaves_nothing_behind() {
    let Some(mut server) = start(Options::default()) else { return };
    let address = ("127.0.0.1", server.port());
    assert!(server.create_database("app").unwrap().ends_with("/app"));
    assert!(server.create_database("app").is_err());
    server.terminate().unwrap();
    assert!(TcpStream::connect(address).is_err());
    server.restart().unwrap();
    // Committed data is there after a crash.
    assert!(server.create_database("app").unwrap_err().to_string().contains("app"));
    server.stop().unwrap();
    server.restart().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

/// The test runs itself a second time, as the program that is killed.
const PORT_FILE: &str = "PORT_FILE";

#[test]
fn it_ends_when_the_program_that_started_it_is_killed() {
    let Some(server) = start(Options::default()) else { return };
    if let Some(file) = std::env::var_os(PORT_FILE) {
        fs::write(file, server.port().to_string()).unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    // Like the system's own folder: the account that the server runs as may remove its files.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let file = folder.path().join("port");
    let mut program = Command::new(std::env::current_exe().unwrap())
        .arg("it_ends_when_the_program_that_started_it_is_killed")
        .env(PORT_FILE, &file)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(|| fs::read_to_string(&file).is_ok_and(|port| !port.is_empty()));
    let port: u16 = fs::read_to_string(&file).unwrap().parse().unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    until(|| TcpStream::connect(("127.0.0.1", port)).is_err());
    until(|| fs::read_dir(folder.path()).unwrap().count() == 1);
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
