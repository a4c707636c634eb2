//! The journal's data about a request, for tests.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::client::{ask, ask_stream, ask_whole, json_of, request, send, start};

async fn journal(server: SocketAddr, query: &str) -> Vec<Value> {
    let response = send(server, "GET", &format!("/_journal{query}"), None, &json!({})).await.unwrap();
    let (_, mut body) = json_of(response).await;
    serde_json::from_value(body["items"].take()).unwrap()
}

/// The only entry of a test, once its response has ended.
async fn ended(server: SocketAddr, query: &str) -> Value {
    let wait = async {
        loop {
            let line = journal(server, query).await.pop().unwrap();
            if !line["outcome"].is_null() {
                return line;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the answer did not end")
}

#[tokio::test]
async fn a_request_is_kept_with_its_end_and_without_its_key() {
    let server = start().await;
    ask_stream(server, &request("-chunks=5-test=kept", "Hello")).await;
    let line = ended(server, "?test=kept").await;
    assert_eq!(line["messages"], json!([{"role": "user", "content": "Hello"}]));
    assert_eq!(line["model"], "scripted-delay=0-ttft=0-chunks=5-test=kept");
    assert_eq!(line["headers"]["host"], "model");
    assert!(line["headers"].get("authorization").is_none());
    assert_eq!((&line["status"], &line["chunks_sent"]), (&json!(200), &json!(5)));
    assert_eq!(line["outcome"], "finished");
    assert!(line["received_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_and_when() {
    let server = start().await;
    let mut body = request("", "Hello");
    body["model"] = json!("scripted-chunks=1000-delay=20-ttft=0-test=left");
    let mut answer = ask(server, &body).await.unwrap().into_body();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    let line = ended(server, "?test=left").await;
    assert_eq!(line["outcome"], "disconnected");
    assert!(line["ended_after_ms"].as_u64().unwrap() < 2_000);
    assert!(line["chunks_sent"].as_u64().unwrap() < 1000);
}

#[tokio::test]
async fn a_client_that_leaves_during_silence_is_seen() {
    let server = start().await;
    let mut answer = ask(server, &request("-silence=1-test=silent", "Hello")).await.unwrap().into_body();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    assert_eq!(ended(server, "?test=silent").await["outcome"], "disconnected");
}

#[tokio::test]
async fn failures_and_cuts_are_told_apart() {
    let server = start().await;
    ask_whole(server, &request("-fail=503-test=failed", "Hello")).await;
    let failed = ended(server, "?test=failed").await;
    assert_eq!((&failed["status"], &failed["outcome"]), (&json!(503), &json!("failed")));
    ask_stream(server, &request("-reset=2-test=cut", "Hello")).await;
    let cut = ended(server, "?test=cut").await;
    assert_eq!((&cut["outcome"], &cut["chunks_sent"]), (&json!("cut"), &json!(2)));
}

#[tokio::test]
async fn it_reads_and_forgets_one_test_or_all() {
    let server = start().await;
    for test in ["a", "b"] {
        ask_stream(server, &request(&format!("-chunks=1-test={test}"), "Hello")).await;
    }
    assert_eq!(journal(server, "").await.len(), 2);
    send(server, "DELETE", "/_journal?test=a", None, &json!({})).await.unwrap();
    assert_eq!((journal(server, "?test=a").await.len(), journal(server, "?test=b").await.len()), (0, 1));
    send(server, "DELETE", "/_journal", None, &json!({})).await.unwrap();
    assert!(journal(server, "").await.is_empty());
}

#[tokio::test]
async fn it_forgets_the_oldest_of_very_many() {
    let server = start().await;
    for number in 0..1_010 {
        ask_whole(server, &request("-fail=400", &number.to_string())).await;
    }
    let lines = journal(server, "").await;
    assert_eq!(lines.len(), 1_000);
    assert_eq!(lines[0]["messages"][0]["content"], "10");
}
