//! No address that a person enters or a model names leads to the app's own components, even where an operator allows all of the Internet.

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{App, Person, start_model};

/// A component that answers everybody, and one that only components reach.
const INSIDE: [&str; 3] = [
    "https://ops.spin.internal/ready",
    "https://OPS.spin%2Einternal.:443/ready",
    "https://mcp-clock.spin.internal/mcp",
];

#[tokio::test]
async fn no_address_of_a_person_or_a_model_leads_to_the_apps_own_components() -> Result<()> {
    let options =
        start_model()?.options().variable("mail_host", "https://*:443").variable("calendar_host", "https://*:443");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs settings of its own") };
    let person = Person::in_app(&app).await?;
    let told = async |tool: &str, arguments: &str| -> Result<String> {
        let (_, events) = person.hear(&format!("scripted-tool={tool}-delay=0-ttft=0"), arguments).await?;
        let result = events.iter().find(|event| event.kind() == "tool_result").context("no result")?;
        assert_eq!(result.metadata("is_error"), &json!(true), "{tool}: {}", result.content());
        Ok(result.content().to_owned())
    };
    for address in INSIDE {
        for server in ["mail", "calendar"] {
            for (name, value) in [("url", address), ("username", "ada"), ("password", "correct horse")] {
                let body = json!({ "server": server, "name": name, "value": value });
                let put = person.request(Method::PUT, "/api/tools/secrets").json(&body).send().await?;
                assert_eq!(put.status(), StatusCode::OK, "{server} {name}");
            }
        }
        for tool in ["mail_list_mailboxes", "calendar_list_calendars"] {
            let words = told(tool, "{}").await?;
            assert!(words.contains("part of this installation"), "{tool} at {address}: {words}");
        }
        let words = told("web_fetch", &json!({ "url": address }).to_string()).await?;
        assert!(words.contains("only public pages"), "{address}: {words}");
    }
    Ok(())
}
