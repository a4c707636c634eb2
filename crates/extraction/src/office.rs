//! What Office Open XML files have in common (ECMA-376, part 2): the part to begin with, relationships between parts, the title.

use crate::{
    NoteCode, Unreadable,
    archive::Archive,
    charset,
    markup::{Markup, Piece, attribute, closed, name},
    writer::Writer,
};

/// A part that another part names.
pub(crate) struct Relationship {
    pub(crate) id: String,
    /// The last segment of its type: `slide`, `styles`.
    pub(crate) kind: String,
    /// Its path in the archive.
    pub(crate) target: String,
}

/// The part to begin with, or the usual one.
pub(crate) fn main_part(archive: &mut Archive<'_>, usual: &str) -> Result<String, Unreadable> {
    let found = relationships(archive, "")?;
    let main = found.into_iter().find(|found| found.kind == "officeDocument").map(|found| found.target);
    Ok(main.filter(|path| archive.has(path)).unwrap_or_else(|| usual.to_owned()))
}

/// The parts that a part names; those of the whole file for an empty path.
pub(crate) fn relationships(archive: &mut Archive<'_>, path: &str) -> Result<Vec<Relationship>, Unreadable> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let list = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
    let text = archive.read(&list)?.unwrap_or_default();
    let text = charset::xml(&text);
    let mut found = Vec::new();
    let mut markup = Markup::new(&text);
    while let Some(piece) = markup.next() {
        let Piece::Open(tag) = piece else { continue };
        if name(&tag) != "Relationship" || attribute(&tag, "TargetMode").is_some_and(|mode| mode == "External") {
            continue;
        }
        let kind = attribute(&tag, "Type").unwrap_or_default();
        let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
        let target = resolved(folder, &attribute(&tag, "Target").unwrap_or_default());
        found.push(Relationship { id: attribute(&tag, "Id").unwrap_or_default(), kind, target });
    }
    Ok(found)
}

/// A path that is relative to a folder of the archive.
pub(crate) fn resolved(folder: &str, target: &str) -> String {
    let mut segments: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments.join("/")
}

/// The title in the file's properties.
pub(crate) fn title(archive: &mut Archive<'_>, writer: &mut Writer) -> Result<(), Unreadable> {
    let text = archive.read("docProps/core.xml")?.unwrap_or_default();
    writer.title(&element(&charset::xml(&text), "title"));
    Ok(())
}

/// The text of the first element of a name.
pub(crate) fn element(text: &str, wanted: &str) -> String {
    let mut found = String::new();
    let mut is_in = false;
    let mut markup = Markup::new(text);
    while let Some(piece) = markup.next() {
        match piece {
            Piece::Open(tag) => is_in |= name(&tag) == wanted,
            Piece::Text(text) if is_in => found.push_str(&text),
            Piece::Close(tag) if is_in && closed(&tag) == wanted => break,
            _ => {}
        }
    }
    found
}

/// The markup of a part broke off. What was read before is kept.
pub(crate) fn damaged(writer: &mut Writer) -> Result<(), Unreadable> {
    if writer.is_empty() {
        return Err(Unreadable::Damaged("its markup is broken"));
    }
    writer.note(NoteCode::Damaged, "A part of the file is broken, and the text after it is missing.");
    Ok(())
}
