//! What a model's server says in a test.

use std::time::Duration;

use serde_json::{Value, json};

/// What of a request is refused, with the status and the words.
pub(crate) type Refuses = dyn Fn(&Value) -> Option<(u16, String)>;

/// What the model does when it is asked: chunks with the milliseconds before each, or nothing of the kind.
pub(crate) enum Answer {
    Stream(Vec<(u64, Result<String, String>)>),
    Refuse(u16, Option<Duration>, String),
    RefuseAndStay(u16, String),
    /// Bytes, in pieces of so many, with this `Content-Encoding` if it is said.
    Packed(u16, Option<&'static str>, Vec<u8>, usize),
    Unreachable,
}

/// A chunk as OpenAI writes it.
pub(crate) fn chunk(delta: Value, finish: Option<&str>) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
}

pub(crate) fn text(content: &str) -> String {
    chunk(json!({ "content": content }), None)
}

fn ended(mut pieces: Vec<(u64, Result<String, String>)>, finish: &str) -> Answer {
    pieces.push((0, Ok(chunk(json!({}), Some(finish)))));
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}});
    pieces.push((0, Ok(format!("data: {usage}\n\ndata: [DONE]\n\n"))));
    Answer::Stream(pieces)
}

pub(crate) fn answer(pieces: &[&str]) -> Answer {
    ended(pieces.iter().map(|piece| (5, Ok(text(piece)))).collect(), "stop")
}

pub(crate) fn tool_call(calls: &[(&str, &str, &str)]) -> Answer {
    let calls: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(index, (id, name, arguments))| {
            json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    ended(vec![(5, Ok(chunk(json!({ "tool_calls": calls }), None)))], "tool_calls")
}
