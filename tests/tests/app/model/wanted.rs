//! What a person wants of an answer reaches the model's server, in the words of either API: instructions, temperature, effort, the longest answer, the tools,
//! and the form.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Options, Person, said, text};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The requests that a server got, with their paths.
type Recorded = Arc<Mutex<Vec<(String, Value)>>>;

const ANSWER: &str = r#"{"city":"Paris"}"#;

/// Starts a model's server with both APIs that always gives the same answer. Returns its address without `/v1`.
async fn recording(recorded: Recorded) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let recorded = Arc::clone(&recorded);
            tokio::spawn(async move { answer(stream, &recorded).await });
        }
    });
    Ok(url)
}

async fn answer(mut stream: TcpStream, recorded: &Recorded) -> Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 16_384]);
    let (path, body) = loop {
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "the request is not whole");
        request.extend_from_slice(&buffer[..read]);
        let whole = String::from_utf8_lossy(&request);
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
        let length: usize = length.context("no length")?.trim().parse()?;
        if body.len() >= length {
            let path = head.split(' ').nth(1).context("no path")?.to_owned();
            break (path, serde_json::from_str(body)?);
        }
    };
    let events = if path.ends_with("/responses") {
        let usage = json!({"input_tokens": 3, "output_tokens": 4});
        let delta = json!({"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": ANSWER});
        let completed = json!({"type": "response.completed", "response": {"status": "completed", "usage": usage}});
        format!("event: response.output_text.delta\ndata: {delta}\n\nevent: response.completed\ndata: {completed}\n\n")
    } else {
        let choice = json!({"index": 0, "delta": {"content": ANSWER}, "finish_reason": "stop"});
        format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [choice]}))
    };
    recorded.lock().unwrap_or_else(PoisonError::into_inner).push((path, body));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{events}", events.len()).as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn made(person: &Person, path: &str, body: &Value) -> Result<Value> {
    let response = person.request(Method::POST, path).json(body).send().await?;
    let (status, told) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{path}: {status} {told}");
    Ok(serde_json::from_str(&told)?)
}

#[tokio::test]
async fn what_is_wanted_of_an_answer_reaches_the_models_server_by_either_api() -> Result<()> {
    let recorded = Recorded::default();
    let url = recording(Arc::clone(&recorded)).await?;
    let providers =
        json!([{"name": "newer", "base_url": format!("{url}/v1"), "dialect": "responses", "models": ["newer"]}]);
    let options =
        Options::asking(&url).variable("system_prompt", "Be kind.").variable("model_providers", &providers.to_string());
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    let settings = json!({"instructions": "Answer in French.", "temperature": 0.4, "max_output_tokens": 300,
        "reasoning_effort": "low", "tools": ["clock:*"]});
    let assistant = made(&person, "/api/assistants", &json!({"name": "French", "settings": settings})).await?;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": false}});
    for model in ["scripted", "newer"] {
        let begun = json!({"model": model, "assistant_id": assistant["id"]});
        let conversation = text(&made(&person, "/api/conversations", &begun).await?, "/id")?;
        let message = json!({"content": "Where?", "response_format": format});
        let sent = made(&person, &format!("/api/conversations/{conversation}/messages"), &message).await?;
        let run = text(&sent, "/run/id")?;
        let events = person.events(&run).await?.all().await?;
        assert_eq!(
            (said(&events).as_str(), &person.run(&run).await?["state"]),
            (ANSWER, &json!("complete")),
            "{events:?}"
        );
        let (path, request) =
            recorded.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().context("nobody was asked")?;
        assert_eq!(request["temperature"], 0.4, "{request}");
        let tools = request["tools"].as_array().context("no tools")?.iter();
        let names: Vec<&str> =
            tools.filter_map(|tool| tool.pointer("/function/name").or(tool.get("name"))?.as_str()).collect();
        assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("clock_")), "{names:?}");
        let instructions = if model == "newer" {
            assert_eq!((path.as_str(), &request["reasoning"]), ("/v1/responses", &json!({"effort": "low"})));
            assert_eq!((&request["max_output_tokens"], &request["text"]["format"]["schema"]), (&json!(300), &schema));
            request["instructions"].as_str()
        } else {
            assert_eq!((path.as_str(), &request["reasoning_effort"]), ("/v1/chat/completions", &json!("low")));
            assert_eq!((&request["max_tokens"], &request["response_format"]), (&json!(300), &format));
            request["messages"][0]["content"].as_str()
        };
        let instructions = instructions.context("no instructions")?;
        assert!(instructions.starts_with("Be kind.") && instructions.ends_with("Answer in French."), "{instructions}");
    }
    Ok(())
}
