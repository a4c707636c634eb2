//! `/api/search`.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Person, array, text, until};

#[tokio::test]
async fn what_was_said_is_found_by_its_person_alone_until_it_is_deleted() -> Result<()> {
    let (ada, eve) = (Person::new().await?, Person::new().await?);
    let conversation = ada.converse("scripted").await?;
    let turn = ada.send(&conversation, "Where are the cabins near the Zugspitze?").await?;
    let path = "/api/search?q=zugspitze%20cabin%20in:messages%20from:me";
    // Whoever has asked too often asks again.
    let search = async || -> Result<Option<Vec<Value>>> {
        let answer = ada.request(Method::GET, path).send().await?;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return Ok(None);
        }
        let results: Value = answer.error_for_status()?.json().await?;
        Ok(results["items"].as_array().cloned())
    };
    // A busy machine takes longer than a search waits for what was just said.
    let found = until("it is indexed", async || Ok(search().await?.and_then(|items| items.first().cloned()))).await?;
    assert_eq!((&found["id"], &found["run_id"]), (&json!(turn.message), &json!(turn.run)));
    assert_eq!(text(&found, "/conversation_id")?, conversation);
    let marked: Vec<_> = array(&found, "/snippet")?
        .into_iter()
        .filter(|piece| piece["match"] == true)
        .map(|piece| piece["text"].clone())
        .collect();
    assert_eq!(marked, [json!("cabins"), json!("Zugspitze")]);
    assert_eq!(eve.get(path).await?["items"], json!([]));
    ada.request(Method::DELETE, &format!("/api/conversations/{conversation}")).send().await?.error_for_status()?;
    let left = until("it is looked for once more", search).await?;
    assert_eq!(left, Vec::<Value>::new());
    Ok(())
}
