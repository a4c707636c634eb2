//! Puts a conversation into the order that servers require: the person begins, then person and model alternate, and results of tools come before
//! the model's next message. Failed, interrupted and empty answers can break this order. Nothing else is changed.

use std::borrow::Cow;

use crate::request::{Answer, Call, Part, Said};

/// Replaces a missing answer after results of tools.
const NOT_ANSWERED: &str = "(No answer was written.)";
/// Replaces an empty conversation.
const NOTHING_ASKED: &str = "(Nothing was written.)";

/// Orders the parts. `in_words`: calls and their results become text, for servers without tools.
pub(crate) fn in_order(parts: Vec<Part<'_>>, in_words: bool) -> Vec<Part<'_>> {
    let mut ordered = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::User(said) => add_said(&mut ordered, said),
            Part::Answer(answer) if in_words && !answer.calls.is_empty() => {
                let (said, results) = told(answer);
                add_answer(&mut ordered, said);
                add_said(&mut ordered, results.into());
            }
            Part::Answer(answer) => add_answer(&mut ordered, answer),
        }
    }
    // An answer at the end without calls is to be written again.
    while ordered.last().is_some_and(|part| matches!(part, Part::Answer(answer) if answer.calls.is_empty())) {
        ordered.pop();
    }
    if ordered.is_empty() {
        ordered.push(Part::User(NOTHING_ASKED.into()));
    }
    ordered
}

fn add_said<'a>(ordered: &mut Vec<Part<'a>>, said: Said<'a>) {
    if said.text.trim().is_empty() && said.images.is_empty() {
        return;
    }
    match ordered.last_mut() {
        // The previous message was not answered.
        Some(Part::User(before)) => {
            before.images.extend(said.images);
            if said.text.trim().is_empty() {
                return;
            }
            let before = before.text.to_mut();
            before.push_str("\n\n");
            before.push_str(&said.text);
            return;
        }
        Some(Part::Answer(answer)) if !answer.calls.is_empty() => {
            ordered.push(Part::Answer(Answer { text: Cow::Borrowed(NOT_ANSWERED), ..Answer::default() }));
        }
        Some(Part::Answer(_)) | None => {}
    }
    ordered.push(Part::User(said));
}

fn add_answer<'a>(ordered: &mut Vec<Part<'a>>, mut answer: Answer<'a>) {
    if answer.calls.is_empty() && answer.text.trim().is_empty() {
        return;
    }
    match ordered.last_mut() {
        // The conversation's beginning was cut in the middle of a turn.
        None => return,
        Some(Part::Answer(before)) if before.calls.is_empty() => {
            let mut text = std::mem::take(&mut before.text).into_owned();
            if !answer.text.trim().is_empty() {
                text.push_str("\n\n");
                text.push_str(&answer.text);
            }
            answer.text = text.into();
            ordered.pop();
        }
        Some(_) => {}
    }
    ordered.push(Part::Answer(answer));
}

/// Writes calls as the model's text, and their results as a text from the other side.
fn told(answer: Answer<'_>) -> (Answer<'_>, String) {
    let mut text = answer.text.trim_end().to_owned();
    let mut results = String::new();
    for Call { name, arguments, result, .. } in answer.calls {
        for told in [&mut text, &mut results] {
            if !told.is_empty() {
                told.push_str("\n\n");
            }
        }
        text.push_str(&format!("I call the tool {name}: {}", crate::names::as_arguments(arguments)));
        results.push_str(&format!("The tool {name} answers:\n{result}"));
    }
    (Answer { text: text.into(), ..Answer::default() }, results)
}
