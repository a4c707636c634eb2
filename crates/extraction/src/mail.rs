//! Mails (RFC 5322, MIME) and mailboxes of them: who wrote what to whom when, the text, and the names of what is attached.

use std::io::Cursor;

use mail_parser::{Address, Message, MessageParser, MimeHeaders as _, PartType, mailbox::mbox::MessageIterator};

use crate::{NoteCode, PartKind, Unreadable, page, plain, writer::Writer};

/// How many people of a header are named. Lists can have thousands.
const PEOPLE_MAX: usize = 50;
/// How many attachments of a mail are named.
const ATTACHMENTS_MAX: usize = 50;

/// One mail.
pub(crate) fn read(bytes: &[u8], writer: &mut Writer) -> Result<(), Unreadable> {
    let message = MessageParser::default().parse(bytes).ok_or(Unreadable::Damaged("it is not a mail"))?;
    writer.title(message.subject().unwrap_or_default());
    write(&message, writer);
    Ok(())
}

/// The mails of a file, as far as there is room.
pub(crate) fn read_all(bytes: &[u8], writer: &mut Writer) -> Result<(), Unreadable> {
    for found in MessageIterator::new(Cursor::new(bytes)) {
        let Ok(found) = found else { break };
        if writer.is_full() {
            break;
        }
        let Some(message) = MessageParser::default().parse(found.contents()) else { continue };
        writer.part(PartKind::Message, message.subject());
        write(&message, writer);
    }
    if writer.parts() == 0 { Err(Unreadable::Damaged("there is no mail in it")) } else { Ok(()) }
}

fn write(message: &Message<'_>, writer: &mut Writer) {
    writer.heading(1, message.subject().unwrap_or_default());
    let headers = [
        ("From", people(message.from())),
        ("To", people(message.to())),
        ("Cc", people(message.cc())),
        ("Date", message.date().map(mail_parser::DateTime::to_rfc3339).unwrap_or_default()),
    ];
    let headers = headers.iter().filter(|(_, value)| !value.is_empty());
    let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
    writer.paragraph(&headers.join("\n"));
    for body in message.text_bodies() {
        match &body.body {
            PartType::Text(text) => plain::read(text, writer),
            PartType::Html(html) => page::read_with(html, hypertext::Sheets::Ignored, writer),
            _ => {}
        }
    }
    let attached: Vec<String> = message.attachments().take(ATTACHMENTS_MAX).map(attachment).collect();
    if !attached.is_empty() {
        writer.paragraph(&format!("Attached: {}", attached.join(", ")));
        writer.note(NoteCode::Attachments, format!("Attached files were not read: {}.", attached.join(", ")));
    }
}

fn attachment(part: &mail_parser::MessagePart<'_>) -> String {
    let name = part.attachment_name().unwrap_or(if part.is_message() { "a mail" } else { "without a name" });
    format!("{} ({} bytes)", crate::writer::line(name), part.len())
}

fn people(address: Option<&Address<'_>>) -> String {
    let people = address.into_iter().flat_map(Address::iter).take(PEOPLE_MAX);
    let people = people.map(|person| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    });
    people.collect::<Vec<_>>().join(", ")
}
