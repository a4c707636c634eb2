//! A plain HTTP client for the tests: one connection for each request, so that a cut connection affects only one.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// A separate server on a free port; it ends with the test's runtime.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(scripted_model::serve(listener));
    address
}

pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> hyper::Result<Response<Incoming>> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "model");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = Full::new(Bytes::from(body.to_string()));
    sender.send_request(request.body(body).unwrap()).await
}

/// Sends a request and does not read the response body yet.
pub(crate) async fn ask(address: SocketAddr, body: &Value) -> hyper::Result<Response<Incoming>> {
    send(address, "POST", "/v1/chat/completions", Some("any"), body).await
}

/// The status and the body as JSON.
pub(crate) async fn ask_whole(address: SocketAddr, body: &Value) -> (StatusCode, Value) {
    json_of(ask(address, body).await.unwrap()).await
}

pub(crate) async fn json_of(response: Response<Incoming>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// A streamed answer, read to its end.
pub(crate) struct Stream {
    pub(crate) text: String,
    /// The chunks, without `[DONE]`.
    pub(crate) chunks: Vec<Value>,
    pub(crate) done: bool,
    /// The connection was cut before the body's end.
    pub(crate) cut: bool,
}

pub(crate) async fn ask_stream(address: SocketAddr, body: &Value) -> Stream {
    let response = ask(address, body).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let mut cut = false;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(_) => cut = true,
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let chunks = data.iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
    let done = data.last() == Some(&"[DONE]");
    Stream { chunks, done, cut, text }
}

impl Stream {
    /// All pieces of one delta field, joined.
    pub(crate) fn joined(&self, field: &str) -> String {
        self.pieces(field).concat()
    }

    /// The pieces of one delta field, without the empty one that begins an answer.
    pub(crate) fn pieces(&self, field: &str) -> Vec<&str> {
        self.chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str())
            .filter(|piece| !piece.is_empty())
            .collect()
    }

    pub(crate) fn finish_reason(&self) -> Option<&str> {
        self.chunks.iter().find_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
    }

    /// The calls joined from their fragments: id, name, arguments.
    pub(crate) fn calls(&self) -> Vec<(String, String, String)> {
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for chunk in &self.chunks {
            for part in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
                if index == calls.len() {
                    assert_eq!(part["type"], "function");
                    calls.push((
                        part["id"].as_str().unwrap().to_owned(),
                        part["function"]["name"].as_str().unwrap().to_owned(),
                        String::new(),
                    ));
                }
                calls[index].2.push_str(part["function"]["arguments"].as_str().unwrap());
            }
        }
        calls
    }
}

/// One user message to a model without pauses; `knobs` such as `-chunks=5`.
pub(crate) fn request(knobs: &str, text: &str) -> Value {
    json!({
        "model": format!("scripted-delay=0-ttft=0{knobs}"),
        "messages": [{"role": "user", "content": text}],
        "stream": true,
    })
}

/// The same with tools of these names.
pub(crate) fn request_with_tools(knobs: &str, text: &str, names: &[&str]) -> Value {
    let mut request = request(knobs, text);
    request["tools"] = names
        .iter()
        .map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}))
        .collect();
    request
}

/// Adds an assistant's calls and their results to a request.
pub(crate) fn with_results(mut request: Value, calls: &[(String, String, String)], result: &str) -> Value {
    let made: Vec<Value> = calls
        .iter()
        .map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": null, "tool_calls": made}));
    for (id, _, _) in calls {
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
    }
    request
}
