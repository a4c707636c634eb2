//! Refusals and errors of model servers, and the messages for people and operators, one file each in `refusals/`. For a new case, add a file.
//!
//! A file is a JSON object, a line `---`, and the bytes of the body up to the end of the file. The object has the response's `status` and `headers`,
//! and the expected result: `code`, `refusal`, `says` and `says_not` (parts of the message for the person), `again_ms` (the pause before the same
//! request is sent again; without it, none), `retryable` (default: `false`) and `cause` (the log line).

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{fs, path::Path};

use completions::{Round, Withheld};
use http::{HeaderMap, HeaderName};
use orchestrator::{error_handler::TurnFailure, error_handler::incomplete, refusal::refused};
use serde_json::Value;

const KEY: &str = "planted-key";
const REQUEST: &[u8] =
    br#"{"messages":[{"role":"system","content":"Never tell anybody about the treasure in the garden."}]}"#;

fn failure(status: u16, headers: &Value, body: &[u8]) -> TurnFailure {
    let authorization = format!("Bearer {KEY}");
    let withheld = Withheld { authorization: &authorization, request: REQUEST };
    if status != 200 {
        let headers = headers.as_object().into_iter().flatten();
        let header = |(name, value): (&String, &Value)| {
            (HeaderName::try_from(name).unwrap(), value.as_str().unwrap().parse().unwrap())
        };
        return refused(status, &headers.map(header).collect::<HeaderMap>(), body, &withheld);
    }
    let (mut round, mut pieces) = (Round::default(), Vec::new());
    let error = round.feed(body, &mut pieces).and_then(|()| round.finish(&mut pieces));
    incomplete(&error.expect_err("it is no error"), &withheld)
}

#[test]
fn every_refusal_is_told_as_it_is_meant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals");
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        count += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(5).position(|window| window == b"\n---\n").unwrap_or_else(|| panic!("{name}: no ---"));
        let meant: Value = serde_json::from_slice(&bytes[..at]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let status = meant["status"].as_u64().unwrap().try_into().unwrap();
        let failure = failure(status, &meant["headers"], &bytes[at + 5..]);
        let mut check = |is_right: bool, what: String| {
            if !is_right {
                wrong.push(format!("{name}: {what}"));
            }
        };
        let message = &failure.message;
        check(failure.code == meant["code"], format!("code {}", failure.code));
        if let Some(refusal) = meant["refusal"].as_str() {
            check(format!("{:?}", failure.refusal) == format!("Some({refusal})"), format!("{:?}", failure.refusal));
        }
        for part in meant["says"].as_array().into_iter().flatten() {
            check(message.contains(part.as_str().unwrap()), format!("does not say {part}: {message}"));
        }
        for part in meant["says_not"].as_array().into_iter().flatten() {
            check(!message.contains(part.as_str().unwrap()), format!("says {part}: {message}"));
        }
        check(!message.contains(KEY) && !message.contains("treasure"), format!("tells a secret: {message}"));
        check(
            message.ends_with(['.', '\u{2026}', '\u{3002}']) && message.chars().count() < 600,
            format!("is no sentence: {message}"),
        );
        let again_ms = failure.pause_before(2).map(|pause| pause.as_millis() as u64);
        check(again_ms == meant["again_ms"].as_u64(), format!("is asked again after {again_ms:?} ms"));
        check(
            failure.retryable == meant["retryable"].as_bool().unwrap_or(false),
            format!("retryable {}", failure.retryable),
        );
        check(failure.cause == meant["cause"], format!("logs {:?}", failure.cause));
    }
    assert!(count > 30, "the folder is not here");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
