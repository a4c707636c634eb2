//! What a file is: by its content where that says it, then by its name, then by its media type. Must not read the file.

use serde::{Deserialize, Serialize};

use crate::{Hints, Unreadable, archive::Archive, charset};

/// A kind of file that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Portable Document Format.
    Pdf,
    /// Word.
    Docx,
    /// PowerPoint.
    Pptx,
    /// Excel.
    Xlsx,
    /// Excel, binary.
    Xlsb,
    /// Excel before 2007.
    Xls,
    /// OpenDocument text.
    Odt,
    /// OpenDocument spreadsheet.
    Ods,
    /// OpenDocument presentation.
    Odp,
    /// A book.
    Epub,
    /// A page.
    Html,
    /// Markdown.
    Markdown,
    /// Rich Text Format.
    Rtf,
    /// One mail.
    Email,
    /// Many mails in one file (mbox).
    Mailbox,
    /// Values with commas, semicolons or tabs between them.
    Csv,
    /// JSON, also one value a line.
    Json,
    /// XML.
    Xml,
    /// Source code, configuration.
    Code,
    /// Any other text.
    Text,
}

/// How far into a file `%PDF-` may stand; readers of PDF allow that.
const PDF_HEADER_BYTES: usize = 1_024;
/// How many bytes show whether a file is text.
const SAMPLE_BYTES: usize = 8_192;
/// Of a hundred bytes of text in any encoding, fewer are control characters.
const CONTROLS_MAX_PERCENT: usize = 5;

/// How many lines at the beginning show whether a text is a mail.
const HEADERS_MAX: usize = 40;

const PICTURE: &str = "The file is a picture. A model that sees can look at it; there is no text in it to read.";
const RECORDING: &str = "The file is a recording. Only text can be read.";
const ARCHIVE: &str = "The file is an archive. Unpack it, and add the files in it.";
const OLD_WORD: &str = "The file is a Word document from before 2007. Save it as .docx or PDF, and add that.";
const OLD_POWERPOINT: &str =
    "The file is a PowerPoint presentation from before 2007. Save it as .pptx or PDF, and add that.";
const UNKNOWN: &str = "The file is of a kind that cannot be read. PDF, Word, PowerPoint, Excel, OpenDocument, EPUB, HTML, mail and all plain text can be read.";

/// The first bytes of files that are known and not read, from an offset.
const NOT_READ: [(usize, &[u8], &str); 26] = [
    (0, b"\x89PNG", PICTURE),
    (0, b"\xff\xd8\xff", PICTURE),
    (0, b"GIF8", PICTURE),
    (8, b"WEBP", PICTURE),
    (0, b"II*\0", PICTURE),
    (0, b"MM\0*", PICTURE),
    (0, b"BM", PICTURE),
    (4, b"ftypheic", PICTURE),
    (4, b"ftypavif", PICTURE),
    (4, b"ftypmif1", PICTURE),
    (0, b"\x00\x00\x01\x00", PICTURE),
    (0, b"8BPS", PICTURE),
    (4, b"ftyp", RECORDING),
    (8, b"WAVE", RECORDING),
    (8, b"AVI ", RECORDING),
    (0, b"OggS", RECORDING),
    (0, b"fLaC", RECORDING),
    (0, b"ID3", RECORDING),
    (0, b"\xff\xfb", RECORDING),
    (0, b"\x1aE\xdf\xa3", RECORDING),
    (0, b"\x1f\x8b", ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (0, b"Rar!", ARCHIVE),
    (0, b"BZh", ARCHIVE),
    (0, b"\xfd7zXZ", ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", ARCHIVE),
];

/// Endings of files that are source code or configuration.
const CODE: [&str; 88] = [
    "ada",
    "asm",
    "awk",
    "bash",
    "bat",
    "bib",
    "c",
    "cc",
    "clj",
    "cls",
    "cmake",
    "cmd",
    "conf",
    "cpp",
    "cs",
    "css",
    "cu",
    "cxx",
    "d",
    "dart",
    "diff",
    "dockerfile",
    "el",
    "elm",
    "env",
    "erl",
    "ex",
    "exs",
    "f",
    "f90",
    "fs",
    "go",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "hpp",
    "hs",
    "ini",
    "java",
    "jl",
    "js",
    "jsx",
    "kt",
    "less",
    "lisp",
    "lua",
    "m",
    "mjs",
    "mk",
    "ml",
    "nim",
    "nix",
    "pas",
    "patch",
    "php",
    "pl",
    "properties",
    "proto",
    "ps1",
    "py",
    "r",
    "rb",
    "rs",
    "sass",
    "scala",
    "scm",
    "scss",
    "sh",
    "sql",
    "srt",
    "sty",
    "svelte",
    "swift",
    "tcl",
    "tex",
    "tf",
    "toml",
    "ts",
    "tsx",
    "v",
    "vb",
    "vtt",
    "vue",
    "wit",
    "yaml",
    "yml",
    "zig",
];

/// What a file is.
pub(crate) fn of(bytes: &[u8], hints: Hints<'_>) -> Result<Kind, Unreadable> {
    let head = |length: usize| bytes.get(..length.min(bytes.len())).unwrap_or_default();
    if contains(head(PDF_HEADER_BYTES), b"%PDF-") {
        return Ok(Kind::Pdf);
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return of_archive(bytes);
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return of_compound(bytes);
    }
    if bytes.starts_with(b"{\\rtf") {
        return Ok(Kind::Rtf);
    }
    let ending = hints.name.rsplit_once('.').map_or(hints.name, |(_, ending)| ending).to_ascii_lowercase();
    if !is_text(head(SAMPLE_BYTES)) {
        let starts = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        let known = NOT_READ.iter().find(|(offset, magic, _)| starts(*offset, magic));
        return Err(match known {
            Some((_, _, told)) => Unreadable::Unsupported(told),
            None if is_binary_ending(&ending) => Unreadable::Damaged("it is not what its name says"),
            None => Unreadable::Unsupported(UNKNOWN),
        });
    }
    let start = String::from_utf8_lossy(head(SAMPLE_BYTES)).to_ascii_lowercase().replace('\0', "");
    let start = start.trim_start_matches(['\u{feff}', '\u{fffd}', ' ', '\n', '\r', '\t']);
    if start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || start.starts_with("<?xml") && start.contains("<html")
    {
        return Ok(Kind::Html);
    }
    Ok(of_ending(&ending).or_else(|| of_media_type(hints.media_type)).unwrap_or_else(|| of_start(start)))
}

fn of_ending(ending: &str) -> Option<Kind> {
    Some(match ending {
        "html" | "htm" | "xhtml" => Kind::Html,
        "md" | "markdown" | "mdx" => Kind::Markdown,
        "csv" | "tsv" => Kind::Csv,
        "json" | "jsonl" | "ndjson" | "geojson" | "ipynb" => Kind::Json,
        "xml" | "xsd" | "xsl" | "svg" | "rss" | "atom" | "plist" => Kind::Xml,
        "eml" => Kind::Email,
        "mbox" => Kind::Mailbox,
        "txt" | "text" | "log" | "rst" | "adoc" | "org" => Kind::Text,
        "makefile" => Kind::Code,
        ending if CODE.contains(&ending) => Kind::Code,
        _ => return None,
    })
}

fn of_media_type(media_type: &str) -> Option<Kind> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match essence.as_str() {
        "text/html" | "application/xhtml+xml" => Kind::Html,
        "text/markdown" => Kind::Markdown,
        "text/csv" | "text/tab-separated-values" => Kind::Csv,
        "message/rfc822" => Kind::Email,
        "application/mbox" => Kind::Mailbox,
        "application/xml" | "text/xml" => Kind::Xml,
        "text/css" | "text/javascript" | "application/javascript" | "application/yaml" | "application/toml" => {
            Kind::Code
        }
        essence if essence.ends_with("json") => Kind::Json,
        essence if essence.ends_with("+xml") => Kind::Xml,
        essence if essence.starts_with("text/x-") => Kind::Code,
        _ => return None,
    })
}

/// By the beginning of a text, in lower case.
fn of_start(start: &str) -> Kind {
    if start.starts_with("from ") && start.split_once('\n').is_some_and(|(_, rest)| is_mail(rest)) {
        return Kind::Mailbox;
    }
    if is_mail(start) {
        return Kind::Email;
    }
    if start.starts_with("<?xml") {
        return Kind::Xml;
    }
    if start.starts_with(['{', '['])
        && start.trim_start_matches(['{', '[', ' ', '\n', '\r', '\t']).starts_with(['"', '}', ']'])
    {
        return Kind::Json;
    }
    Kind::Text
}

/// Whether a text in lower case begins with the headers of a mail.
fn is_mail(start: &str) -> bool {
    let (name, _) = start.split_once(':').unwrap_or((" ", ""));
    let is_sure = |line: &str| ["mime-version:", "received:", "message-id:"].iter().any(|name| line.starts_with(name));
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && start.lines().take(HEADERS_MAX).any(is_sure)
}

/// An archive, by the files that only one kind has.
fn of_archive(bytes: &[u8]) -> Result<Kind, Unreadable> {
    let mut archive = Archive::open(bytes)?;
    let media_type = archive.read("mimetype")?.unwrap_or_default();
    let media_type = String::from_utf8_lossy(&media_type);
    let kinds = [
        ("application/epub+zip", Kind::Epub),
        ("application/vnd.oasis.opendocument.text", Kind::Odt),
        ("application/vnd.oasis.opendocument.spreadsheet", Kind::Ods),
        ("application/vnd.oasis.opendocument.presentation", Kind::Odp),
    ];
    if let Some((_, kind)) = kinds.iter().find(|(name, _)| media_type.trim().starts_with(name)) {
        return Ok(*kind);
    }
    if archive.has("xl/workbook.bin") {
        return Ok(Kind::Xlsb);
    }
    let types = archive.read("[Content_Types].xml")?.unwrap_or_default();
    let main: [(&[u8], Kind); 3] =
        [(b"wordprocessingml.", Kind::Docx), (b"presentationml.", Kind::Pptx), (b"spreadsheetml.", Kind::Xlsx)];
    let folders = [("word/", Kind::Docx), ("ppt/", Kind::Pptx), ("xl/", Kind::Xlsx)];
    // A document may embed sheets, so the folder decides before the types.
    let by_folder = folders.iter().find(|(folder, _)| archive.has_folder(folder)).map(|(_, kind)| *kind);
    let by_type = || main.iter().find(|(name, _)| contains(&types, name)).map(|(_, kind)| *kind);
    if types.is_empty() {
        return Err(Unreadable::Unsupported(ARCHIVE));
    }
    by_folder.or_else(by_type).ok_or(Unreadable::Unsupported(UNKNOWN))
}

/// Microsoft's container of before 2007, by the names of the streams in it.
fn of_compound(bytes: &[u8]) -> Result<Kind, Unreadable> {
    let names = |name: &str| contains(bytes, &name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    if names("EncryptedPackage") {
        Err(Unreadable::Encrypted)
    } else if names("WordDocument") {
        Err(Unreadable::Unsupported(OLD_WORD))
    } else if names("PowerPoint Document") {
        Err(Unreadable::Unsupported(OLD_POWERPOINT))
    } else if names("Workbook") || names("Book") {
        Ok(Kind::Xls)
    } else {
        Err(Unreadable::Unsupported(UNKNOWN))
    }
}

fn is_binary_ending(ending: &str) -> bool {
    ["pdf", "docx", "pptx", "xlsx", "xlsm", "xls", "xlsb", "odt", "ods", "odp", "epub", "rtf"].contains(&ending)
}

/// Whether a beginning is text in some encoding.
fn is_text(sample: &[u8]) -> bool {
    if encoding_rs::Encoding::for_bom(sample).is_some() || charset::wide(sample).is_some() {
        return true;
    }
    // Escape begins a shift in ISO-2022-JP.
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let controls = sample.iter().filter(is_control).count();
    !sample.contains(&0) && controls.saturating_mul(100) <= sample.len().saturating_mul(CONTROLS_MAX_PERCENT)
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
