//! `files`: folders beside the manifest that a component may read, but not write.
//!
//! The folders themselves are mounted, as by `spin up --direct-mounts`; without that option Spin mounts a copy made at start. So single files,
//! patterns and `exclude_files` are refused, and the component sees changes made while the host runs.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::Files;

/// A folder that a component may read.
#[derive(Debug)]
pub struct Mount {
    /// The folder on disk.
    pub folder: PathBuf,
    /// The component's path for it.
    pub path: String,
}

/// The folders that a component's `files` name.
///
/// # Errors
/// A folder does not exist or is outside the manifest's folder, or the embedded host does not support the entry.
pub fn mounts(files: &[Files], manifest_folder: &Path) -> Result<Vec<Mount>> {
    // With `--from spin.toml` the manifest has no folder in its path.
    let app = manifest_folder.join(".").canonicalize().context("cannot find the folder of the manifest")?;
    let mount = |files: &Files| {
        let (source, destination) = match files {
            Files::Path(path) => (path, path),
            Files::Placed(placed) => (&placed.source, &placed.destination),
        };
        if source.contains(['*', '?', '[']) {
            bail!("the pattern {source:?} is not served by the embedded host: name a folder, or use Spin");
        }
        let folder = app.join(source).canonicalize().with_context(|| format!("there is no folder {source:?}"))?;
        ensure!(
            folder.is_dir(),
            "the file {source:?} is not served by the embedded host: name its folder, or use Spin"
        );
        ensure!(folder.starts_with(&app), "{source:?} lies outside of the folder of the manifest");
        let inside = Path::new(destination);
        let plain = |part| matches!(part, Component::Normal(_) | Component::RootDir | Component::CurDir);
        ensure!(inside.components().all(plain), "the destination {destination:?} leads outside");
        Ok(Mount { folder, path: format!("/{}", destination.trim_start_matches('/')) })
    };
    files.iter().map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_a_folder_lies_where_the_host_was_started() {
        let found = mounts(&[Files::Path("src".to_owned())], Path::new("")).unwrap();
        assert_eq!((found[0].folder.is_absolute(), found[0].path.as_str()), (true, "/src"));
    }
}
