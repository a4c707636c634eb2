//! `cargo dev manifest`: writes `spin.toml` together with the tools of `tools.toml`, for any host to serve.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};

use crate::artifacts::Profile;
use crate::host::absolute;
use crate::repo::Repo;
use crate::tools_file::{Composed, FILE, ToolsFlag};

/// The beginning of every file that this command writes. Other files are never replaced.
const MADE: &str = "# Made by `cargo dev manifest` ";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tools: ToolsFlag,
    /// The manifest to write, beside spin.toml
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(repo: &Repo, Arguments { tools, out }: &Arguments) -> anyhow::Result<ExitCode> {
    let out = absolute(out)?;
    let folder = out.parent().and_then(|folder| folder.canonicalize().ok());
    // The paths in a manifest are relative to its folder, and hosts mount no folder outside of it.
    ensure!(
        folder.is_some_and(|folder| folder == repo.path("")),
        "--out: {} is not beside spin.toml, where its paths lead to the right files",
        out.display()
    );
    let composed = tools.composed(repo, Profile::Release)?;
    ensure!(
        !composed.names.is_empty(),
        "there is no tool to add: name the file with --tools, or put {FILE} beside spin.toml"
    );
    let file = tools.file(repo)?;
    write(&out, file.strip_prefix(repo.path("")).unwrap_or(&file), &composed)?;
    println!("wrote {} with {}", out.display(), composed.names.join(", "));
    Ok(ExitCode::SUCCESS)
}

fn write(out: &Path, tools: &Path, composed: &Composed) -> anyhow::Result<()> {
    match std::fs::read(out) {
        Ok(before) if !before.starts_with(MADE.as_bytes()) => bail!(
            "--out: {} exists and was not made by this command, so it is not replaced: choose another name, or remove it",
            out.display()
        ),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("--out: cannot read {}", out.display()));
        }
        _ => {}
    }
    // Debug quotes the path, because a name may contain a line break.
    let text = format!("{MADE}out of spin.toml and {tools:?}: change those.\n{}", composed.text);
    std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_command_made_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.toml");
        let write = |text: &str| {
            write(&out, Path::new("my-tools.toml"), &Composed { text: text.to_owned(), ..Composed::default() })
        };
        write("first = 1\n").unwrap();
        write("second = 2\n").unwrap();
        let text = std::fs::read_to_string(&out).unwrap();
        assert!(text.contains("my-tools.toml") && text.ends_with("change those.\nsecond = 2\n"), "{text}");
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
        for other in ["", "KEY=secret\n", "# Made by hand\n"] {
            std::fs::write(&out, other).unwrap();
            assert!(write("third = 3\n").unwrap_err().to_string().contains("is not replaced"));
            assert_eq!(std::fs::read_to_string(&out).unwrap(), other);
        }
    }
}
