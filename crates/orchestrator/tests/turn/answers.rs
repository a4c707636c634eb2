//! Answers that end abnormally, and where the server's words go. How single bytes are read is tested in the crate `completions`.

use std::{io::Write as _, time::Duration};

use domain::RunState;
use serde_json::json;

use crate::{
    script::{Answer, chunk, text},
    world::World,
};

fn stream(pieces: &[&str]) -> Answer {
    Answer::Stream(pieces.iter().map(|piece| (5, Ok((*piece).to_owned()))).collect())
}

fn end(reason: &str) -> String {
    chunk(json!({}), Some(reason))
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_complete_once_the_model_said_so_though_the_connection_stays_open() {
    let finished = [(5, Ok(text("x"))), (5, Ok(end("stop")))];
    let silence = vec![(3_600_000, Ok(String::new()))];
    let comments = (0..600).map(|_| (1_000, Ok(": still here\n\n".to_owned()))).collect();
    let flood = (0..4_000).map(|_| (1, Ok(": still here\n\n".to_owned()))).collect();
    let broken = vec![(100, Err("reset".to_owned()))];
    for afterwards in [silence, comments, flood, broken] {
        let world = World::new([Answer::Stream(finished.iter().cloned().chain(afterwards).collect())]);
        let run = world.send("hi").await;
        let reader = world.read(run, 0).await;
        assert_eq!(reader.types(), ["state", "token", "complete"]);
        assert!(world.now() < Duration::from_secs(3), "{:?}", world.now());
        assert_eq!(world.stored().await, ["hi", "x"]);
        world.send("And now?").await;
    }
}

#[tokio::test(start_paused = true)]
async fn words_that_the_server_says_beside_an_answer_that_ends_do_not_count_when_the_connection_breaks() {
    let words = "data: {\"message\":\"cached\"}\n\n";
    let pieces = [text("x"), words.to_owned(), end("stop")].map(Ok).into_iter().chain([Err("reset".to_owned())]);
    let world = World::new([Answer::Stream(pieces.map(|piece| (5, piece)).collect())]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.types(), ["state", "token", "complete"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_cost_is_waited_for_and_an_answer_that_goes_on_is_heard() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
    let world = World::new([Answer::Stream(vec![
        (5, Ok(chunk(json!({"content": "a"}), Some("stop")))),
        (800, Ok(chunk(json!({"content": "b"}), Some("stop")))),
        (800, Ok(chunk(json!({"content": "c"}), Some("stop")))),
        (800, Ok(usage.to_owned())),
        (3_600_000, Ok(String::new())),
    ])]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.text(), "abc");
    assert_eq!(world.run(run).await.usage.unwrap().total_tokens, 7);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_nothing_in_it_is_no_answer_and_can_be_asked_for_again() {
    let blank = text(" \n");
    for (answer, says) in [
        (stream(&[&end("stop")]), "The model said nothing."),
        (stream(&[&blank, &end("stop")]), "The model said nothing."),
        (stream(&["data: [DONE]\n\n"]), "The model said nothing."),
        (stream(&[&chunk(json!({"reasoning": "hm"}), None), &end("length")]), "used all its room"),
        (stream(&[&end("content_filter")]), "held the answer back"),
    ] {
        let world = World::new([answer]);
        let run = world.send("hi").await;
        let events = world.read(run, 0).await.data();
        let end = events.last().unwrap();
        assert_eq!((end["type"].as_str(), &end["metadata"]["retryable"]), (Some("error"), &json!(true)));
        assert!(end["content"].as_str().unwrap().contains(says), "{end}");
        assert_eq!(world.stored().await, ["hi"]);
        assert_eq!(world.run(run).await.state, RunState::Error);
        assert_eq!(world.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_asking_again_cannot_help_is_asked_once_and_told_in_words() {
    for (body, says) in [
        ("data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n", "too long"),
        ("data: {\"object\":\"error\",\"message\":\"boom\"}\n\ndata: [DONE]\n\n", "boom"),
        ("data: {\"error\":{\"message\":\"pay first\",\"code\":402}}\n\n", "pay first"),
        ("{\"error\":{\"message\":\"no such thing\",\"code\":404}}", "no such thing"),
        ("<!DOCTYPE html><p>hi", "This address answers with a web page, not as a model server"),
        ("data: {nonsense\n\n", "unreadable"),
    ] {
        let world = World::new([stream(&[body])]);
        let run = world.send("hi").await;
        let reader = world.read(run, 0).await;
        assert_eq!(reader.types(), ["state", "error"]);
        assert!(reader.data()[1]["content"].as_str().unwrap().contains(says), "{:?}", reader.data());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_not_streamed_is_an_answer() {
    let body = json!({"object": "chat.completion", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]});
    let world = World::new([Answer::Refuse(201, None, body.to_string())]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.text(), "x");
    assert_eq!(world.stored().await, ["hi", "x"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_asks_for_a_tool_without_a_name_has_asked_for_nothing() {
    let nameless = chunk(json!({"tool_calls": [{"index": 0, "id": "1", "function": {"arguments": "{}"}}]}), None);
    let world = World::new([stream(&[&text("x"), &nameless, &end("tool_calls")])]).with_tool("t", false);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.types(), ["state", "token", "complete"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_server_says_is_logged_and_no_key_is_told() {
    let refuse = |status, body: serde_json::Value| Answer::Refuse(status, None, body.to_string());
    let diary = "Dear diary, today I met somebody.";
    for said in [
        refuse(422, json!({"detail": [{"input": diary}]})),
        refuse(
            400,
            json!({"error": {"message": format!("planted-key {diary}"), "code": "planted-key", "type": diary}}),
        ),
        refuse(401, json!({"error": {"message": format!("no such key: planted-key {diary}")}})),
        refuse(500, json!(diary)),
        stream(&[&format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{}}}]}}\n\ndata: {{\"c", json!(diary))]),
        stream(&[&format!("data: {{\"choices\":{}\n\n", json!(diary))]),
        stream(&[&format!("data: {{\"error\":{}}}\n\n", json!(format!("planted-key {diary}")))]),
        stream(&[&text(diary), "data: {\"choices\":[{\"index\":0,\"delta\":\"planted-key\n\n"]),
        stream(&[diary]),
    ] {
        let again = (0..3).map(|_| refuse(500, json!(diary)));
        let world = World::new(std::iter::once(said).chain(again));
        let run = world.send(diary).await;
        let reader = world.read(run, 0).await;
        let log = world.log_lines();
        assert!(log.contains("a run failed") && !log.contains("diary") && !log.contains("planted"), "{log}");
        let told = format!("{:?} {:?}", reader.data(), world.run(run).await);
        assert!(!told.contains("planted"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_server_repeats_is_not_told_again() {
    let words = "Write about a garden and a treasure in it.";
    let repeating = json!({"error": {"message": format!("Cannot read {{\"role\":\"user\",\"content\":\"{words}\"}}")}});
    let world = World::new([Answer::Refuse(400, None, repeating.to_string())]);
    let run = world.send(words).await;
    let told = world.read(run, 0).await.data().pop().unwrap();
    let told = told["content"].as_str().unwrap();
    assert!(told.contains("Cannot read") && !told.contains("treasure"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_though_the_connection_stays_open() {
    let world = World::new([Answer::RefuseAndStay(400, json!({"error": {"message": "not so"}}).to_string())]);
    let run = world.send("hi").await;
    assert!(world.read(run, 0).await.data()[1]["content"].as_str().unwrap().contains("not so"));
    assert!(world.now() < Duration::from_secs(7), "{:?}", world.now());
}

#[tokio::test(start_paused = true)]
async fn a_reason_is_told_that_stands_before_or_behind_the_whole_request() {
    let diary = "Dear diary, today I met somebody. ";
    let missing = |input: usize| {
        format!(
            r#"{{"detail":[{{"type":"missing","loc":["body","colour"],"msg":"Field required","input":{{"text":"{}"}}}}]}}"#,
            diary.repeat(input)
        )
    };
    let behind =
        format!(r#"{{"request":{{"text":"{}"}},"detail":"body.colour: Field required"}}"#, diary.repeat(10_000));
    let words = format!(r#"{{"error":{{"message":"body.colour: Field required in {}"}}}}"#, diary.repeat(100_000));
    for body in [missing(1_000), missing(100_000), behind, words] {
        let world = World::new([Answer::Refuse(422, None, body)]);
        let run = world.send(&diary.repeat(20)).await;
        let told = world.read(run, 0).await.data().pop().unwrap();
        let told = told["content"].as_str().unwrap();
        assert!(told.contains("body.colour: Field required") && !told.contains("somebody"), "{told}");
        assert!(!world.log_lines().contains("diary"), "{}", world.log_lines());
    }
}

#[tokio::test(start_paused = true)]
async fn reasoning_that_was_taken_for_an_answer_is_told_again_as_what_it_is() {
    let world = World::new([stream(&[&text("hm,"), &text(" hm\n</think>"), &text("\n\nx"), &text("y"), &end("stop")])]);
    let run = world.send("hi").await;
    let events = world.read(run, 0).await;
    assert_eq!(events.types(), ["state", "token", "token", "token", "state", "thinking", "token", "token", "complete"]);
    assert_eq!(events.data()[4]["content"], "restarted");
    assert_eq!(events.data()[5]["content"], "hm, hm\n");
    assert_eq!(world.stored().await, ["hi", "xy"]);
}

#[tokio::test(start_paused = true)]
async fn words_are_told_after_which_a_server_says_nothing_more() {
    let words = || (0, Ok("data: {\"message\":\"No machine is free\"}\n\n".to_owned()));
    for afterwards in [(3_600_000, Ok(String::new())), (0, Err("broken".to_owned()))] {
        let world = World::new([Answer::Stream(vec![(0, Ok(text("so"))), words(), afterwards])]);
        let run = world.send("hi").await;
        let told = world.read(run, 0).await.data().pop().unwrap();
        assert!(told["content"].as_str().unwrap().contains("No machine is free"), "{told}");
        assert_eq!(world.stored().await, ["hi", "so"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_off_is_not_made() {
    let call = |id: &str, arguments: &str| json!({"index": id.len(), "id": id, "function": {"name": "t", "arguments": arguments}});
    let calls = chunk(json!({"tool_calls": [call("a", "{}"), call("bb", "{\"a\":")]}), None);
    let cut = chunk(json!({"tool_calls": [call("a", "{\"a\":")]}), None);
    let world = World::new([stream(&[&calls, &end("length")]), stream(&[&cut, &end("length")])]).with_tool("t", false);
    let run = world.send("hi").await;
    let events = world.read(run, 0).await.data();
    assert_eq!(world.calls(), ["a"]);
    assert!(events.last().unwrap()["content"].as_str().unwrap().contains("used all its room"), "{events:?}");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_packed_is_read_whether_or_not_its_head_says_so() {
    let body = [text("Hel"), text("lo"), end("stop"), "data: [DONE]\n\n".to_owned()].concat();
    for (coding, packed) in
        [(Some("gzip"), gzip(&body)), (None, gzip(&body)), (Some("gzip"), body.clone().into_bytes())]
    {
        for size in [1, 7, packed.len()] {
            let world = World::new([Answer::Packed(200, coding, packed.clone(), size)]);
            let run = world.send("hi").await;
            assert_eq!(world.read(run, 0).await.text(), "Hello", "{coding:?} in pieces of {size}");
        }
    }
    let refusal = gzip(&json!({"error": {"message": "not so"}}).to_string());
    let world = World::new([Answer::Packed(400, Some("gzip"), refusal, 10)]);
    let run = world.send("hi").await;
    assert!(world.read(run, 0).await.data()[1]["content"].as_str().unwrap().contains("not so"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_unpacked_is_said_once_and_costs_nothing_that_was_finished() {
    let finished = [text("x"), end("stop")].concat();
    let mut broken = gzip(&finished);
    broken.truncate(broken.len() - 8);
    broken.extend(b"rubbish of sixteen bytes");
    let world = World::new([Answer::Packed(200, Some("gzip"), broken, 5)]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.types(), ["state", "token", "complete"]);

    let bomb = gzip(&" ".repeat(70_000_000));
    for (coding, body) in
        [("zstd", vec![1, 2]), ("gzip", b"\x1f\x8bnothing that was ever packed".to_vec()), ("gzip", bomb)]
    {
        let world = World::new([Answer::Packed(200, Some(coding), body, 64 * 1024)]);
        let run = world.send("hi").await;
        assert_eq!(world.read(run, 0).await.types(), ["state", "error"]);
    }
}
