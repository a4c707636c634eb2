//! The script's answers. The same messages always get the same answer, so that a repeated run gets the same text. Must not know the wire format.

use crate::calls::{self, ToolCall};
use crate::request::{ChatRequest, Role};
use crate::script::Script;

/// How much of a message or a tool's result is quoted: enough to recognise it.
const QUOTE_MAX_CHARS: usize = 2_000;
/// Roughly the bytes of a token of English text. Exact enough for a script.
const BYTES_PER_TOKEN: usize = 4;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz ";

/// An answer, in the chunks in which it is streamed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reasoning: Vec<String>,
    /// The answer's text, or the refusal's if `refusal` is set.
    pub(crate) content: Vec<String>,
    pub(crate) refusal: bool,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish_reason: &'static str,
    pub(crate) usage: Usage,
}

/// Approximate numbers of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) prompt: usize,
    pub(crate) completion: usize,
    pub(crate) reasoning: usize,
}

/// Writes the answer to a request.
pub(crate) fn write(request: &ChatRequest, script: &Script) -> Answer {
    let calls = calls::wanted(request, script);
    let mut content = if calls.is_empty() { content(request, script) } else { Vec::new() };
    let mut finish_reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    let limit = request.max_completion_tokens.or(request.max_tokens).unwrap_or(usize::MAX);
    if content.len() > limit {
        content.truncate(limit);
        finish_reason = "length";
    }
    let reasoning: Vec<String> = (1..=script.reasoning).map(|step| format!("Step {step} of the script. ")).collect();
    let prompt_bytes: usize = request.messages.iter().map(|message| message.text().len()).sum();
    Answer {
        usage: Usage {
            prompt: prompt_bytes.div_ceil(BYTES_PER_TOKEN),
            completion: reasoning.len() + content.len() + calls.len(),
            reasoning: reasoning.len(),
        },
        reasoning,
        content,
        refusal: script.refusal,
        calls,
        finish_reason: script.finish.unwrap_or(finish_reason),
    }
}

fn content(request: &ChatRequest, script: &Script) -> Vec<String> {
    if let Some(size) = script.size_bytes {
        return vec![LETTERS.chars().cycle().take(size).collect()];
    }
    if script.refusal {
        return pieces("I am a script, not a model, and this script says no.");
    }
    if script.echo {
        return pieces(&request.last_user_text());
    }
    let mut text = words(request);
    if script.wire.split {
        text.push_str("\n\nBytes to cut through: é, 漢, 🦀.");
    }
    match script.chunks {
        Some(count) => fit(pieces(&text), count),
        None => pieces(&text),
    }
}

fn words(request: &ChatRequest) -> String {
    let results = request.results();
    if !results.is_empty() {
        let mut text = "I am a script, not a model: I only pass on what the tool said.\n".to_owned();
        for (name, result) in results {
            text.push_str(&format!("\n`{name}` answered:\n\n{}\n", fenced(&quoted(&result))));
        }
        return text;
    }
    let asked = request.last_user_text();
    let lower = asked.to_lowercase();
    let sample = SAMPLES.iter().find(|(word, _)| lower.contains(word)).map_or(TOUR, |(_, sample)| sample);
    format!(
        "I am a script, not a model: nothing here thinks, but everything around a model works.\n\n\
         You wrote:\n\n{}\n\n{sample}\n\nMessage {} of this conversation, {} words. \
         To talk to a real model, set `OPENAI_API_KEY` and start again.",
        block_quote(&quoted(&asked)),
        request.messages.iter().filter(|message| message.role == Role::User).count(),
        asked.split_whitespace().count(),
    )
}

/// Sample texts, by the word in a message that shows them.
const SAMPLES: &[(&str, &str)] = &[
    (
        "table",
        "| Part | What it does |\n| --- | --- |\n| `stream` | tells the answer as it is written |\n| `tools` | runs what a model asks for |",
    ),
    ("code", "```rust\nfn main() {\n    println!(\"Hello from a script\");\n}\n```"),
    ("list", "1. Write a message.\n2. Watch the answer arrive.\n3. Stop it, or reload the page: nothing is lost."),
];

const TOUR: &str = "\
Some things to try:\n\n\
- ask for a **table**, a **list** or some **code**, to see how it is shown;\n\
- ask what **time** it is, or write *use* and a tool's name, to see a tool at work;\n\
- reload the page while I write: I go on where I was.";

fn quoted(text: &str) -> String {
    let mut quote: String = text.chars().take(QUOTE_MAX_CHARS).collect();
    if quote.len() < text.len() {
        quote.push('…');
    }
    quote
}

fn block_quote(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// A code block whose fence is longer than any in the text, so that the text cannot end it.
fn fenced(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

/// Words with the space after them; joined, they give the text.
fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_owned).collect()
}

/// The same words in exactly `count` pieces: several words in one, or numbered words added.
fn fit(mut pieces: Vec<String>, count: usize) -> Vec<String> {
    if pieces.len() <= count {
        let more = pieces.len() + 1..=count;
        pieces.extend(more.map(|number| format!(" word{number}")));
        return pieces;
    }
    let total = pieces.len();
    let mut fitted = vec![String::new(); count];
    for (index, piece) in pieces.into_iter().enumerate() {
        if let Some(slot) = fitted.get_mut(index * count / total) {
            slot.push_str(&piece);
        }
    }
    fitted
}
