//! The requirements of a build besides rustup's toolchain and Node. Those that can be installed without asking are; the others are reported.

use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::repo::Repo;
use crate::step::Step;

/// The target of the guests.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Exists where systemd runs: sd_booted(3).
const SYSTEMD: &str = "/run/systemd/system";

/// Installs the wasm target if it is missing.
pub(crate) fn wasm_target(repo: &Repo) -> anyhow::Result<()> {
    if has_wasm_target(repo)? {
        return Ok(());
    }
    Step {
        log: "wasm-target",
        doing: "installing the wasm target",
        done: "installed the wasm target",
        remedy: "with rustup from https://rustup.rs: `rustup target add wasm32-wasip2`; with a distribution's Rust, \
                 install its package for the target wasm32-wasip2. Then start again.",
    }
    .run(repo, repo.command("rustup").args(["target", "add", WASM_TARGET]))
}

/// Whether the toolchain's folder contains the target, also without rustup.
pub(crate) fn has_wasm_target(repo: &Repo) -> anyhow::Result<bool> {
    let output = repo
        .command("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start rustc: install Rust from https://rustup.rs")?;
    if !output.status.success() {
        bail!("rustc does not know the target {WASM_TARGET}: install Rust 1.95 or newer");
    }
    Ok(std::path::Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Ensures that there is a Chromium for the browser tests: Debian's headless shell, the smaller of its two packages, which root can install.
pub(crate) fn chromium(repo: &Repo) -> anyhow::Result<()> {
    if ["chromium-headless-shell", "chromium"].iter().any(|program| starts(repo, program)) {
        return Ok(());
    }
    let step = Step {
        log: "chromium",
        doing: "installing Chromium",
        done: "installed Chromium",
        remedy: "`apt-get install chromium-headless-shell` by hand, then start again.",
    };
    install(repo, "Chromium", "chromium-headless-shell", &step)
}

/// Ensures that there is a Cyrus for the tests of mail and calendars. It is not installed on machines that would go on to run it as a service.
pub(crate) fn cyrus(repo: &Repo) -> anyhow::Result<()> {
    if std::path::Path::new("/usr/sbin/cyrmaster").exists() {
        return Ok(());
    }
    let step = Step {
        log: "cyrus",
        doing: "installing Cyrus",
        done: "installed Cyrus",
        remedy: "`apt-get install cyrus-imapd cyrus-caldav sasl2-bin libsasl2-modules` by hand, then start again.",
    };
    let packages = "cyrus-imapd cyrus-caldav sasl2-bin libsasl2-modules";
    if std::path::Path::new(SYSTEMD).exists() {
        bail!(
            "Cyrus is missing, and its package would start a mail server here: install it (`sudo apt-get install {packages}`, then \
             `sudo systemctl disable --now cyrus-imapd`), then start again"
        );
    }
    install(repo, "Cyrus", packages, &step)
}

/// Ensures that there is a `promtool`, Prometheus' checker: of Debian's package, without the server that comes with it, in `target/promtool`.
pub(crate) fn promtool(repo: &Repo) -> anyhow::Result<()> {
    let folder = repo.target("promtool");
    if starts(repo, "promtool") || folder.join("usr/bin/promtool").exists() {
        return Ok(());
    }
    if !starts(repo, "apt-get") {
        bail!("promtool is missing: install it (https://prometheus.io/download)");
    }
    std::fs::create_dir_all(&folder)?;
    let step = Step {
        log: "promtool",
        doing: "fetching promtool",
        done: "fetched promtool",
        remedy: "`apt-get install prometheus` by hand, then start again.",
    };
    let _lock = repo.lock("apt.lock", "an installation")?;
    // Whoever is not root cannot update the lists, which may be new enough.
    let command = "apt-get update; apt-get download prometheus && \
                   dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb";
    step.run(repo, repo.command("sh").args(["-c", command]).current_dir(&folder))
}

fn starts(repo: &Repo, program: &str) -> bool {
    let output = repo.command(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// Installs Debian packages, as root. Their services are not started where systemd does not run.
fn install(repo: &Repo, name: &str, packages: &str, step: &Step<'_>) -> anyhow::Result<()> {
    let is_root = repo.command("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !starts(repo, "apt-get") {
        bail!("{name} is missing: install it (`sudo apt-get install {packages}`), then start again");
    }
    // apt has its own lock, but fails if it is taken.
    let _lock = repo.lock("apt.lock", "an installation")?;
    let command = format!("apt-get update && apt-get install --yes --no-install-recommends {packages}");
    let mut shell = repo.command("sh");
    // With this variable, packages believe that the system is in a runlevel without services.
    step.run(repo, shell.args(["-c", &command]).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))
}
