//! A streamed answer on the wire: its bytes, their timing, and its faults.
//! `plan` decides everything beforehand, `play` only waits and writes.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;

use crate::completion::Events;
use crate::failure::ScriptedFailure;
use crate::journal::{AnswerOutcome, Record};
use crate::script::Script;

/// Events without a delay between them are written together up to this size, as the buffers of a fast server do.
const WRITE_MAX_BYTES: usize = 16 * 1024;
/// The sizes of the pieces when writes are cut anywhere, repeated.
const SPLIT_SIZES: [usize; 6] = [1, 2, 3, 5, 11, 64];

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write these bytes, which complete this many chunks.
    Write {
        bytes: Bytes,
        chunks: usize,
    },
    Wait(Duration),
    /// Wait until everything written was sent.
    Flush,
    /// Send nothing more, and keep the connection open.
    Hang,
    /// Cut the connection.
    Cut,
}

/// All actions of a streamed answer, in order. `faulty`: the script's faults happen this time.
pub(crate) fn plan(events: Events, script: &Script, faulty: bool) -> Vec<Step> {
    let faults = if faulty { script.faults.clone() } else { Default::default() };
    let eol = if script.wire.crlf { "\r\n" } else { "\n" };
    let write = |data: &str, chunks| {
        let comment = if script.wire.comments { format!(": processing{eol}{eol}") } else { String::new() };
        Step::Write { bytes: Bytes::from(format!("{comment}data: {data}{eol}{eol}")), chunks }
    };

    let mut steps = vec![Step::Wait(script.ttft)];
    if faults.silence != Some(0) {
        steps.push(write(&events.opening, 0));
    }
    let count = events.deltas.len();
    // A fault that is planned after more chunks than exist comes after the last one.
    let due = |fault: Option<usize>, sent: usize| fault.is_some_and(|after| after.min(count) == sent);
    let mut deltas = events.deltas.iter();
    for sent in 0..=count {
        if due(faults.reset, sent) {
            steps.push(Step::Cut);
        } else if due(faults.silence, sent) {
            steps.push(Step::Hang);
        } else if due(faults.midstream_error, sent) {
            let error = ScriptedFailure::scripted(axum::http::StatusCode::INTERNAL_SERVER_ERROR, None);
            steps.push(write(&error.body().to_string(), 0));
        } else {
            if due(faults.bad_json, sent) {
                steps.push(write("{\"id\":\"chatcmpl-", 0));
            }
            if let Some(delta) = deltas.next() {
                if sent > 0 {
                    steps.push(Step::Wait(script.delay));
                }
                steps.push(write(delta, 1));
            }
            continue;
        }
        return shape(steps, script);
    }
    steps.extend(events.closing.iter().map(|event| write(event, 0)));
    if !faults.no_done {
        steps.push(write("[DONE]", 0));
    }
    shape(steps, script)
}

/// Joins adjacent writes, or splits them.
fn shape(steps: Vec<Step>, script: &Script) -> Vec<Step> {
    let steps = steps.into_iter().filter(|step| *step != Step::Wait(Duration::ZERO));
    if script.wire.split {
        return split(steps);
    }
    let mut shaped: Vec<Step> = Vec::new();
    for step in steps {
        match (shaped.last_mut(), step) {
            (Some(Step::Write { bytes, chunks }), Step::Write { bytes: more, chunks: further })
                if bytes.len() + more.len() <= WRITE_MAX_BYTES =>
            {
                *bytes = [bytes.as_ref(), more.as_ref()].concat().into();
                *chunks += further;
            }
            (_, step) => shaped.push(step),
        }
    }
    shaped
}

fn split(steps: impl Iterator<Item = Step>) -> Vec<Step> {
    let mut sizes = SPLIT_SIZES.iter().cycle();
    let mut shaped = Vec::new();
    for step in steps {
        let Step::Write { mut bytes, chunks } = step else {
            shaped.push(step);
            continue;
        };
        while !bytes.is_empty() {
            let size = sizes.next().map_or(1, |size| (*size).min(bytes.len()));
            // Always split after the first byte of a multi-byte character.
            let lead = bytes.iter().take(size).position(|byte| *byte >= 0xC0);
            let size = lead.map_or(size, |at| at + 1);
            let piece = bytes.split_to(size);
            let chunks = if bytes.is_empty() { chunks } else { 0 };
            shaped.extend([Step::Write { bytes: piece, chunks }, Step::Flush]);
        }
    }
    shaped
}

/// Executes the steps. The record learns what was sent; if the stream is dropped early, it records that the client left.
pub(crate) fn play(steps: Vec<Step>, record: Record) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::unfold((steps.into_iter(), record), async |(mut steps, record)| {
        loop {
            match steps.next() {
                Some(Step::Write { bytes, chunks }) => {
                    record.sent(chunks);
                    return Some((Ok(bytes), (steps, record)));
                }
                Some(Step::Wait(delay)) => tokio::time::sleep(delay).await,
                Some(Step::Flush) => tokio::task::yield_now().await,
                Some(Step::Hang) => std::future::pending().await,
                Some(Step::Cut) => {
                    // An error discards bytes that the connection has not written yet.
                    tokio::task::yield_now().await;
                    record.ended(AnswerOutcome::Cut);
                    return Some((Err(io::ErrorKind::ConnectionReset.into()), (steps, record)));
                }
                None => {
                    record.ended(AnswerOutcome::Finished);
                    return None;
                }
            }
        }
    })
}
