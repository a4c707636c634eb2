//! The files of this repository, for tests of its rules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::repository;

/// The files below a folder with an ending, without other people's code.
///
/// # Errors
/// When a folder cannot be read.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name, "target" | "node_modules" | "dist") {
                files.extend(self::files(&path, ending)?);
            }
        } else if name.ends_with(ending) {
            files.push(path);
        }
    }
    Ok(files)
}

/// A path as people write it here.
#[must_use]
pub fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}
