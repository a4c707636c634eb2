//! An outcome as a text that people compare: a line for each part, block and note. It is made of the serialized form, which programs get, and it
//! checks what holds for every document.

use extraction::{BlockKind, Document, Unreadable};
use serde_json::{Value, json};

/// What a file became.
pub(crate) fn shown(outcome: &Result<Document, Unreadable>) -> String {
    match outcome {
        Ok(document) => shown_document(document),
        Err(refused) => format!("refused {}: {refused}\n", refused.code()),
    }
}

fn shown_document(document: &Document) -> String {
    let serialized = serde_json::to_string(document).unwrap();
    assert_eq!(*document, serde_json::from_str(&serialized).unwrap(), "it changes when it is sent");
    let letters: Vec<char> = document.text.chars().collect();
    let mut shown = format!("{}\n", name(document.kind));
    if let Some(title) = &document.title {
        shown += &format!("title {title:?}\n");
    }
    let mut part = None;
    let mut end = 0;
    for block in &document.blocks {
        assert!(block.start >= end && block.start < block.end, "blocks overlap: {block:?}");
        end = block.end;
        let text: String = letters[block.start as usize..block.end as usize].iter().collect();
        if block.part != part {
            part = block.part;
            let part = &document.parts[part.unwrap() as usize];
            assert!(part.start <= block.start && block.end <= part.end, "{part:?} does not contain {block:?}");
        }
        for (index, found) in document.parts.iter().enumerate() {
            if found.start == block.start && block.part == Some(u32::try_from(index).unwrap()) {
                shown += &format!("{} {}", name(found.kind), found.number);
                shown += &found.name.as_ref().map_or(String::new(), |name| format!(" {name:?}"));
                shown += if found.is_scanned { " scanned\n" } else { "\n" };
            }
        }
        let kind = match (block.kind, block.level) {
            (BlockKind::Heading, Some(level)) => format!("heading {level}"),
            (kind, _) => name(kind),
        };
        let under: Vec<String> = document
            .headings(block)
            .iter()
            .map(|heading| letters[heading.start as usize..heading.end as usize].iter().collect())
            .collect();
        let under = if under.is_empty() { String::new() } else { format!(" ({})", under.join(" > ")) };
        shown += &format!("  {kind}{under}: {text:?}\n");
    }
    assert!(end as usize <= letters.len());
    for found in document.parts.iter().filter(|part| part.start == part.end) {
        shown += &format!(
            "{} {} without text{}\n",
            name(found.kind),
            found.number,
            if found.is_scanned { ", scanned" } else { "" }
        );
    }
    for note in &document.notes {
        shown += &format!("note {}: {}\n", name(note.code), note.detail);
    }
    shown
}

fn name(value: impl serde::Serialize) -> String {
    let Value::String(name) = json!(value) else { panic!("a name is a text") };
    name
}
