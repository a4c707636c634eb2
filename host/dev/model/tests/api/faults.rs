//! The knobs for faults.

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::client::{ask, ask_stream, ask_whole, json_of, request, start};

#[tokio::test]
async fn fail_answers_as_openai_does_for_each_status() {
    let server = start().await;
    for (status, code) in [
        (400, json!("context_length_exceeded")),
        (401, json!("invalid_api_key")),
        (429, json!("rate_limit_exceeded")),
        (500, json!(null)),
        (503, json!(null)),
    ] {
        let (got, body) = ask_whole(server, &request(&format!("-fail={status}"), "Hello")).await;
        assert_eq!(got.as_u16(), status);
        assert_eq!(body["error"]["code"], code);
        assert!(body["error"]["message"].is_string() && body["error"]["type"].is_string());
    }
}

#[tokio::test]
async fn only_the_first_failures_fail_and_each_question_is_counted_alone() {
    let server = start().await;
    let body = request("-fail=429-failures=2-retry_after=7-chunks=2", "Hello");
    for _ in 0..2 {
        let response = ask(server, &body).await.unwrap();
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(json_of(response).await.0, 429);
    }
    assert!(ask_stream(server, &body).await.done);
    let other = request("-fail=429-failures=2-retry_after=7-chunks=2", "Another question");
    assert_eq!(ask_whole(server, &other).await.0, 429);
}

#[tokio::test]
async fn a_test_key_counts_whatever_is_asked() {
    let server = start().await;
    let knobs = "-fail=503-failures=1-test=my-test";
    assert_eq!(ask_whole(server, &request(knobs, "One")).await.0, 503);
    assert!(ask_stream(server, &request(knobs, "Two")).await.done);
}

#[tokio::test]
async fn reset_cuts_the_connection_before_the_head_or_after_some_chunks() {
    let server = start().await;
    let before = ask(server, &request("-reset=0", "Hello")).await;
    assert!(before.is_err(), "an answer came: {before:?}");

    let stream = ask_stream(server, &request("-chunks=9-reset=3", "Hello")).await;
    assert!(stream.cut && !stream.done);
    assert_eq!(stream.pieces("content").len(), 3);

    let late = ask_stream(server, &request("-chunks=2-reset=50", "Hello")).await;
    assert!(late.cut && late.finish_reason().is_none());
    assert_eq!(late.pieces("content").len(), 2);
}

#[tokio::test]
async fn a_reset_that_happens_once_lets_the_second_attempt_through() {
    let server = start().await;
    let body = request("-chunks=4-reset=2-failures=1", "Hello");
    assert!(ask_stream(server, &body).await.cut);
    assert!(ask_stream(server, &body).await.done);
}

#[tokio::test]
async fn silence_stays_connected_and_says_no_more() {
    let server = start().await;
    let mut answer = ask(server, &request("-chunks=9-silence=2", "Hello")).await.unwrap().into_body();
    let mut text = String::new();
    while text.matches("\"content\":").count() < 3 {
        let frame = answer.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    // There is no condition for silence, so this waits a fixed time.
    let more = tokio::time::timeout(std::time::Duration::from_millis(100), answer.frame()).await;
    assert!(more.is_err(), "it went on: {more:?}");
}

#[tokio::test]
async fn an_error_midstream_is_an_event_and_the_end() {
    let server = start().await;
    let stream = ask_stream(server, &request("-chunks=9-midstream_error=2", "Hello")).await;
    assert_eq!(stream.pieces("content").len(), 2);
    assert_eq!(stream.chunks.last().unwrap()["error"]["type"], "server_error");
    assert!(!stream.done && !stream.cut);
}

#[tokio::test]
async fn bad_json_is_one_line_and_the_answer_goes_on() {
    let server = start().await;
    let stream = ask_stream(server, &request("-chunks=4-badjson=2", "Hello")).await;
    let lines = stream.text.lines().filter_map(|line| line.strip_prefix("data: "));
    let bad = lines.filter(|data| *data != "[DONE]" && serde_json::from_str::<serde_json::Value>(data).is_err());
    assert_eq!(bad.count(), 1);
    assert!(stream.done && stream.pieces("content").len() == 4);
}

#[tokio::test]
async fn nodone_ends_without_the_mark() {
    let server = start().await;
    let stream = ask_stream(server, &request("-chunks=2-nodone=1", "Hello")).await;
    assert_eq!(stream.finish_reason(), Some("stop"));
    assert!(!stream.done && !stream.cut);
}

#[tokio::test]
async fn an_answer_in_one_piece_has_the_faults_too() {
    let server = start().await;
    let whole = |knobs| {
        let mut body = request(knobs, "Hello");
        body["stream"] = json!(false);
        body
    };
    assert!(ask(server, &whole("-reset=3")).await.is_err());
    assert_eq!(ask_whole(server, &whole("-midstream_error=1")).await.0, 500);
    let garbage = ask(server, &whole("-badjson=1")).await.unwrap().into_body().collect().await.unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage.to_bytes()).is_err());
}
