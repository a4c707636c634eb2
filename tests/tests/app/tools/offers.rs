//! The tools that the model is offered when they change.

use anyhow::{Context as _, Result};
use tests::{App, Model, Person, array, start_model};

/// The tools that the model was offered with the last message of a test.
async fn offered(model: &Model, person: &mut Person, test: &str) -> Result<Vec<String>> {
    person.hear(&format!("scripted-delay=0-ttft=0-test={test}"), "Hello").await?;
    let asked = model.journal().read(test).await?.pop().context("not asked")?;
    let tools = array(&asked.request, "/tools")?;
    Ok(tools.iter().filter_map(|tool| tool["function"]["name"].as_str()).map(str::to_owned).collect())
}

#[tokio::test]
async fn what_the_operator_denies_is_offered_no_more_from_the_next_start_on() -> Result<()> {
    let model = start_model()?;
    let Some((mut host, app)) = App::own(model.options())? else { tests::skip!("needs a host of its own") };
    let mut person = Person::in_app(&app).await?;
    let before = offered(&model, &mut person, "before").await?;
    host.set_variable("tool_policies", "deny clock:*");
    host.restart()?;
    person.app = App::of(&host);
    let after = offered(&model, &mut person, "after").await?;
    let is_of_clock = |name: &String| name.starts_with("clock_");
    assert!(before.iter().any(is_of_clock), "{before:?}");
    assert!(!after.iter().any(is_of_clock) && !after.is_empty(), "{after:?}");
    Ok(())
}
