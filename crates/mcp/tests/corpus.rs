//! Responses of servers and the right outcome: one file for each case in `corpus/`. A new report becomes one more file.
//!
//! `answers` are listed by method: the n-th request of a method gets the n-th answer, and the last one is repeated. In an answer, `result` or `error`
//! become a message that answers the request. `text` is sent as it is, with the request's id in place of `$id`. `open` leaves the connection open
//! afterwards. `silent` never answers. `status`, `type` and `headers` belong to HTTP. `do` is `list` or `call`. `sent` are the methods of the
//! expected requests. With `schemas`, the outcome of a list also has the schemas of its tools.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{cell::RefCell, collections::HashMap, fs, path::Path, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, executor::LocalPool, stream, task::LocalSpawnExt};
use http::{Request, Response};
use mcp::{
    BodyStream, CallResult, Client, ClientError, ClientOptions, Implementation, Listing, Map, Tool, Transport,
    TransportError,
};
use serde_json::{Value, json, value::to_raw_value};

struct Scripted {
    case: Value,
    /// How often each method was requested.
    asked: RefCell<HashMap<String, usize>>,
    sent: RefCell<Vec<String>>,
}

impl Transport for Scripted {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let message: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or(request.method().as_str()).to_owned();
        self.sent.borrow_mut().push(if request.uri().path() == "/mcp" {
            method.clone()
        } else {
            format!("{method} {}", request.uri())
        });
        let answers = &self.case["answers"][&method];
        let nth = *self.asked.borrow_mut().entry(method.clone()).and_modify(|nth| *nth += 1).or_insert(0);
        let answer = match answers.as_array() {
            Some(answers) => answers[nth.min(answers.len() - 1)].clone(),
            // A notification, or the end of a session.
            None if message["id"].is_null() => json!({"status": 202, "text": ""}),
            None => json!({"status": 404, "text": "", "type": "text/plain"}),
        };
        if let Some(cause) = answer["breaks"].as_str() {
            return Err(TransportError::Connection(cause.to_owned()));
        }
        if answer["silent"] == true {
            return futures::future::pending().await;
        }
        Ok(response(&answer, &message["id"]))
    }

    async fn sleep(&self, _: Duration) {
        // The time is over once no other future has anything to do.
        for _ in 0..10 {
            let mut yielded = false;
            futures::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut yielded, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
    }
}

fn response(answer: &Value, id: &Value) -> Response<BodyStream> {
    let text = match answer {
        Value::Object(fields) if fields.contains_key("result") => {
            json!({"jsonrpc": "2.0", "id": id, "result": answer["result"]}).to_string()
        }
        Value::Object(fields) if fields.contains_key("error") => {
            json!({"jsonrpc": "2.0", "id": id, "error": answer["error"]}).to_string()
        }
        _ => answer["text"].as_str().unwrap_or_default().replace("$id", &id.to_string()),
    };
    // Split anywhere, as a network does.
    let chunks: Vec<_> = text.as_bytes().chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body: BodyStream = match answer["open"] == true {
        true => Box::pin(stream::iter(chunks).chain(stream::pending())),
        false => Box::pin(stream::iter(chunks)),
    };
    let status = u16::try_from(answer["status"].as_u64().unwrap_or(200)).unwrap();
    let mut response = Response::builder().status(status);
    if answer["type"] != Value::Null || !answer["type"].is_null() || answer.get("type").is_none() {
        response = response.header("content-type", answer["type"].as_str().unwrap_or("application/json"));
    }
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().unwrap());
    }
    response.body(body).unwrap()
}

/// The outcome, in the form of the files.
fn outcome(done: Result<Done, ClientError>, with_schemas: bool) -> Value {
    match done {
        Err(error) => json!({"error": error.to_string()}),
        Ok(Done::Listed(listing)) => {
            let Listing { tools, refused, cut, .. } = *listing;
            let mut outcome = json!({"tools": tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>()});
            if with_schemas {
                outcome["schemas"] = json!(tools.iter().map(|tool| tool.input_schema.as_ref()).collect::<Vec<_>>());
            }
            if !refused.is_empty() {
                let refused = refused.into_iter().map(|refused| (refused.name, refused.reason.into()));
                outcome["refused"] = Value::Object(refused.collect());
            }
            if let Some(cut) = cut {
                outcome["cut"] = cut.to_string().into();
            }
            outcome
        }
        Ok(Done::Called(CallResult { content, structured, is_error, .. })) => {
            let content: Vec<_> = content.into_iter().map(mcp::Content::known).collect();
            let mut outcome = json!({"content": content, "is_error": is_error});
            if let Some(structured) = structured {
                outcome["structured"] = structured;
            }
            outcome
        }
    }
}

enum Done {
    Listed(Box<Listing>),
    Called(CallResult),
}

async fn run(client: &Client<&Scripted>, case: &Value) -> Value {
    let times = case["times"].as_u64().unwrap_or(1);
    let mut last = Value::Null;
    for _ in 0..times {
        let done = match case["do"].as_str() {
            Some("call") => {
                let tool: Tool = serde_json::from_value(json!({"name": "it", "inputSchema": {}})).unwrap();
                let arguments = to_raw_value(&json!({})).unwrap();
                client.call_tool(&tool, &arguments, Map::new(), None).await.map(Done::Called)
            }
            _ => client.list_tools().await.map(|listing| Done::Listed(Box::new(listing))),
        };
        last = outcome(done, case["schemas"] == true);
    }
    if case["close"] == true {
        client.close().await;
    }
    last
}

#[test]
fn what_servers_send_comes_to_what_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 40);
    let mut wrong = Vec::new();
    for file in files {
        let case: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let server = Scripted { case: case.clone(), asked: RefCell::default(), sent: RefCell::default() };
        let software = Implementation { name: "test".to_owned(), title: None, version: "1".to_owned() };
        let options = ClientOptions::new(software, 100_000);
        let url = case["url"].as_str().unwrap_or("http://localhost/mcp").parse().unwrap();
        let client = Client::new(&server, url, options);
        let found = RefCell::new(None);
        let mut pool = LocalPool::new();
        // A case that hangs is abandoned without an outcome.
        let work = async { *found.borrow_mut() = Some(run(&client, &case).await) };
        futures::pin_mut!(work);
        let _ = pool.spawner().spawn_local(async {});
        for _ in 0..1_000 {
            if pool.run_until(futures::future::poll_immediate(&mut work)).is_some() {
                break;
            }
        }
        let found = found.borrow_mut().take().unwrap_or_else(|| json!("hangs"));
        if found != case["outcome"] {
            wrong.push(format!("{name}: {} and not {found}", case["outcome"]));
        }
        let sent = json!(*server.sent.borrow());
        if case.get("sent").is_some_and(|expected| *expected != sent) {
            wrong.push(format!("{name}: sent {sent} and not {}", case["sent"]));
        }
    }
    assert!(wrong.is_empty(), "{} of them are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
