//! Chooses the messages of a conversation that the model sees. A pure function without memory of other conversations.
//!
//! The system prompt, the message that is being answered and everything written in answer to it are always included. Only tools' results are cut if
//! there is no room, those of older rounds first. Earlier turns are included from the newest backwards as far as the context allows. A turn is
//! included whole or not at all, so no tool result is without its call.

use std::{borrow::Cow, collections::HashMap};

use completions::{Answer, Call, ChatRequest, Dialect, FunctionTool, Generation, Part, Said, Sent};
use domain::{Id, Message, MessageRole};
use models::Api;
use storage::memories::KnownFact;

use crate::{
    ToolDefinition, api,
    attachments::{self, Attachments},
    memories, tokens,
    tool_output::{self, FENCE_TOKENS},
};

/// The cost of a message besides its text (OpenAI's cookbook, "How to count tokens").
const TOKENS_PER_MESSAGE: u64 = 4;
/// The room for the answer: the most that most models write, but at most a quarter of the context.
const MAX_ANSWER_TOKENS: u64 = 16_384;

/// The messages that are read for a prompt: far more than a context holds, unless they are very short.
pub const MAX_MESSAGES: u32 = 1_000;

/// The text in place of a missing result.
const NO_RESULT: &str = "(This call has no result. It is unknown whether it took effect.)";

/// The input for a request to a model.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The model.
    pub model: &'a str,
    /// The model's server.
    pub server: &'a str,
    /// Its API.
    pub api: Api,
    /// The dialect of the server.
    pub dialect: &'a Dialect,
    /// The installation's instructions.
    pub system_prompt: &'a str,
    /// The conversation's own instructions; may be empty.
    pub instructions: &'a str,
    /// What the person had remembered, the newest first.
    pub memories: &'a [KnownFact],
    /// How the model is to answer.
    pub generation: Generation<'a>,
    /// The conversation in order. The answered message and all after it belong to the run.
    pub messages: &'a [Message],
    /// What was read of the files of these messages.
    pub attachments: &'a Attachments,
    /// Whether the model gets pictures.
    pub sees: bool,
    /// The message that is being answered.
    pub asked: Id,
    /// The tools that can be called.
    pub tools: &'a [&'a ToolDefinition],
    /// Whether the model may call tools in this round.
    pub may_call: bool,
    /// The size of the context.
    pub context_window_tokens: u64,
}

/// A request, and its expected cost.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The request's body, as JSON.
    pub body: Vec<u8>,
    /// The features of the request that its server may refuse.
    pub sent: Sent,
    /// Our estimate of its tokens, to compare with the server's count.
    pub estimated_tokens: u64,
    /// The number of messages that were left out.
    pub omitted: usize,
}

/// The room for the answer in a context of this size.
#[must_use]
pub const fn max_answer_tokens(context_window_tokens: u64) -> u64 {
    let quarter = context_window_tokens / 4;
    if quarter < MAX_ANSWER_TOKENS { quarter } else { MAX_ANSWER_TOKENS }
}

/// The room for the answer, if this length is wanted: as much as that, but at most half of the context.
fn answer_room(context_window_tokens: u64, wanted: Option<u64>) -> u64 {
    wanted.map_or_else(|| max_answer_tokens(context_window_tokens), |wanted| wanted.min(context_window_tokens / 2))
}

/// The most text worth reading for a context of this size: every tokenizer makes at least one token of six bytes.
#[must_use]
pub const fn max_context_bytes(context_window_tokens: u64) -> u64 {
    context_window_tokens.saturating_mul(6)
}

/// Builds the request of the next round of a run.
///
/// # Errors
/// If a value cannot be written as JSON, which cannot happen with strings.
pub fn build(question: &Question<'_>) -> Result<Prompt, serde_json::Error> {
    let &Question { model, server, dialect, messages, tools, may_call, context_window_tokens, generation, .. } =
        question;
    let files = Files { attachments: question.attachments, sees: question.sees };
    let first_kept = messages.iter().position(|message| message.id == question.asked).unwrap_or(0);
    let (before, kept) = messages.split_at_checked(first_kept).unwrap_or((&[], messages));

    let answer = answer_room(context_window_tokens, generation.max_output_tokens);
    let system_prompt = all_instructions(question);
    let mut estimated_tokens = TOKENS_PER_MESSAGE + tokens::estimate(&system_prompt);
    estimated_tokens += generation.format.map_or(0, |format| tokens::estimate(format.schema.get()));
    estimated_tokens += tools.iter().map(|tool| tool_cost(tool)).sum::<u64>();
    estimated_tokens += kept.iter().map(|message| frame_cost(message, files)).sum::<u64>();
    let mut budget = context_window_tokens.saturating_sub(answer).saturating_sub(estimated_tokens);
    let room = room_of_results(kept, budget);
    let results = room.values().sum();
    budget = budget.saturating_sub(results);
    estimated_tokens += results;

    let mut omittable_tokens = results;
    let mut from = before.len();
    for turn in turns(before).into_iter().rev() {
        let cost: u64 = turn.iter().map(|message| message_cost(message, files)).sum();
        if cost > budget {
            break;
        }
        budget -= cost;
        estimated_tokens += cost;
        omittable_tokens += cost;
        from -= turn.len();
    }
    let recent = before.get(from..).unwrap_or_default();

    let mut parts = Vec::with_capacity(recent.len() + kept.len());
    add_parts(recent, &HashMap::new(), files, &mut parts);
    add_parts(kept, &room, files, &mut parts);
    let tools = tools.iter().map(|tool| FunctionTool {
        name: &tool.name,
        description: &tool.description,
        parameters: &tool.input_schema,
    });
    let (instructions, tools) = (system_prompt.as_str(), tools.collect());
    let request =
        ChatRequest { model, server, instructions, parts, tools, may_call, answer_tokens: answer, generation };
    let (body, sent) = api::write(question.api, request, dialect)?;
    Ok(Prompt {
        body,
        sent: Sent { estimated_tokens, omittable_tokens, answer_tokens: MAX_ANSWER_TOKENS, ..sent },
        estimated_tokens,
        omitted: from,
    })
}

/// The installation's instructions, the rules for reading tools' results, if there can be any, the conversation's instructions, and what is remembered. In this
/// order, because a provider charges less for a beginning that many requests have.
fn all_instructions(question: &Question<'_>) -> String {
    let &Question { system_prompt, instructions, tools, messages, .. } = question;
    let can_have_results = !tools.is_empty() || messages.iter().any(|message| message.role == MessageRole::Tool);
    let rules = if can_have_results { tool_output::RULES } else { "" };
    let has_files = messages.iter().any(|message| !message.files.is_empty());
    let of_files = if has_files { attachments::RULES } else { "" };
    let remembered = memories::shown(question.memories, question.context_window_tokens);
    let parts = [system_prompt, rules, of_files, instructions, &remembered].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n")
}

/// Splits messages into turns. A turn begins with the person's message.
fn turns(messages: &[Message]) -> Vec<&[Message]> {
    let mut turns = Vec::new();
    let mut rest = messages;
    while !rest.is_empty() {
        let next =
            rest.iter().skip(1).position(|message| message.role == MessageRole::User).map_or(rest.len(), |at| at + 1);
        let (turn, after) = rest.split_at_checked(next).unwrap_or((rest, &[]));
        turns.push(turn);
        rest = after;
    }
    turns
}

/// The files of messages, and whether the model gets their pictures.
#[derive(Clone, Copy)]
struct Files<'a> {
    attachments: &'a Attachments,
    sees: bool,
}

fn message_cost(message: &Message, files: Files<'_>) -> u64 {
    frame_cost(message, files) + result_cost(message)
}

/// The cost of a message without a tool's result.
fn frame_cost(message: &Message, files: Files<'_>) -> u64 {
    let calls: u64 =
        message.tool_calls.iter().map(|call| tokens::estimate(&call.name) + tokens::estimate(&call.arguments)).sum();
    let text = match message.role {
        MessageRole::Tool => FENCE_TOKENS,
        MessageRole::User | MessageRole::Assistant => tokens::estimate(&message.content),
    };
    // The fields that may be sent back to the server.
    let along = match &message.echo {
        Some(echo) => tokens::estimate(echo) + message.reasoning.as_deref().map_or(0, tokens::estimate),
        None => 0,
    };
    TOKENS_PER_MESSAGE + text + calls + along + files.attachments.cost(message, files.sees)
}

/// The cost of a tool's result, without its fence.
fn result_cost(message: &Message) -> u64 {
    if message.role == MessageRole::Tool { tokens::estimate(tool_output::shown(&message.content)) } else { 0 }
}

/// The tokens that each result may have, by the message's index: all that it needs, while there is room. The newest round goes first. Within a round,
/// results that do not fit share the room evenly.
fn room_of_results(messages: &[Message], mut room: u64) -> HashMap<usize, u64> {
    let results = messages.iter().enumerate().filter(|(_, message)| message.role == MessageRole::Tool);
    let mut results: Vec<(usize, u64)> = results.map(|(at, message)| (at, result_cost(message))).collect();
    for round in results.chunk_by_mut(|(at, _), (next, _)| at + 1 == *next).rev() {
        // The shortest first: the room that they do not need goes to the others.
        round.sort_unstable_by_key(|(_, cost)| *cost);
        let waiting = (1..=round.len() as u64).rev();
        for ((_, cost), waiting) in round.iter_mut().zip(waiting) {
            *cost = (*cost).min(room / waiting);
            room -= *cost;
        }
    }
    results.into_iter().collect()
}

/// The tokens of a tool's definition in a prompt.
pub(crate) fn tool_cost(tool: &ToolDefinition) -> u64 {
    TOKENS_PER_MESSAGE
        + tokens::estimate(&tool.name)
        + tokens::estimate(&tool.description)
        + tokens::estimate(tool.input_schema.get())
}

/// Adds each call with its result. An interrupted run may have left calls without results, and results may have come in another order.
fn add_parts<'a>(messages: &'a [Message], room: &HashMap<usize, u64>, files: Files<'a>, parts: &mut Vec<Part<'a>>) {
    for (at, message) in messages.iter().enumerate() {
        match message.role {
            MessageRole::User => parts.push(Part::User(said(message, files))),
            MessageRole::Assistant => parts.push(Part::Answer(Answer {
                text: Cow::Borrowed(&message.content),
                reasoning: message.reasoning.as_deref(),
                echo: message.echo.as_deref().and_then(|echo| serde_json::from_str(echo).ok()),
                calls: calls(at, message, messages, room),
            })),
            // Results are added with their calls.
            MessageRole::Tool => {}
        }
    }
}

/// The person's words, and what the model gets of the files beside them.
fn said<'a>(message: &'a Message, files: Files<'a>) -> Said<'a> {
    let words = files.attachments.words(message, files.sees);
    let text = match (message.content.as_str(), words.is_empty()) {
        (content, true) => Cow::Borrowed(content),
        ("", false) => Cow::Owned(words),
        (content, false) => Cow::Owned(format!("{content}\n\n{words}")),
    };
    Said { text, images: files.attachments.pictures(message, files.sees) }
}

/// The calls of the message at `at`, with the results that follow it.
fn calls<'a>(at: usize, message: &'a Message, messages: &'a [Message], room: &HashMap<usize, u64>) -> Vec<Call<'a>> {
    let results = messages.iter().enumerate().skip(at + 1).take_while(|(_, message)| message.role == MessageRole::Tool);
    let mut results: Vec<(usize, &Message)> = results.collect();
    let calls = message.tool_calls.iter().enumerate();
    calls
        .map(|(number, call)| {
            let answers = |(_, result): &(usize, &Message)| result.tool_call_id() == Some(&call.id);
            let result = results.iter().position(answers).map(|found| results.remove(found));
            let result = result.map_or(Cow::Borrowed(NO_RESULT), |(at, result)| {
                let max_tokens = room.get(&at).copied().unwrap_or(u64::MAX);
                Cow::Owned(tool_output::fenced(result.id, &call.name, &result.content, max_tokens))
            });
            let key = format!("{}/{number}", message.id);
            Call { key, id: &call.id, name: &call.name, arguments: &call.arguments, result }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::{Timestamp, ToolCall, ToolResult};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn message(role: MessageRole, content: &str) -> Message {
        Message {
            id: Id::new(),
            conversation_id: Id::new(),
            run_id: Id::new(),
            position: 0,
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_result: None,
            finish_reason: None,
            reasoning: None,
            echo: None,
            files: Vec::new(),
            created_at: Timestamp::from_millis(0),
        }
    }

    fn calling(ids: &[&str]) -> Message {
        let call = |id: &&str| ToolCall { id: (*id).into(), name: "t".into(), arguments: "{}".into() };
        Message { tool_calls: ids.iter().map(call).collect(), ..message(MessageRole::Assistant, "") }
    }

    fn result(id: &str) -> Message {
        let tool_result = ToolResult { call_id: id.into(), is_error: false, duration_ms: None, title: None };
        Message { tool_result: Some(tool_result), ..message(MessageRole::Tool, "result") }
    }

    const FENCED: &str = "tool:<tool_output_WORD name=\"t\">\nresult\n</tool_output_WORD>";

    fn prompt(
        system_prompt: &str,
        messages: &[Message],
        asked: usize,
        tools: &[&ToolDefinition],
        window: u64,
    ) -> Prompt {
        build(&Question {
            model: "m",
            server: "s",
            api: Api::ChatCompletions,
            dialect: &Dialect::default(),
            system_prompt,
            instructions: "",
            memories: &[],
            generation: Generation::default(),
            messages,
            attachments: &Attachments::default(),
            sees: true,
            asked: messages[asked].id,
            tools,
            may_call: true,
            context_window_tokens: window,
        })
        .unwrap()
    }

    /// Replaces the words of all fences by the same word.
    fn unworded(text: &str) -> String {
        let mut pieces = text.split("tool_output_");
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |text, piece| text + "tool_output_WORD" + piece.get(12..).unwrap_or_default())
    }

    fn shape(messages: &[Message], asked: usize, window: u64) -> Vec<String> {
        let prompt = prompt("system", messages, asked, &[], window);
        let body: Value = serde_json::from_slice(&prompt.body).unwrap();
        // Fences and their rules have their own tests.
        let text = |value: &Value| {
            unworded(&value.as_str().unwrap_or_default().replace(&format!("\n\n{}", tool_output::RULES), ""))
        };
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| format!("{}:{}", text(&message["role"]), text(&message["content"])))
            .collect()
    }

    #[test]
    fn everything_is_there_when_it_fits() {
        let messages =
            [message(MessageRole::User, "a"), message(MessageRole::Assistant, "b"), message(MessageRole::User, "c")];
        assert_eq!(shape(&messages, 2, 10_000), ["system:system", "user:a", "assistant:b", "user:c"]);
    }

    #[test]
    fn the_oldest_turns_are_left_out_first_and_whole() {
        let long = "word ".repeat(100);
        let messages = [
            message(MessageRole::User, "oldest"),
            message(MessageRole::Assistant, &long),
            message(MessageRole::User, "newer"),
            message(MessageRole::Assistant, "short"),
            message(MessageRole::User, "now"),
        ];
        assert_eq!(shape(&messages, 4, 150), ["system:system", "user:newer", "assistant:short", "user:now"]);
    }

    #[test]
    fn the_question_and_the_system_prompt_are_there_even_when_they_do_not_fit() {
        let question = "word ".repeat(1_000);
        let messages = [message(MessageRole::User, "old"), message(MessageRole::User, &question)];
        assert_eq!(shape(&messages, 1, 100), ["system:system".to_owned(), format!("user:{question}")]);
    }

    #[test]
    fn what_the_run_wrote_since_the_question_is_always_there() {
        let messages = [message(MessageRole::User, "q"), calling(&["a"]), result("a")];
        assert_eq!(shape(&messages, 0, 400), ["system:system", "user:q", "assistant:", FENCED]);
        let cut = shape(&messages, 0, 1);
        assert_eq!(cut[..3], ["system:system", "user:q", "assistant:"]);
        assert!(cut[3].contains("left out"), "{cut:?}");
    }

    #[test]
    fn results_for_which_there_is_no_room_are_cut_older_rounds_first_and_fairly() {
        let long = |id| Message { content: "word ".repeat(2_000), ..result(id) };
        let short = |id| Message { content: "few words".into(), ..result(id) };
        let messages = [
            message(MessageRole::User, "q"),
            calling(&["a"]),
            long("a"),
            calling(&["b", "c", "d"]),
            long("b"),
            short("c"),
            long("d"),
        ];
        let prompt = prompt("s", &messages, 0, &[], 4_000);
        assert!(prompt.estimated_tokens <= 3_000, "a quarter is the answer's: {}", prompt.estimated_tokens);
        let body: Value = serde_json::from_slice(&prompt.body).unwrap();
        let words = |at: usize| body["messages"][at]["content"].as_str().unwrap().matches("word ").count();
        assert_eq!((words(3), words(6)), (0, 0), "the older round, and one that has all it has");
        assert!(words(5) > 500 && words(5).abs_diff(words(7)) < 10, "{} and {}", words(5), words(7));
    }

    #[test]
    fn calls_and_results_always_come_in_pairs() {
        let messages = [
            message(MessageRole::User, "q"),
            calling(&["a", "b"]),
            result("b"),
            result("b"),
            message(MessageRole::User, "n"),
        ];
        let unfinished = format!("tool:{NO_RESULT}");
        assert_eq!(
            shape(&messages, 4, 10_000),
            [
                "system:system",
                "user:q",
                "assistant:",
                &unfinished,
                FENCED,
                "assistant:(No answer was written.)",
                "user:n"
            ]
        );
    }

    fn system(messages: &[Message], tools: &[&ToolDefinition], system_prompt: &str) -> Value {
        let prompt = prompt(system_prompt, messages, 0, tools, 10_000);
        serde_json::from_slice::<Value>(&prompt.body).unwrap()["messages"][0].take()
    }

    #[test]
    fn how_to_read_what_tools_say_is_told_whenever_there_can_be_any() {
        let tool = ToolDefinition {
            name: "t".into(),
            title: None,
            description: String::new(),
            input_schema: serde_json::value::RawValue::NULL.to_owned(),
        };
        let question = message(MessageRole::User, "q");
        let with_result = [question.clone(), calling(&["a"]), result("a")];
        let rules = format!("Be kind.\n\n{}", tool_output::RULES);
        assert_eq!(system(&with_result[..1], &[], "Be kind.")["content"], "Be kind.");
        assert_eq!(system(&with_result[..1], &[&tool], "Be kind.")["content"], *rules);
        assert_eq!(system(&with_result, &[], "Be kind.")["content"], *rules);
        assert_eq!(system(&with_result, &[], "")["content"], tool_output::RULES);
        assert_eq!(system(&with_result[..1], &[], "")["role"], "user");
    }

    proptest! {
        #[test]
        fn never_costs_more_than_the_context_unless_the_question_alone_does(
            lengths in prop::collection::vec(0_usize..2_000, 1..20), window in 500_u64..5_000,
        ) {
            let messages: Vec<Message> = lengths
                .iter()
                .enumerate()
                .map(|(at, length)| {
                    let role = if at % 2 == 0 { MessageRole::User } else { MessageRole::Assistant };
                    message(role, &"x".repeat(*length))
                })
                .collect();
            let asked = (messages.len() - 1) & !1;
            let all = prompt("s", &messages, asked, &[], window);
            let alone = prompt("s", &messages[asked..], 0, &[], window);
            prop_assert!(all.estimated_tokens <= window.max(alone.estimated_tokens));
        }
    }
}
