//! Reads the files of the folder with documents, within limits. It does not know their contents.

use std::{fs::File, io::Read as _, path::Path};

use crate::name::is_api_name;

/// The largest document. JSON of this size is parsed in a tenth of a second, YAML in half a second.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 2 << 20;
/// The most documents.
pub(crate) const DOCUMENTS_MAX: usize = 64;
/// The size of all documents together. Every new instance parses them before its first answer; YAML of this size takes a little more than a second.
pub(crate) const ALL_BYTES_MAX: usize = 4 << 20;
/// The most files that are examined.
const FILES_MAX: usize = 1_000;

/// A file: its text, or the reason why it was not read.
#[derive(Debug)]
pub(crate) struct ApiFile {
    /// The file's name without its extension.
    pub(crate) name: String,
    pub(crate) text: Result<String, String>,
}

/// The documents in a folder, sorted by name. Other files, such as a README, are ignored.
pub(crate) fn files(folder: &Path) -> Vec<ApiFile> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let entries = entries.take(FILES_MAX).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = entries.filter(|name| stem(name).is_some()).collect();
    names.sort();
    let mut left = ALL_BYTES_MAX;
    let mut files: Vec<ApiFile> = Vec::new();
    for file in names {
        let Some(name) = stem(&file) else { continue };
        let text = if files.len() >= DOCUMENTS_MAX {
            Err(format!("there are more than {DOCUMENTS_MAX} documents"))
        } else if !is_api_name(name) {
            Err("its name must be at most 24 lower-case letters, digits, - and _".to_owned())
        } else if files.iter().any(|other| other.name == name) {
            Err("another document has its name".to_owned())
        } else {
            read(&folder.join(&file)).and_then(|text| {
                left = left
                    .checked_sub(text.len())
                    .ok_or_else(|| format!("the documents have more than {} MiB together", ALL_BYTES_MAX >> 20))?;
                Ok(text)
            })
        };
        files.push(ApiFile { name: name.to_owned(), text });
    }
    files
}

fn stem(file: &str) -> Option<&str> {
    let (stem, extension) = file.rsplit_once('.')?;
    matches!(extension, "json" | "yaml" | "yml").then_some(stem)
}

fn read(path: &Path) -> Result<String, String> {
    let fault = |error: std::io::Error| format!("it cannot be read: {error}");
    let limit = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path).map_err(fault)?.take(limit).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(format!("it has more than {} MiB", DOCUMENT_BYTES_MAX >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())
}
