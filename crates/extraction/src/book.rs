//! Books (EPUB): the chapters in the order in which they are read.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use crate::{
    NoteCode, PartKind, Unreadable,
    archive::Archive,
    charset,
    kind::contains,
    markup::{Markup, Piece, attribute, name},
    office, page,
    writer::Writer,
};

pub(crate) fn read(bytes: Vec<u8>, writer: &mut Writer) -> Result<(), Unreadable> {
    let mut archive = Archive::open(&bytes)?;
    // Fonts alone may be obfuscated, with other methods.
    let encryption = archive.read("META-INF/encryption.xml")?.unwrap_or_default();
    if contains(&encryption, b"xmlenc#aes") {
        return Err(Unreadable::Encrypted);
    }
    let container = archive.need("META-INF/container.xml")?;
    let path = package_path(&charset::xml(&container)).ok_or(Unreadable::Damaged("it names no book"))?;
    let package = archive.need(&path)?;
    let package = charset::xml(&package).into_owned();
    writer.title(&office::element(&package, "title"));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut is_missing = false;
    for chapter in chapters(&package) {
        if writer.is_full() {
            break;
        }
        let path = chapter.split('#').next().unwrap_or_default();
        let path = office::resolved(folder, &percent_decode_str(path).decode_utf8_lossy());
        let Some(text) = archive.read(&path)? else {
            is_missing = true;
            continue;
        };
        writer.part(PartKind::Chapter, None);
        page::read(&hypertext::charset::decode(&text, None, hypertext::charset::Kind::Xml), writer);
    }
    if is_missing {
        writer.note(NoteCode::Damaged, "A chapter is missing in the file.");
    }
    Ok(())
}

fn package_path(container: &str) -> Option<String> {
    let mut markup = Markup::new(container);
    while let Some(piece) = markup.next() {
        if let Piece::Open(tag) = piece
            && name(&tag) == "rootfile"
        {
            return attribute(&tag, "full-path");
        }
    }
    None
}

/// The files of the chapters, relative to the package's.
fn chapters(package: &str) -> Vec<String> {
    let (mut files, mut order) = (HashMap::new(), Vec::new());
    let mut markup = Markup::new(package);
    while let Some(piece) = markup.next() {
        let Piece::Open(tag) = piece else { continue };
        match name(&tag) {
            "item" => {
                files.insert(attribute(&tag, "id").unwrap_or_default(), attribute(&tag, "href").unwrap_or_default());
            }
            "itemref" => order.extend(attribute(&tag, "idref")),
            _ => {}
        }
    }
    // Each once: a spine that repeats a chapter a million times is no book.
    order.iter().filter_map(|id| files.remove(id)).collect()
}
