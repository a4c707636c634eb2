//! Answers in text: the official format, and the knobs that change it.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::client::{ask, ask_stream, ask_whole, request, send, start};

#[tokio::test]
async fn a_stream_has_the_official_shape() {
    let server = start().await;
    let mut body = request("-chunks=3", "Hello there");
    body["stream_options"] = json!({"include_usage": true});
    let stream = ask_stream(server, &body).await;

    assert!(stream.done);
    let first = &stream.chunks[0];
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["model"], body["model"]);
    assert_eq!(first["choices"][0]["delta"], json!({"role": "assistant", "content": "", "refusal": null}));
    assert!(first["usage"].is_null() && first.get("usage").is_some());
    assert!(stream.chunks.iter().all(|chunk| chunk["id"] == first["id"]));
    assert_eq!(stream.pieces("content").len(), 3);
    assert_eq!(stream.finish_reason(), Some("stop"));
    let last = stream.chunks.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn usage_comes_only_when_it_is_asked_for_and_not_with_nousage() {
    let server = start().await;
    let plain = ask_stream(server, &request("-chunks=2", "Hello")).await;
    assert!(plain.chunks.iter().all(|chunk| chunk.get("usage").is_none()));

    let mut body = request("-chunks=2-nousage=1", "Hello");
    body["stream_options"] = json!({"include_usage": true});
    let without = ask_stream(server, &body).await;
    assert!(without.done && without.chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn one_piece_says_the_same_as_the_stream() {
    let server = start().await;
    let mut body = request("-reasoning=2", "Show me a table");
    let stream = ask_stream(server, &body).await;
    body["stream"] = json!(false);
    let (status, whole) = ask_whole(server, &body).await;

    assert_eq!(status, 200);
    assert_eq!(whole["object"], "chat.completion");
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["content"], stream.joined("content"));
    assert_eq!(message["reasoning_content"], stream.joined("reasoning_content"));
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let usage = &whole["usage"];
    let sum = usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 2);
}

#[tokio::test]
async fn it_says_that_it_is_a_script_quotes_the_question_and_repeats_itself() {
    let server = start().await;
    let body = request("", "Why is the sky blue?");
    let first = ask_stream(server, &body).await;
    let second = ask_stream(server, &body).await;
    assert!(first.joined("content").starts_with("I am a script, not a model"));
    assert!(first.joined("content").contains("> Why is the sky blue?"));
    assert_eq!(first.joined("content"), second.joined("content"));
    assert_eq!(first.chunks[0]["id"], second.chunks[0]["id"]);
}

#[tokio::test]
async fn chunks_counts_exactly_whether_few_or_many() {
    let server = start().await;
    for count in [1, 7, 2_000] {
        let stream = ask_stream(server, &request(&format!("-chunks={count}"), "Hello")).await;
        assert_eq!(stream.pieces("content").len(), count);
    }
}

#[tokio::test]
async fn delay_and_ttft_set_the_pace() {
    let server = start().await;
    let mut body = request("", "Hello");
    body["model"] = json!("scripted-chunks=4-delay=30-ttft=60");
    let began = Instant::now();
    let mut answer = ask(server, &body).await.unwrap().into_body();
    answer.frame().await.unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(60));
    answer.collect().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(60 + 3 * 30));
}

#[tokio::test]
async fn reasoning_comes_first_under_either_name() {
    let server = start().await;
    for (knob, field) in [("", "reasoning_content"), ("-reasoning_field=reasoning", "reasoning")] {
        let stream = ask_stream(server, &request(&format!("-chunks=2-reasoning=3{knob}"), "Hello")).await;
        assert_eq!(stream.pieces(field).len(), 3);
        assert!(stream.chunks[3]["choices"][0]["delta"][field].is_string());
        assert!(stream.chunks[4]["choices"][0]["delta"]["content"].is_string());
    }
}

#[tokio::test]
async fn echo_answers_the_very_text_of_strings_and_parts() {
    let server = start().await;
    let text = "<img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))  two spaces, 漢字 🦀";
    let stream = ask_stream(server, &request("-echo=1", text)).await;
    assert_eq!(stream.joined("content"), text);
    assert!(stream.pieces("content").len() > 5);

    let mut body = request("-echo=1", "");
    body["messages"][0]["content"] = json!([{"type": "text", "text": "in parts"}]);
    assert_eq!(ask_stream(server, &body).await.joined("content"), "in parts");
}

#[tokio::test]
async fn size_gives_one_chunk_of_that_size() {
    let server = start().await;
    let stream = ask_stream(server, &request("-size=300000", "Hello")).await;
    assert_eq!(stream.pieces("content").iter().map(|piece| piece.len()).collect::<Vec<_>>(), [300_000]);
}

#[tokio::test]
async fn finish_and_refusal_and_token_limits_end_an_answer_their_way() {
    let server = start().await;
    for reason in ["length", "content_filter"] {
        let stream = ask_stream(server, &request(&format!("-finish={reason}"), "Hello")).await;
        assert_eq!(stream.finish_reason(), Some(reason));
    }
    let refused = ask_stream(server, &request("-refusal=1", "Hello")).await;
    assert!(refused.joined("refusal").contains("says no") && refused.joined("content").is_empty());

    let mut body = request("", "Hello");
    body["max_completion_tokens"] = json!(4);
    let short = ask_stream(server, &body).await;
    assert_eq!((short.pieces("content").len(), short.finish_reason()), (4, Some("length")));
}

#[tokio::test]
async fn line_ends_comments_and_cuts_do_not_change_what_is_said() {
    let server = start().await;
    let plain = ask_stream(server, &request("-echo=1", "é 漢 🦀")).await;
    let crlf = ask_stream(server, &request("-echo=1-crlf=1", "é 漢 🦀")).await;
    let comments = ask_stream(server, &request("-echo=1-comments=1", "é 漢 🦀")).await;
    assert!(!plain.text.contains('\r') && crlf.text.contains("\r\n\r\n"));
    assert!(comments.text.contains(": processing\n\n"));
    for stream in [crlf, comments] {
        assert_eq!(stream.joined("content"), "é 漢 🦀");
        assert!(stream.done);
    }
}

#[tokio::test]
async fn split_cuts_inside_characters() {
    let server = start().await;
    let mut answer = ask(server, &request("-split=1", "Hello")).await.unwrap().into_body();
    let mut bytes = Vec::new();
    let mut broken = 0;
    while let Some(frame) = answer.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        broken += usize::from(std::str::from_utf8(&piece).is_err());
        bytes.extend_from_slice(&piece);
    }
    assert!(broken > 0, "no write ended inside a character");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains('漢') && text.contains('🦀') && text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn without_a_delay_many_events_come_in_one_write() {
    let server = start().await;
    let mut answer = ask(server, &request("-chunks=1000", "Hello")).await.unwrap().into_body();
    let mut frames = 0;
    while let Some(frame) = answer.frame().await {
        frame.unwrap();
        frames += 1;
    }
    assert!(frames < 100, "{frames} frames for 1,000 chunks");
}

#[tokio::test]
async fn the_list_names_the_models() {
    let server = start().await;
    let response = send(server, "GET", "/v1/models", Some("any"), &json!({})).await.unwrap();
    let (status, list) = crate::client::json_of(response).await;
    assert_eq!((status.as_u16(), &list["object"]), (200, &json!("list")));
    assert_eq!(list["data"][0]["id"], "scripted");
    assert_eq!(list["data"][0]["object"], "model");
}
