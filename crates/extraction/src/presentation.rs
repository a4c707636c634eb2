//! PowerPoint presentations (ECMA-376, PresentationML): the slides in their order, each with its title first, its texts, tables, diagrams and notes.

use std::collections::HashMap;

use crate::{
    PartKind, Unreadable,
    archive::Archive,
    charset,
    markup::{Markup, Piece, attribute, closed, name},
    office,
    table::Table,
    writer::Writer,
};

pub(crate) fn read(bytes: Vec<u8>, writer: &mut Writer) -> Result<(), Unreadable> {
    let mut archive = Archive::open(&bytes)?;
    office::title(&mut archive, writer)?;
    let main = office::main_part(&mut archive, "ppt/presentation.xml")?;
    let mut targets = HashMap::new();
    for found in office::relationships(&mut archive, &main)? {
        targets.entry(found.id).or_insert(found.target);
    }
    let text = archive.need(&main)?;
    for id in slide_ids(&charset::xml(&text)) {
        if writer.is_full() {
            break;
        }
        let Some(slide) = targets.get(&id) else { continue };
        read_slide(&mut archive, slide, writer)?;
    }
    Ok(())
}

fn slide_ids(text: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut markup = Markup::new(text);
    while let Some(piece) = markup.next() {
        let Piece::Open(tag) = piece else { continue };
        if name(&tag) == "sldId" {
            // `r:id` beside `id`: the name with the prefix.
            let mut attributes = tag.attributes();
            let attributes = attributes.with_checks(false).flatten();
            let mut found = attributes.filter(|attribute| attribute.key.into_inner().ends_with(":id"));
            ids.extend(found.next().map(|attribute| attribute.value.into_owned()));
        }
    }
    ids
}

fn read_slide(archive: &mut Archive<'_>, path: &str, writer: &mut Writer) -> Result<(), Unreadable> {
    let text = archive.read(path)?.unwrap_or_default();
    let mut slide = Slide::default();
    slide.read(&charset::xml(&text));
    let relationships = office::relationships(archive, path)?;
    for diagram in relationships.iter().filter(|found| found.kind == "diagramData") {
        let text = archive.read(&diagram.target)?.unwrap_or_default();
        slide.read(&charset::xml(&text));
    }
    let mut notes = Slide::default();
    for found in relationships.iter().filter(|found| found.kind == "notesSlide") {
        let text = archive.read(&found.target)?.unwrap_or_default();
        notes.read(&charset::xml(&text));
    }
    writer.part(PartKind::Slide, Some(&slide.title));
    writer.heading(1, &slide.title);
    for piece in slide.pieces {
        piece.write(writer);
    }
    let notes: Vec<String> = notes.pieces.into_iter().filter_map(Text::spoken).collect();
    if !notes.is_empty() {
        writer.paragraph(&format!("Notes: {}", notes.join("\n")));
    }
    if slide.is_damaged {
        office::damaged(writer)?;
    }
    Ok(())
}

enum Text {
    Paragraph(String),
    Item(String),
    Table(Table),
}

impl Text {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::Paragraph(text) => writer.paragraph(&text),
            Self::Item(text) => writer.item(&text),
            Self::Table(mut table) => writer.table(&mut table),
        }
    }

    fn spoken(self) -> Option<String> {
        match self {
            Self::Paragraph(text) | Self::Item(text) => Some(text),
            Self::Table(_) => None,
        }
    }
}

#[derive(Default)]
struct Slide {
    title: String,
    pieces: Vec<Text>,
    is_damaged: bool,
}

impl Slide {
    fn read(&mut self, text: &str) {
        // The placeholder that a shape fills decides what its text is.
        let mut holder: Option<String> = None;
        let (mut paragraph, mut cell) = (String::new(), String::new());
        let mut table: Option<Table> = None;
        let mut is_text = false;
        let mut markup = Markup::new(text);
        while let Some(piece) = markup.next() {
            match piece {
                Piece::Open(tag) => match name(&tag) {
                    "sp" => holder = None,
                    // `obj`, the default, is a placeholder for text with bullets.
                    "ph" => holder = Some(attribute(&tag, "type").unwrap_or_else(|| "obj".to_owned())),
                    "tbl" => table = Some(Table::default()),
                    "t" => is_text = true,
                    "br" => paragraph.push('\n'),
                    "tab" => paragraph.push('\t'),
                    "Fallback" => markup.skip(),
                    _ => {}
                },
                Piece::Text(text) if is_text => paragraph.push_str(&text),
                Piece::Text(_) => {}
                Piece::Close(tag) => match (closed(&tag), &mut table) {
                    ("t", _) => is_text = false,
                    ("p", Some(_)) => {
                        cell.push_str(&std::mem::take(&mut paragraph));
                        cell.push(' ');
                    }
                    ("p", None) => self.end_paragraph(std::mem::take(&mut paragraph), holder.as_deref()),
                    ("tc", Some(table)) => table.cell(&std::mem::take(&mut cell)),
                    ("tr", Some(table)) => table.end_row(),
                    ("tbl", _) => self.pieces.extend(table.take().map(Text::Table)),
                    _ => {}
                },
            }
        }
        self.is_damaged |= markup.is_damaged();
    }

    fn end_paragraph(&mut self, text: String, holder: Option<&str>) {
        if text.trim().is_empty() {
            return;
        }
        match holder {
            Some("title" | "ctrTitle") if self.title.is_empty() => self.title = text,
            // Numbers, dates and running footers are on every slide.
            Some("sldNum" | "dt" | "ftr" | "hdr") => {}
            Some("body" | "obj") => self.pieces.push(Text::Item(text)),
            _ => self.pieces.push(Text::Paragraph(text)),
        }
    }
}
