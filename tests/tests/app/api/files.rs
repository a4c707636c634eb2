//! `/api/files`: what is uploaded comes back, goes to models, and goes with its conversation.

use std::fs;

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Person, journal, repository, start_model, text, unique, until};

use crate::planted::form;

#[tokio::test]
async fn a_file_is_uploaded_in_a_form_or_in_parts_and_comes_back_as_it_was() -> Result<()> {
    let person = Person::new().await?;
    // Several pieces.
    let bytes: Vec<u8> = (0..700_000_u32).map(|number| u8::try_from(number % 251).unwrap_or_default()).collect();
    let uploaded: Value = form(&person, "data.bin", &bytes).send().await?.error_for_status()?.json().await?;
    assert_eq!(
        (&uploaded["name"], &uploaded["size"], &uploaded["state"]),
        (&json!("data.bin"), &json!(700_000), &json!("ready"))
    );
    let path = format!("/api/files/{}", text(&uploaded, "/id")?);
    let content = person.request(Method::GET, &format!("{path}/content")).send().await?.error_for_status()?;
    assert!(content.bytes().await? == bytes);

    let begun =
        person.request(Method::POST, "/api/files").header("tus-resumable", "1.0.0").header("upload-length", "700000");
    let begun = begun.send().await?.error_for_status()?;
    let path = begun.headers().get("location").context("no address")?.to_str()?.to_owned();
    for (from, to) in [(0, 300_000), (300_000, 700_000)] {
        let part = person.request(Method::PATCH, &path).header("tus-resumable", "1.0.0");
        let part = part.header("upload-offset", from).header("content-type", "application/offset+octet-stream");
        let stored = part.body(bytes.get(from..to).context("a part")?.to_vec()).send().await?.error_for_status()?;
        assert_eq!(stored.headers().get("upload-offset").context("no offset")?.to_str()?, to.to_string());
        let told = person.request(Method::HEAD, &path).header("tus-resumable", "1.0.0").send().await?;
        assert_eq!(told.headers().get("upload-offset").context("no offset")?.to_str()?, to.to_string());
    }
    let content = person.request(Method::GET, &format!("{path}/content")).send().await?.error_for_status()?;
    assert!(content.bytes().await? == bytes);
    Ok(())
}

#[tokio::test]
async fn a_model_gets_what_is_attached_and_a_copy_of_everything_has_it() -> Result<()> {
    let person = Person::new().await?;
    let test = unique("files");
    let picture: Value =
        form(&person, "cat.png", b"\x89PNG\r\n\x1a\nrest").send().await?.error_for_status()?.json().await?;
    let notes: Value = form(&person, "notes.txt", b"buy milk").send().await?.error_for_status()?.json().await?;
    let conversation = person.converse(&format!("scripted-echo=1-delay=0-ttft=0-test={test}")).await?;
    let body = json!({"content": "What is this?", "files": [picture["id"], notes["id"]]});
    let sent = person.post(&format!("/api/conversations/{conversation}/messages"), &body).await?;
    assert_eq!(sent.status(), StatusCode::CREATED);
    let sent: Value = sent.json().await?;
    assert_eq!(
        (&sent["message"]["files"][0]["type"], &sent["message"]["files"][1]["name"]),
        (&json!("image/png"), &json!("notes.txt"))
    );
    person.events(&text(&sent, "/run/id")?).await?.all().await?;
    let Some(journal) = journal()? else { tests::skip!("needs the model's journal") };
    let asked = journal.ended(&test, 1).await?;
    let asked = asked.first().context("nobody was asked")?.request.to_string();
    assert!(asked.contains("buy milk"), "{asked}");
    assert!(asked.contains("\"url\":\"data:image/png;base64,iVBORw0KGgpyZXN0\""), "{asked}");

    let copy = person.request(Method::GET, "/api/account/export").send().await?.error_for_status()?.bytes().await?;
    let names = String::from_utf8_lossy(&copy);
    assert!(names.contains(&format!("files/{} notes.txt", text(&notes, "/id")?)), "the copy has no such file");

    // What only this conversation had goes with it.
    let path = format!("/api/files/{}", text(&notes, "/id")?);
    assert!(person.get(&path).await?["expires_at"].is_null());
    person.request(Method::DELETE, &format!("/api/conversations/{conversation}")).send().await?.error_for_status()?;
    until("the end of the file", async || {
        Ok((person.request(Method::GET, &path).send().await?.status() == StatusCode::NOT_FOUND).then_some(()))
    })
    .await
}

fn corpus(name: &str) -> Result<Vec<u8>> {
    Ok(fs::read(repository().join("crates/extraction/tests/corpus").join(name))?)
}

async fn uploaded(person: &Person, name: &str) -> Result<String> {
    let answer = form(person, name, &corpus(name)?).send().await?.error_for_status()?;
    text(&answer.json().await?, "/id")
}

/// Sends a message with files, and returns the words for the person and what the model was asked.
async fn asked_with(person: &Person, test: &str, files: &[String]) -> Result<(String, String)> {
    let conversation = person.converse(&format!("scripted-echo=1-delay=0-ttft=0-test={test}")).await?;
    let body = json!({"content": "What is in it?", "files": files});
    let sent = person.post(&format!("/api/conversations/{conversation}/messages"), &body).await?;
    let sent: Value = sent.error_for_status()?.json().await?;
    let events = person.events(&text(&sent, "/run/id")?).await?.all().await?;
    let told = events.iter().filter(|event| event.is_state("shortened"));
    let told: Vec<_> = told.map(|event| event.metadata("message").to_string()).collect();
    let asked = match journal()? {
        Some(journal) => journal.ended(test, 1).await?.first().context("nobody was asked")?.request.to_string(),
        None => String::new(),
    };
    Ok((told.join("\n"), asked))
}

#[tokio::test]
async fn a_document_goes_to_the_model_as_text_and_of_one_that_cannot_be_read_both_are_told_why() -> Result<()> {
    let person = Person::new().await?;
    let test = unique("documents");
    // Nobody waits between: whoever asks waits until it is read.
    let files = [uploaded(&person, "headings.pdf").await?, uploaded(&person, "password.pdf").await?];
    let scanned = uploaded(&person, "scanned.pdf").await?;
    let (told, asked) = asked_with(&person, &test, &[files.as_slice(), &[scanned]].concat()).await?;
    assert!(told.contains("password.pdf: The file is protected by a password."), "{told}");
    assert!(told.contains("scanned.pdf: Pages of it are pictures") && !told.contains("headings.pdf"), "{told}");
    if journal()?.is_some() {
        assert!(asked.contains("# Causes\\n\\nThe tide rises and falls twice a day"), "{asked}");
        assert!(asked.contains("[Page 1]") && asked.contains("A page with text."), "{asked}");
        assert!(asked.contains("(It cannot be read. The file is protected by a password."), "{asked}");
    }
    let [read, refused] = [&files[0], &files[1]].map(|id| format!("/api/files/{id}"));
    assert_eq!(person.get(&read).await?["reading"]["parts"], 1);
    assert_eq!(person.get(&refused).await?["reading"]["code"], "file_encrypted");
    Ok(())
}

#[tokio::test]
async fn a_document_whose_reader_was_killed_is_read_by_the_next() -> Result<()> {
    let Some((mut host, app)) = App::own(start_model()?.options())? else { tests::skip!("needs a host to kill") };
    let mut person = Person::in_app(&app).await?;
    let id = uploaded(&person, "headings.pdf").await?;
    host.kill()?;
    // As somebody leaves it who is killed while reading, some time ago.
    let killed = "UPDATE file_readings SET state = 'reading', lease = 'killed', until = 1, bytes = 0";
    host.in_database(killed).await?;
    host.restart()?;
    person.app = App::of(&host);
    until("the text", async || {
        // Somebody watches the installation, by which waiting work is found.
        person.app.request(Method::GET, "/ready").send().await?;
        let file = person.get(&format!("/api/files/{id}")).await?;
        Ok((file["reading"]["state"] == "read" && file["reading"]["bytes"] != 0).then_some(()))
    })
    .await
}
