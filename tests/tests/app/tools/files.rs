//! The files of a conversation, for its model: of a long one, a message shows the beginning, and the tools of `files` find and read the rest.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Person, array, journal, text, unique};

use crate::planted::form;

/// More than a message shows of a document.
const PARAGRAPHS: usize = 8_000;

async fn uploaded(person: &Person, name: &str, bytes: &[u8]) -> Result<String> {
    let answer = form(person, name, bytes).send().await?.error_for_status()?;
    text(&answer.json().await?, "/id")
}

/// A conversation in which a file was sent, with a model that calls a tool.
async fn conversation(person: &Person, tool: &str, file: &str) -> Result<String> {
    let conversation = person.converse(&format!("scripted-tool={tool}-delay=0-ttft=0")).await?;
    let body = json!({"content": "Look.", "files": [file]});
    let sent = person.post(&format!("/api/conversations/{conversation}/messages"), &body).await?;
    let sent: Value = sent.error_for_status()?.json().await?;
    person.events(&text(&sent, "/run/id")?).await?.all().await?;
    Ok(conversation)
}

async fn result(person: &Person, conversation: &str, arguments: Value) -> Result<String> {
    let turn = person.send(conversation, &arguments.to_string()).await?;
    let events = person.events(&turn.run).await?.all().await?;
    assert!(!events.iter().any(|event| event.is_state("waiting_approval")), "what only reads asks nobody");
    let result = events.iter().find(|event| event.kind() == "tool_result").context("no result")?;
    Ok(result.content().to_owned())
}

#[tokio::test]
async fn what_a_message_does_not_show_of_a_document_is_found_and_read() -> Result<()> {
    let person = Person::new().await?;
    let paragraphs = |number| format!("Paragraph {number} says that ships come in at high tide.\\par\n");
    let body: String = (0..PARAGRAPHS).map(paragraphs).collect();
    let letter = format!("{{\\rtf1\\ansi {body}The master of the harbour is Quintus.\\par}}");
    let file = uploaded(&person, "letter.rtf", letter.as_bytes()).await?;

    let search = conversation(&person, "files_search_files", &file).await?;
    let found = result(&person, &search, json!({"query": "Who is the harbour's master?"})).await?;
    assert!(found.starts_with("1. \"letter.rtf\", characters ") && found.contains("is Quintus."), "{found}");
    let from = found.split(' ').skip_while(|word| *word != "characters").nth(1).context("a place")?;

    let read = conversation(&person, "files_read_file", &file).await?;
    let stretch = result(&person, &read, json!({"file": "letter.rtf", "from": from.parse::<u64>()?})).await?;
    assert!(stretch.starts_with(&format!("\"letter.rtf\", characters {from} to ")), "{stretch}");
    assert!(stretch.ends_with("The master of the harbour is Quintus."), "{stretch}");
    let other = uploaded(&person, "other.txt", b"elsewhere").await?;
    conversation(&person, "files_read_file", &other).await?;
    let refused = result(&person, &read, json!({"file": "other.txt"})).await?;
    assert_eq!(refused, "There is no such file here. These are attached in this conversation: \"letter.rtf\".");
    Ok(())
}

#[tokio::test]
async fn the_tools_of_files_are_offered_where_a_file_is_attached() -> Result<()> {
    let Some(journal) = journal()? else { tests::skip!("the journal of the model is not known") };
    let person = Person::new().await?;
    let file = uploaded(&person, "notes.txt", b"buy milk").await?;
    for files in [vec![], vec![file]] {
        let test = unique("files");
        let conversation = person.converse(&format!("scripted-echo=1-delay=0-ttft=0-test={test}")).await?;
        let body = json!({"content": "Look.", "files": files});
        let sent = person.post(&format!("/api/conversations/{conversation}/messages"), &body).await?;
        let sent: Value = sent.error_for_status()?.json().await?;
        person.events(&text(&sent, "/run/id")?).await?.all().await?;
        let asked = journal.ended(&test, 1).await?.pop().context("not asked")?;
        let tools = array(&asked.request, "/tools")?;
        let names: Vec<_> = tools.iter().filter_map(|tool| tool["function"]["name"].as_str()).collect();
        let offered = ["files_read_file", "files_search_files"].map(|name| names.contains(&name));
        assert_eq!(offered, [!files.is_empty(); 2], "{names:?}");
    }
    Ok(())
}
