//! The answers of a model's server in a test.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use orchestrator::Unreachable;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Decides which requests are refused, with status and text.
pub(crate) type Refuses = dyn Fn(&Value) -> Option<(u16, String)>;

/// The model's reaction to a request: chunks with the milliseconds before each, or something else.
pub(crate) enum Answer {
    Stream(Vec<(u64, Result<String, String>)>),
    Refuse(u16, Option<Duration>, String),
    RefuseAndStay(u16, String),
    /// A body in pieces of this many bytes, with this `Content-Encoding` if given.
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

/// A body that records when it was dropped.
pub(crate) struct Body {
    pub(crate) stream: Pin<Box<dyn Stream<Item = Result<Bytes, Unreachable>>>>,
    pub(crate) dropped_at: Rc<Cell<Duration>>,
    pub(crate) started: Instant,
}

impl Stream for Body {
    type Item = Result<Bytes, Unreachable>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(context)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.dropped_at.set(self.started.elapsed());
    }
}
