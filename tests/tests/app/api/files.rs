//! `/api/files`: what is uploaded comes back, goes to models, and goes with its conversation.

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Person, journal, text, unique, until};

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
