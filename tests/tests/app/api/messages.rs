//! `/api/conversations/{id}/messages`.

use anyhow::Result;
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Person, array, problem, text};

const QUICK: &str = "scripted-chunks=2-delay=0-ttft=0";
const MEBIBYTE: usize = 1024 * 1024;

#[tokio::test]
async fn a_message_is_stored_and_a_run_is_queued_for_it() -> Result<()> {
    let person = Person::new().await?;
    let conversation = person.converse(QUICK).await?;
    let path = format!("/api/conversations/{conversation}/messages");
    let response = person.post(&path, &json!({"content": "Hello"})).await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    let body: Value = response.json().await?;
    let (message, run) = (&body["message"], &body["run"]);
    let run_id = text(run, "/id")?;
    assert_eq!((&message["role"], &message["content"]), (&json!("user"), &json!("Hello")));
    assert_eq!((&message["conversation_id"], &message["run_id"]), (&json!(conversation), &json!(run_id)));
    assert_eq!((&run["conversation_id"], &run["message_id"]), (&json!(conversation), &message["id"]));
    assert_eq!((&run["state"], &run["model"]), (&json!("queued"), &json!(QUICK)));
    assert_eq!(run["events_url"], format!("/api/runs/{run_id}/events"));
    assert_eq!((&run["error"], &run["usage"]), (&Value::Null, &Value::Null));
    assert_eq!(person.run(&run_id).await?, *run);
    assert_eq!(person.messages(&conversation).await?, std::slice::from_ref(message));
    assert_eq!(person.get(&format!("/api/conversations/{conversation}")).await?["active_run_id"], run_id);
    Ok(())
}

#[tokio::test]
async fn a_message_of_one_mebibyte_comes_back_as_it_was_and_a_longer_one_is_refused() -> Result<()> {
    let person = Person::new().await?;
    let conversation = person.converse(QUICK).await?;
    let content: String = "Zeile é漢🦀\n\"\\\t "
        .chars()
        .cycle()
        .scan(0, |bytes, character| {
            *bytes += character.len_utf8();
            (*bytes <= MEBIBYTE).then_some(character)
        })
        .collect();
    let content = format!("{content}{}", "x".repeat(MEBIBYTE - content.len()));
    assert_eq!(content.len(), MEBIBYTE);

    let path = format!("/api/conversations/{conversation}/messages");
    problem(person.post(&path, &json!({"content": format!("{content}x")})).await?, 413, "too_large").await?;
    person.send(&conversation, &content).await?;
    let messages = person.messages(&conversation).await?;
    assert!(messages.len() == 1 && messages.iter().all(|message| message["content"] == content));
    Ok(())
}

#[tokio::test]
async fn every_character_but_nul_comes_back_as_it_was() -> Result<()> {
    let person = Person::new().await?;
    let content = "a\0b \u{1}\u{7f}\u{fffd}\u{202e}\u{10ffff} \r\n'; DROP TABLE runs; -- {{ x }} <script>";
    let kept = content.replace('\0', "\u{fffd}");
    let (turn, events) = person.hear("scripted-echo=1-delay=0-ttft=0", content).await?;
    assert_eq!(
        person.messages(&turn.conversation).await?.first().map(|message| message["content"].clone()),
        Some(json!(kept))
    );
    assert_eq!(tests::said(&events), kept);
    assert_eq!(person.answer(&turn).await?, kept);
    Ok(())
}

#[tokio::test]
async fn nothing_and_white_space_are_no_message() -> Result<()> {
    let person = Person::new().await?;
    let path = format!("/api/conversations/{}/messages", person.converse(QUICK).await?);
    for content in ["", " \n\t"] {
        let told = problem(person.post(&path, &json!({"content": content})).await?, 422, "invalid_field").await?;
        assert_eq!(told["field"], "content");
    }
    Ok(())
}

#[tokio::test]
async fn the_same_idempotency_key_stores_one_message_however_often_and_at_once_it_comes() -> Result<()> {
    let person = Person::new().await?;
    let conversation = person.converse(QUICK).await?;
    let path = format!("/api/conversations/{conversation}/messages");
    let send = async || -> Result<(StatusCode, Value)> {
        let request = person.request(Method::POST, &path).header("idempotency-key", "k-1");
        let response = request.json(&json!({"content": "Once"})).send().await?;
        Ok((response.status(), response.json().await?))
    };
    let answers = try_join_all((0..6).map(|_| send())).await?;
    let created = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    assert_eq!((created, answers.len()), (1, 6));
    assert!(answers.iter().all(|(status, _)| matches!(*status, StatusCode::CREATED | StatusCode::OK)), "{answers:?}");
    let ids: Vec<_> = answers.iter().map(|(_, body)| (&body["message"]["id"], &body["run"]["id"])).collect();
    assert!(ids.iter().all(|pair| Some(pair) == ids.first()), "{ids:?}");
    assert_eq!(person.messages(&conversation).await?.len(), 1);

    // The key also counts after the run has ended, when a message without the key would be accepted.
    let run = text(&answers.first().map(|(_, body)| body.clone()).unwrap_or_default(), "/run/id")?;
    person.events(&run).await?.all().await?;
    let (status, body) = send().await?;
    assert_eq!((status, &body["run"]["state"]), (StatusCode::OK, &json!("complete")));
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_is_up_to_64_visible_characters() -> Result<()> {
    let person = Person::new().await?;
    let path = format!("/api/conversations/{}/messages", person.converse(QUICK).await?);
    for key in ["x".repeat(65), "a b".to_owned(), "é".to_owned(), String::new()] {
        let request = person.request(Method::POST, &path).header("idempotency-key", key.as_bytes());
        let told = problem(request.json(&json!({"content": "x"})).send().await?, 422, "invalid_field").await?;
        assert_eq!(told["field"], "Idempotency-Key", "{key:?}");
    }
    let request = person.request(Method::POST, &path).header("idempotency-key", "x".repeat(64));
    assert_eq!(request.json(&json!({"content": "x"})).send().await?.status(), StatusCode::CREATED);
    Ok(())
}

#[tokio::test]
async fn a_second_message_has_to_wait_for_the_answer_to_the_first() -> Result<()> {
    let person = Person::new().await?;
    let turn = person.ask(QUICK, "First").await?;
    let path = format!("/api/conversations/{}/messages", turn.conversation);
    problem(person.post(&path, &json!({"content": "Second"})).await?, 409, "run_active").await?;
    person.events(&turn.run).await?.all().await?;
    assert_eq!(person.post(&path, &json!({"content": "Second"})).await?.status(), StatusCode::CREATED);
    Ok(())
}

#[tokio::test]
async fn of_many_messages_sent_at_once_one_is_taken() -> Result<()> {
    let person = Person::new().await?;
    let conversation = person.converse(QUICK).await?;
    let path = format!("/api/conversations/{conversation}/messages");
    let body = json!({"content": "Me first"});
    let answers = try_join_all((0..8).map(|_| person.post(&path, &body))).await?;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(person.messages(&conversation).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn messages_come_page_by_page_the_oldest_first() -> Result<()> {
    let person = Person::new().await?;
    let conversation = person.converse("scripted-echo=1-delay=0-ttft=0").await?;
    for number in 0..4 {
        let turn = person.send(&conversation, &format!("number {number}")).await?;
        person.events(&turn.run).await?.all().await?;
    }
    let mut listed = Vec::new();
    let base = format!("/api/conversations/{conversation}/messages?limit=3");
    let mut path = base.clone();
    loop {
        let page = person.get(&path).await?;
        listed.extend(array(&page, "/items")?);
        assert!(listed.len() <= 8, "the pages do not end");
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("{base}&cursor={cursor}"),
            None => break,
        }
    }
    let contents: Vec<_> = listed.iter().map(|message| message["content"].as_str().unwrap_or_default()).collect();
    assert_eq!(
        contents,
        ["number 0", "number 0", "number 1", "number 1", "number 2", "number 2", "number 3", "number 3"]
    );
    assert!(
        listed
            .iter()
            .skip(1)
            .step_by(2)
            .all(|answer| answer["role"] == "assistant" && answer["finish_reason"] == "stop")
    );
    assert_eq!(person.messages(&conversation).await?, listed);
    Ok(())
}

#[tokio::test]
async fn the_model_gets_the_whole_conversation_in_order() -> Result<()> {
    let Some(journal) = tests::journal()? else { tests::skip!("the model's journal is not known") };
    let (person, key) = (Person::new().await?, tests::unique("context"));
    let conversation = person.converse(&format!("scripted-echo=1-delay=0-ttft=0-test={key}")).await?;
    for content in ["one", "two"] {
        let turn = person.send(&conversation, content).await?;
        person.events(&turn.run).await?.all().await?;
    }
    let asked = journal.ended(&key, 2).await?;
    let request = asked.last().map(|asked| asked.request.clone()).unwrap_or_default();
    let messages = array(&request, "/messages")?;
    let told: Vec<_> = messages
        .iter()
        .filter(|message| message["role"] != "system" && message["role"] != "developer")
        .map(|message| (message["role"].as_str().unwrap_or_default(), message["content"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told, [("user", "one"), ("assistant", "one"), ("user", "two")]);
    assert_eq!(request["stream"], true);
    Ok(())
}
