//! What building needs beside rustup's toolchain and Node: what can be installed without asking is, the rest is said.

use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::repo::Repo;
use crate::step::Step;

/// What guests are compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

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

/// Whether the toolchain's own folder holds the target, which is also right without rustup.
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

/// Makes sure that there is a Chromium for the browser tests: Debian's, which root can install.
pub(crate) fn chromium(repo: &Repo) -> anyhow::Result<()> {
    let starts = |program: &str| {
        let output = repo.command(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    if starts("chromium") {
        return Ok(());
    }
    let is_root = repo.command("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !starts("apt-get") {
        bail!("Chromium is missing: install it (`sudo apt-get install chromium`), then start again");
    }
    Step {
        log: "chromium",
        doing: "installing Chromium",
        done: "installed Chromium",
        remedy: "`apt-get install chromium` by hand, then start again.",
    }
    .run(
        repo,
        repo.command("sh")
            .args(["-c", "apt-get update && apt-get install --yes --no-install-recommends chromium"])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
