//! The operations of an API are tools like others: listed, asked about, with their secrets in the settings.

use anyhow::{Context as _, Result};
use serde_json::json;
use tests::{App, Event, Person, array, start_model};

#[tokio::test]
async fn operations_of_a_document_are_tools_and_its_keys_are_secrets() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs documents of its own")
    };
    let person = Person::in_app(&app).await?;
    let tools = array(&person.get("/api/tools").await?, "/items")?;
    let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).with_context(|| format!("no {name}"));
    let (list, add) = (tool("board_list_pins")?, tool("board_add_pin")?);
    assert_eq!((&list["server"], &list["policy"], &add["policy"]), (&json!("http"), &json!("allow"), &json!("ask")));
    assert_eq!(add["input_schema"]["properties"]["body"]["required"], json!(["text"]));

    let told = async |arguments: &str| -> Result<String> {
        let (_, events) = person.hear("scripted-tool=http_board_list_pins-delay=0-ttft=0", arguments).await?;
        let result = events.iter().find(|event: &&Event| event.kind() == "tool_result").context("no result")?;
        assert_eq!(result.metadata("is_error"), &json!(true));
        Ok(result.content().to_owned())
    };
    assert!(told("{\"colour\":\"blue\"}").await?.contains("must be one of"));
    let missing = told("{\"colour\":\"red\"}").await?;
    assert!(missing.contains("Enter \"Board: key\" under Tools in the settings first."), "{missing}");
    Ok(())
}
