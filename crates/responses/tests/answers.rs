//! Answers of real servers, a file each in `tests/answers`: what is meant as JSON, a line `---`, and the body. The fields of what is meant are those of the
//! corpus of `completions`; those that are not named are empty, and the end is `complete`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use completions::{CompletionError, Piece, Round};
use responses::Reader;
use serde_json::{Value, json};

fn cases() -> Vec<(String, Value, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let (meant, body) = text.split_once("\n---\n").unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(meant).unwrap(), body.as_bytes().to_vec())
        })
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(cases.len() > 10, "the folder is not here");
    cases
}

fn read(body: &[u8], size: usize) -> Value {
    let (mut reader, mut round, mut pieces) = (Reader::default(), Round::default(), Vec::new());
    let fed = body.chunks(size).try_for_each(|chunk| reader.feed(&mut round, chunk, &mut pieces));
    let result = fed.and_then(|()| reader.finish(&mut round, &mut pieces));
    let said = |wanted: fn(&Piece) -> Option<&str>| pieces.iter().filter_map(wanted).collect::<String>();
    let text = said(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
    let reasoning = said(|piece| if let Piece::Reasoning(text) = piece { Some(text) } else { None });
    assert_eq!((&text, &reasoning), (&round.text, &round.reasoning), "what was told is what is kept");
    let (end, words) = match &result {
        Ok(()) => ("complete", None),
        Err(CompletionError::Provider(error)) => ("provider", Some(&error.words)),
        Err(CompletionError::Unfinished) => ("unfinished", None),
        Err(CompletionError::Malformed) => ("malformed", None),
        Err(CompletionError::WebPage) => ("web page", None),
        Err(CompletionError::Foreign) => ("foreign", None),
        Err(other) => panic!("{other}"),
    };
    let calls: Vec<_> = round.tool_calls.iter().map(|call| json!([call.id, call.name, call.arguments])).collect();
    json!({
        "text": round.text, "reasoning": round.reasoning, "calls": calls, "end": end, "finish": round.finish_reason,
        "usage": round.usage.map(|usage| [usage.prompt_tokens, usage.completion_tokens]), "words": words, "kept": round.kept(),
    })
}

#[test]
fn every_answer_says_what_is_meant_however_it_is_cut() {
    let mut wrong = Vec::new();
    for (name, meant, body) in cases() {
        let mut whole = json!({"text": "", "reasoning": "", "calls": [], "end": "complete"});
        whole.as_object_mut().unwrap().extend(meant.as_object().unwrap().clone());
        for size in [body.len().max(1), 7, 1] {
            let understood = read(&body, size);
            for (field, meant) in whole.as_object().unwrap() {
                if understood[field] != *meant {
                    wrong.push(format!("{name} in pieces of {size}: {field} is {}, not {meant}", understood[field]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_answer_that_is_cut_anywhere_is_no_whole_one_and_nothing_traps() {
    for (name, _, body) in cases() {
        for end in 0..body.len() {
            let understood = read(&body[..end], 64);
            assert!(
                understood["end"] != "complete" || understood["finish"].is_string(),
                "{name} at {end}: {understood}"
            );
        }
    }
}
