//! Responses of model servers and their meaning: a file each in `answers/`. A misunderstood server becomes one more file.
//!
//! A file is a JSON object, a line `---`, and the bytes of the body up to the file's end. The object has the expected result: `text`,
//! `reasoning`, `calls` as `[id, name, arguments]`, `end` (how the answer ends, `complete` by default), and optionally `finish`, `usage` as
//! `[prompt, completion]`, `words` and `codes` of an error, `kept` of the message, `kept_of_calls`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{fs, path::Path};

use completions::{CompletionError, Piece, Round, round::MAX_ANSWER_BYTES};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Case {
    name: String,
    meant: Value,
    body: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<Case> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let bytes = fs::read(&path).unwrap();
            let at =
                bytes.windows(5).position(|window| window == b"\n---\n").unwrap_or_else(|| panic!("{name}: no ---"));
            let meant = serde_json::from_slice(&bytes[..at]).unwrap_or_else(|error| panic!("{name}: {error}"));
            Case { name, meant, body: bytes[at + 5..].to_vec() }
        })
        .collect();
    assert!(cases.len() > 50, "the folder is not here");
    cases
}

/// The parsed result, in a case's terms.
#[derive(Debug, PartialEq)]
struct Understood {
    round: Value,
    said: (String, String),
}

fn hear(chunks: &[&[u8]]) -> (Round, Vec<Piece>, Result<(), CompletionError>) {
    let (mut round, mut pieces) = (Round::default(), Vec::new());
    let mut result = Ok(());
    for chunk in chunks {
        result = round.feed(chunk, &mut pieces);
        if result.is_err() || round.is_done() {
            break;
        }
    }
    let result = result.and_then(|()| round.finish(&mut pieces));
    (round, pieces, result)
}

fn read(chunks: &[&[u8]]) -> Understood {
    let (round, pieces, result) = hear(chunks);
    let said = |wanted: fn(&Piece) -> Option<&str>| pieces.iter().filter_map(wanted).collect::<String>();
    let mut text = said(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
    let mut reasoning = said(|piece| if let Piece::Reasoning(text) = piece { Some(text) } else { None });
    if pieces.contains(&Piece::Reconsidered) {
        (text, reasoning) = (round.text.clone(), round.reasoning.clone());
    }
    assert_eq!((&text, &reasoning), (&round.text, &round.reasoning), "what was told is what is kept");
    let (end, error) = match &result {
        Ok(()) => ("complete", None),
        Err(CompletionError::Provider(error)) => ("provider", Some(error)),
        Err(CompletionError::Unfinished) => ("unfinished", None),
        Err(CompletionError::Malformed) => ("malformed", None),
        Err(CompletionError::WebPage) => ("web page", None),
        Err(CompletionError::Foreign) => ("foreign", None),
        Err(other) => panic!("{other}"),
    };
    let kept_of_calls: Vec<_> = round.tool_calls.iter().map(|call| &call.kept).collect();
    let calls: Vec<_> = round.tool_calls.iter().map(|call| json!([call.id, call.name, call.arguments])).collect();
    let round = json!({
        "text": round.text,
        "reasoning": round.reasoning,
        "calls": calls,
        "end": end,
        "finish": round.finish_reason,
        "usage": round.usage.map(|usage| [usage.prompt_tokens, usage.completion_tokens]),
        "words": error.map(|error| &error.words),
        "codes": error.map(|error| &error.codes),
        "status": error.map(|error| error.status),
        "kept": round.kept(),
        "kept_of_calls": kept_of_calls,
    });
    Understood { round, said: (text, reasoning) }
}

#[test]
fn every_answer_says_what_is_meant() {
    let mut wrong = Vec::new();
    for case in cases() {
        let understood = read(&[&case.body]).round;
        let mut meant = json!({ "text": "", "reasoning": "", "calls": [], "end": "complete" });
        meant.as_object_mut().unwrap().extend(case.meant.as_object().unwrap().clone());
        for (field, meant) in meant.as_object().unwrap() {
            if understood[field] != *meant {
                wrong.push(format!("{}: {field} is {}, not {meant}", case.name, understood[field]));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    for case in cases() {
        let whole = read(&[&case.body]);
        for size in [1, 2, 3, 7] {
            let chunks: Vec<&[u8]> = case.body.chunks(size).collect();
            assert_eq!(read(&chunks), whole, "{} in pieces of {size}", case.name);
        }
    }
}

#[test]
fn nothing_grows_without_end() {
    let (mut round, mut pieces) = (Round::default(), Vec::new());
    let long = text(&"x".repeat(MAX_ANSWER_BYTES + 1));
    assert_eq!(round.feed(long.as_bytes(), &mut pieces), Err(CompletionError::AnswerTooLong));
    let call = |id: usize, arguments: &str| {
        let function = json!({ "name": "t", "arguments": arguments });
        event(&json!({ "choices": [{ "delta": { "tool_calls": [{ "id": id.to_string(), "function": function }] } }] }))
    };
    let many: String = (0..40).map(|id| call(id, "{}")).collect();
    let long: String = (0..40).map(|_| call(0, &"x".repeat(20_000))).collect();
    for body in [many, long] {
        assert_eq!(Round::default().feed(body.as_bytes(), &mut pieces), Err(CompletionError::CallsTooLong));
    }
    let endless = format!("data: [\n{}", format!("data: {}\n", "1,".repeat(450_000)).repeat(5));
    let mut round = Round::default();
    assert!(matches!(round.feed(endless.as_bytes(), &mut pieces), Err(CompletionError::EventTooLong(_))));
    let mut round = Round::default();
    let signature = json!([{ "type": "x", "data": "y".repeat(100_000) }]);
    for _ in 0..3 {
        let chunk = event(&json!({ "choices": [{ "delta": { "reasoning_details": signature } }] }));
        round.feed(chunk.as_bytes(), &mut pieces).unwrap();
    }
    assert!(round.kept().is_empty(), "half of it would be refused");
    let mut round = Round::default();
    for _ in 0..10_000 {
        let detail = json!([{ "type": "reasoning.text", "text": "word ", "index": 0, "format": "x" }]);
        let chunk = event(&json!({ "choices": [{ "delta": { "reasoning_details": detail } }] }));
        round.feed(chunk.as_bytes(), &mut pieces).unwrap();
    }
    assert_eq!(
        round.kept()["reasoning_details"][0]["text"].as_str().unwrap().len(),
        50_000,
        "pieces count as what they add"
    );
}

/// Cuts a text into pieces of these lengths, repeated.
fn cut(text: &str, sizes: &[usize]) -> Vec<String> {
    let (mut characters, mut pieces) = (text.chars().peekable(), Vec::new());
    for size in sizes.iter().cycle() {
        if characters.peek().is_none() {
            break;
        }
        pieces.push(characters.by_ref().take(*size).collect());
    }
    pieces
}

/// JSON values that servers send in the place of others.
fn json() -> impl Strategy<Value = Value> {
    let words =
        prop::sample::select(vec!["", "x", "<think>", "stop", "error", "\u{1f600}", "{\"a\":1}", "message", "0"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let names =
        ["index", "type", "text", "content", "function", "name", "arguments", "message", "error", "code", "thinking"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(names.to_vec()), inner, 0..4).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

const CHUNK_FIELDS: [&str; 6] = ["id", "object", "choices", "usage", "error", "message"];
const CHOICE_FIELDS: [&str; 6] = ["index", "delta", "message", "text", "finish_reason", "error"];
const DELTA_FIELDS: [&str; 8] = [
    "role",
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "reasoning_details",
    "thinking_blocks",
];

fn any_of(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::hash_map(prop::sample::select(fields), json(), 0..3)
        .prop_map(|fields| Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

/// A chunk with odd values in some or all fields.
fn odd_chunk() -> impl Strategy<Value = Value> {
    prop_oneof![
        json(),
        any_of(&CHUNK_FIELDS),
        any_of(&CHOICE_FIELDS).prop_map(|choice| json!({ "choices": [choice] })),
        any_of(&DELTA_FIELDS).prop_map(|delta| json!({ "choices": [{ "index": 0, "delta": delta }] })),
    ]
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn text(content: &str) -> String {
    event(&json!({ "choices": [{ "index": 0, "delta": { "content": content } }] }))
}

proptest! {
    #[test]
    fn what_was_said_is_never_lost_to_an_odd_chunk(odd in odd_chunk()) {
        let understood = read(&[text("said").as_bytes(), event(&odd).as_bytes(), text(" more").as_bytes()]);
        prop_assert!(understood.said.0.starts_with("said"));
    }

    #[test]
    fn after_the_end_nothing_spoils_it(odd in odd_chunk(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let end = event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }));
        let body = [text("said").as_bytes(), end.as_bytes(), event(&odd).as_bytes(), &bytes].concat();
        let understood = read(&[&body]);
        prop_assert!(understood.said.0.starts_with("said"));
        prop_assert_eq!(&understood.round["end"], "complete");
    }

    #[test]
    fn an_odd_field_does_not_cost_the_text_beside_it(
        field in prop::sample::select(vec!["role", "tool_calls", "reasoning", "refusal", "reasoning_details", "audio"]), odd in json(),
    ) {
        let mut delta = json!({ "content": "said" });
        delta[field] = odd;
        let understood = read(&[event(&json!({ "choices": [{ "index": 0, "delta": delta }] })).as_bytes()]);
        prop_assert!(understood.said.0.starts_with("said"));
    }

    #[test]
    fn an_ordinary_chunk_and_one_with_an_odd_field_say_the_same(
        deltas in prop::collection::vec((any_of(&DELTA_FIELDS), prop::option::of("[a-z<>]{0,6}")), 1..4),
    ) {
        let body = |usage: &Value| {
            let chunk = |(delta, text): &(Value, Option<String>)| {
                let mut delta = delta.clone();
                if let Some(text) = text {
                    delta["content"] = Value::from(text.as_str());
                }
                event(&json!({ "choices": [{ "index": 0, "delta": delta }], "usage": usage }))
            };
            deltas.iter().map(chunk).collect::<String>()
        };
        let (ordinary, odd) = (body(&Value::Null), body(&json!("odd")));
        prop_assert_eq!(read_loosely(&[ordinary.as_bytes()]), read_loosely(&[odd.as_bytes()]));
    }

    #[test]
    fn an_ordinary_answer_is_understood_however_the_model_cuts_it(
        words in prop::collection::vec(prop::sample::select(vec![
            "A", "<", "think", "<br>", "\n", "```", "{}", "null", "[DONE]", "data: ", "error", "\u{1f600}", "</", "message",
        ]), 0..12),
        calls in prop::collection::vec((prop::sample::select(vec!["t", "tt", "t_", "get", "get_t"]), json()), 0..4),
        sizes in prop::collection::vec(1_usize..6, 1..8),
    ) {
        let said = format!("So {}", words.concat());
        let mut deltas: Vec<Value> = cut(&said, &sizes).into_iter().map(|piece| json!({ "content": piece })).collect();
        let mut meant = Vec::new();
        for (index, (name, value)) in calls.iter().enumerate() {
            let (id, arguments) = (format!("id{index}"), json!({ "a": value }).to_string());
            let fragment = |fields: Value| json!({ "tool_calls": [fields] });
            deltas.push(fragment(
                json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } }),
            ));
            let pieces = cut(&arguments, &sizes).into_iter();
            deltas.extend(pieces.map(|piece| fragment(json!({ "index": index, "function": { "arguments": piece } }))));
            meant.push(json!([id, name, arguments]));
        }
        let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
        let chunk = |delta: &Value, reason: Option<&str>| {
            event(&json!({ "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason }], "usage": null }))
        };
        let body: String = deltas.iter().map(|delta| chunk(delta, None)).collect();
        let usage = json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
        let body = format!("{body}{}{}data: [DONE]\n\n", chunk(&json!({}), Some(reason)), event(&usage));
        let round = read(&[body.as_bytes()]).round;
        prop_assert_eq!(&round["text"], &json!(said));
        prop_assert_eq!(&round["calls"], &json!(meant));
        prop_assert_eq!((&round["end"], &round["usage"]), (&json!("complete"), &json!([1, 2])));
    }

    #[test]
    fn no_bytes_make_it_panic_and_cuts_change_nothing(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..16),
            odd_chunk().prop_map(|chunk| event(&chunk).into_bytes()),
            prop::sample::select(vec!["\n", "\r", "data: ", "data: {", "{", "}", "[", "<", "event: error\n", "[DONE]\n", ": x\n"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ], 0..12),
        size in 1_usize..9,
    ) {
        let body = pieces.concat();
        let whole = std::panic::catch_unwind(|| read_loosely(&[&body])).unwrap();
        prop_assert_eq!(read_loosely(&body.chunks(size).collect::<Vec<_>>()), whole);
    }
}

/// As [`read`], for bytes whose end is unknown.
fn read_loosely(chunks: &[&[u8]]) -> (String, String, usize, bool) {
    let (round, _, result) = hear(chunks);
    (round.text, round.reasoning, round.tool_calls.len(), result.is_ok())
}
