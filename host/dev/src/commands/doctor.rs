//! `cargo dev doctor`: lists missing requirements of this machine and how to get them. Changes nothing.

use std::net::TcpListener;
use std::process::ExitCode;

use crate::prerequisites;
use crate::repo::Repo;

/// The oldest Rust and Node that build the app.
const RUST_MIN: [u32; 2] = [1, 95];
const NODE_MIN: [u32; 2] = [20, 0];
/// The oldest Spin that serves the app.
const SPIN_MIN: [u32; 2] = [4, 1];
/// The size of `target` after a full build with all tests, rounded up.
const DISK_MIN_GIB: u64 = 10;
/// The address of `cargo dev up`.
const ADDRESS: &str = "127.0.0.1:3000";

/// One line of the diagnosis.
struct Check {
    name: &'static str,
    /// The version that was found, or the fault.
    found: Result<String, String>,
    /// How to install it.
    remedy: &'static str,
    required: bool,
}

pub(crate) fn run(repo: &Repo) -> anyhow::Result<ExitCode> {
    let checks = checks(repo);
    for check in &checks {
        match &check.found {
            Ok(found) => println!("ok       {:12} {found}", check.name),
            Err(wrong) => {
                let mark = if check.required { "MISSING" } else { "missing" };
                println!("{mark:8} {:12} {wrong}\n{:21} {}", check.name, "", check.remedy);
            }
        }
    }
    let missing = checks.iter().filter(|check| check.required && check.found.is_err()).count();
    if missing > 0 {
        println!("\n{missing} required and missing: see the lines with MISSING.");
        return Ok(ExitCode::FAILURE);
    }
    println!("\nNothing that is required is missing: `cargo dev up`");
    Ok(ExitCode::SUCCESS)
}

fn checks(repo: &Repo) -> Vec<Check> {
    let tool = |name, program: &[&str], min, required, remedy| Check {
        name,
        found: version(repo, program, min),
        remedy,
        required,
    };
    let target = match prerequisites::has_wasm_target(repo) {
        Ok(true) => Ok(prerequisites::WASM_TARGET.to_owned()),
        Ok(false) => Err("not installed".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    };
    vec![
        tool("rustc", &["rustc"], Some(RUST_MIN), true, "https://rustup.rs, or `rustup update stable`"),
        Check {
            name: "wasm target",
            found: target,
            remedy: "`cargo dev up` installs it, or `rustup target add wasm32-wasip2`",
            // Installed during the first build.
            required: false,
        },
        tool("cc", &["cc"], None, true, "a C compiler for SQLite: `apt-get install gcc`, or `xcode-select --install`"),
        tool("node", &["node"], Some(NODE_MIN), true, "https://nodejs.org, version 20 or newer"),
        tool("npm", &["npm"], None, true, "comes with Node.js"),
        tool("git", &["git"], None, true, "`apt-get install git`"),
        tool(
            "chromium",
            &["chromium-headless-shell", "chromium"],
            None,
            false,
            "for the browser tests: `apt-get install chromium-headless-shell` (`cargo dev test` does it where it may)",
        ),
        tool(
            "spin",
            &["spin"],
            Some(SPIN_MIN),
            false,
            "optional: the same spin.toml runs on Spin 4.1 or newer, https://spinframework.dev",
        ),
        tool(
            "python3",
            &["python3"],
            None,
            false,
            "optional: for tools written in Python, for checking deploy/, and for trying the API with the official SDK",
        ),
        tool(
            "curl",
            &["curl"],
            None,
            false,
            "optional: fetches the tools that tools.toml names by an address: `apt-get install curl`",
        ),
        Check {
            name: "port 3000",
            found: TcpListener::bind(ADDRESS)
                .map(|_| "free".to_owned())
                .map_err(|error| format!("{ADDRESS} cannot be used: {error}")),
            remedy: "stop what listens there, or `cargo dev up --listen 127.0.0.1:3001`",
            required: false,
        },
        Check {
            name: "disk",
            found: disk(repo),
            remedy: "free some space: a full build with all tests takes about 10 GiB under target/",
            required: false,
        },
    ]
}

/// The version of the first program that answers `--version`, if it is new enough.
fn version(repo: &Repo, programs: &[&str], min: Option<[u32; 2]>) -> Result<String, String> {
    let answer = programs.iter().find_map(|program| {
        let output = repo.command(program).arg("--version").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let Some(answer) = answer else { return Err("not found".to_owned()) };
    let line = answer.lines().next().unwrap_or_default().trim().to_owned();
    match min {
        Some([major, minor]) if number(&line) < [major, minor] => {
            Err(format!("{line}: {major}.{minor} or newer is needed"))
        }
        _ => Ok(line),
    }
}

/// The first `major.minor` in a line such as `rustc 1.95.0 (...)` or `v20.1.0`.
fn number(line: &str) -> [u32; 2] {
    let word = line.split_whitespace().map(|word| word.trim_start_matches('v'));
    let mut parts =
        word.filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit())).flat_map(|word| word.split('.'));
    let mut part = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    [part(), part()]
}

fn disk(repo: &Repo) -> Result<String, String> {
    let output = repo.command("df").args(["-Pk", "."]).output().map_err(|error| format!("df: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let free =
        text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)).and_then(|kib| kib.parse::<u64>().ok());
    match free.map(|kib| kib / 1024 / 1024) {
        Some(gib) if gib >= DISK_MIN_GIB => Ok(format!("{gib} GiB free")),
        Some(gib) => Err(format!("{gib} GiB free, {DISK_MIN_GIB} are advised")),
        None => Err("df gave no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_read_from_what_tools_say() {
        assert_eq!(number("rustc 1.95.0 (59807616e 2026-04-14)"), [1, 95]);
        assert_eq!(number("v20.20.2"), [20, 20]);
        assert_eq!(number("spin 4.1.0"), [4, 1]);
        assert_eq!(number("no number"), [0, 0]);
    }
}
