//! Markdown: its source, which models read well, with the blocks and headings of it.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{
    BlockKind, TEXT_MAX_BYTES,
    writer::{Writer, cut},
};

pub(crate) fn read(whole: &str, writer: &mut Writer) {
    // The parser makes a tree of all of it first.
    let text = cut(whole, TEXT_MAX_BYTES);
    read_all(text, writer);
    if text.len() < whole.len() {
        writer.truncate();
    }
}

fn read_all(text: &str, writer: &mut Writer) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS | Options::ENABLE_FOOTNOTES;
    let (mut depth, mut heading) = (0_usize, String::new());
    let mut is_heading = false;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        if writer.is_full() {
            return;
        }
        match event {
            Event::Start(tag) => {
                let source = text.get(range).unwrap_or_default();
                match (depth, &tag) {
                    (0, Tag::Heading { .. }) => is_heading = true,
                    // The items are the blocks.
                    (0, Tag::List(_)) => {}
                    (0, Tag::Table(_)) => writer.verbatim(BlockKind::Table, source),
                    (0, Tag::CodeBlock(_) | Tag::MetadataBlock(_)) => writer.code(source),
                    (0, _) => writer.verbatim(BlockKind::Paragraph, source),
                    (1, Tag::Item) => writer.verbatim(BlockKind::Item, source),
                    _ => {}
                }
                depth = depth.saturating_add(1);
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                if let (0, TagEnd::Heading(level)) = (depth, end) {
                    is_heading = false;
                    let heading = std::mem::take(&mut heading);
                    if writer.is_empty() {
                        writer.title(&heading);
                    }
                    writer.heading(level as u8, &heading);
                }
            }
            Event::Text(words) | Event::Code(words) if is_heading => heading.push_str(&words),
            Event::SoftBreak | Event::HardBreak if is_heading => heading.push(' '),
            Event::Html(_) if depth == 0 => writer.verbatim(BlockKind::Paragraph, text.get(range).unwrap_or_default()),
            _ => {}
        }
    }
}
