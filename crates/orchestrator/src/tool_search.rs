//! Chooses the tools that the model is offered. Usually all. If there are more than model servers accept, or their definitions would fill too much of
//! the context, the model gets one tool to search them with, and can call the tools that it finds in the rest of the run. The search is a pure
//! function in this crate and needs no approval.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use domain::{Id, Message, MessageRole, ToolCall};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{Offered, ToolAnswer, ToolDefinition, prompt_builder::tool_cost};

/// The search tool's name.
pub const NAME: &str = "search_tools";

/// The part of a context that definitions may take. They cost tokens in every round, and models choose worse among many.
const MAX_DEFINITIONS_PERCENT: u64 = 10;
/// The number of tools offered at once: model servers accept 128 (OpenAI, "tools"), some fewer than they say. The rest is for our own tools.
const MAX_OFFERED: usize = 120;
/// The most tools that a search finds.
const MAX_FOUND: usize = 8;
/// Longer than any sensible query.
const MAX_QUERY_CHARS: usize = 500;
/// Enough of a description to choose by.
const MAX_DESCRIPTION_CHARS: usize = 300;
/// A word in a tool's name counts more than one in its description.
const NAME_WEIGHT: f64 = 3.0;
/// The usual values for Okapi BM25: how soon a repeated word stops counting, and how much a long description counts against a tool.
const K1: f64 = 1.2;
const B: f64 = 0.75;

const TITLE: &str = "Find tools";
const DESCRIPTION: &str = "Finds tools. There are more tools than are listed here: say in a few words what a tool should do, and those \
that fit can be called from then on.";
const SCHEMA: &str = r#"{"type":"object","properties":{"query":{"type":"string","description":"What the tool should do, in a few words."}},"required":["query"]}"#;

/// The tools of a run.
#[derive(Debug)]
pub struct Tools {
    all: Vec<ToolDefinition>,
    /// The search tool, if there are too many tools to offer all.
    search: Option<ToolDefinition>,
    max_tokens: u64,
    unconfigured: Vec<String>,
}

#[derive(Deserialize)]
struct Arguments {
    query: String,
}

/// The parts of a search's result that are read again.
#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow)]
    tools: Vec<FoundTool<'a>>,
}

#[derive(Deserialize)]
struct FoundTool<'a> {
    name: Cow<'a, str>,
}

impl Tools {
    /// From all tools, and the size of the model's context.
    #[must_use]
    pub fn new(offered: Offered, context_window_tokens: u64) -> Self {
        let Offered { tools: all, unconfigured } = offered;
        let max_tokens = context_window_tokens / 100 * MAX_DEFINITIONS_PERCENT;
        let search = ToolDefinition {
            name: NAME.to_owned(),
            title: Some(TITLE.to_owned()),
            description: DESCRIPTION.to_owned(),
            // The constant is valid JSON; otherwise null is a schema too.
            input_schema: RawValue::from_string(SCHEMA.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        };
        // Definitions shorter than the search tool's are always offered, however little room there is.
        let worth_it = max_tokens.max(tool_cost(&search));
        let mut tokens = 0;
        let mut too_long = || {
            all.iter().any(|tool| {
                tokens += tool_cost(tool);
                tokens > worth_it
            })
        };
        let too_many = all.len() > MAX_OFFERED || too_long();
        let search = too_many.then_some(search);
        Self { all, search, max_tokens, unconfigured }
    }

    /// The same tools, for a model whose context turned out to be smaller.
    #[must_use]
    pub fn fitting(self, context_window_tokens: u64) -> Self {
        Self::new(Offered { tools: self.all, unconfigured: self.unconfigured }, context_window_tokens)
    }

    /// The system prompt with the servers that need credentials, so that the model can tell a person who asks for their tools.
    #[must_use]
    pub fn introduced<'a>(&self, system_prompt: &'a str) -> Cow<'a, str> {
        if self.unconfigured.is_empty() {
            return Cow::Borrowed(system_prompt);
        }
        let servers = self.unconfigured.join(", ");
        let words = format!(
            "More tools become available once the person enters their credentials on the page Tools: {servers}."
        );
        Cow::Owned(if system_prompt.is_empty() { words } else { format!("{system_prompt}\n\n{words}") })
    }

    /// The tools that the model is offered in the next round of a run with these messages.
    #[must_use]
    pub fn offered(&self, messages: &[Message], run_id: Id) -> Vec<&ToolDefinition> {
        let Some(search) = &self.search else { return self.all.iter().collect() };
        let mut offered = vec![search];
        let mut tokens = 0;
        let mut seen = HashSet::new();
        // The latest results are needed most. The best tool of the last search is offered however long it is.
        for name in found(messages, run_id).into_iter().rev().flatten() {
            let Some(tool) = self.all.iter().find(|tool| tool.name == name && tool.name != NAME) else { continue };
            let fits = offered.len() < MAX_OFFERED && (tokens == 0 || tokens + tool_cost(tool) <= self.max_tokens);
            if seen.contains(&name) || !fits {
                continue;
            }
            tokens += tool_cost(tool);
            seen.insert(name);
            offered.push(tool);
        }
        offered
    }

    /// A tool's title, if it has one.
    #[must_use]
    pub fn title(&self, name: &str) -> Option<&str> {
        let tool = self.search.iter().chain(&self.all).find(|tool| tool.name == name)?;
        tool.title.as_deref()
    }

    /// The result of a call of the search tool. `None`: the call is for another tool.
    #[must_use]
    pub fn answer(&self, call: &ToolCall) -> Option<ToolAnswer> {
        if self.search.is_none() || call.name != NAME {
            return None;
        }
        let Ok(Arguments { query }) = serde_json::from_str(&call.arguments) else {
            return Some(ToolAnswer::failed(r#"Send {"query": "..."}: say in a few words what the tool should do."#));
        };
        let found: Vec<_> = search(&self.all, &query)
            .into_iter()
            .map(|tool| {
                let description: String = tool.description.chars().take(MAX_DESCRIPTION_CHARS).collect();
                json!({ "name": tool.name, "description": description })
            })
            .collect();
        let note = if found.is_empty() {
            "Nothing fits. Try other words, or answer without a tool."
        } else {
            "These can be called now."
        };
        Some(ToolAnswer::Result { content: json!({ "tools": found, "note": note }).to_string(), is_error: false })
    }
}

/// The names that each search of a run found, in order.
fn found(messages: &[Message], run_id: Id) -> Vec<Vec<String>> {
    let of_run = || messages.iter().filter(|message| message.run_id == run_id);
    let calls = of_run().flat_map(|message| &message.tool_calls).filter(|call| call.name == NAME);
    let searches: HashSet<&str> = calls.map(|call| call.id.as_str()).collect();
    let results = of_run().filter(|message| {
        message.role == MessageRole::Tool && message.tool_call_id().is_some_and(|id| searches.contains(id))
    });
    let found = results.filter_map(|message| serde_json::from_str::<Found<'_>>(&message.content).ok());
    found.map(|found| found.tools.into_iter().map(|tool| tool.name.into_owned()).collect()).collect()
}

/// The tools that match a query best, best first, by Okapi BM25 over the words of their names and descriptions.
#[must_use]
pub fn search<'a>(tools: &'a [ToolDefinition], query: &str) -> Vec<&'a ToolDefinition> {
    let query: String = query.chars().take(MAX_QUERY_CHARS).collect();
    let asked: HashSet<String> = words(&query).collect();
    let mut documents = Vec::with_capacity(tools.len());
    let (mut holding, mut total_length) = (HashMap::<&str, f64>::new(), 0.0);
    for tool in tools {
        let (mut frequencies, mut length) = (HashMap::<&str, f64>::new(), 0.0);
        let named = words(&tool.name).map(|word| (word, NAME_WEIGHT));
        for (word, weight) in named.chain(words(&tool.description).map(|word| (word, 1.0))) {
            length += weight;
            if let Some(word) = asked.get(&word) {
                *frequencies.entry(word).or_default() += weight;
            }
        }
        for word in frequencies.keys() {
            *holding.entry(word).or_default() += 1.0;
        }
        total_length += length;
        documents.push((tool, frequencies, length));
    }
    let count = documents.len() as f64;
    let score = |frequencies: &HashMap<&str, f64>, length: f64| -> f64 {
        let of_word = |(word, frequency): (&&str, &f64)| {
            let holding = holding.get(word).copied().unwrap_or_default();
            let rarity = (1.0 + (count - holding + 0.5) / (holding + 0.5)).ln();
            rarity * frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * length * count / total_length))
        };
        frequencies.iter().map(of_word).sum()
    };
    let mut scored: Vec<(f64, &ToolDefinition)> =
        documents.iter().map(|(tool, frequencies, length)| (score(frequencies, *length), *tool)).collect();
    scored.retain(|(score, _)| *score > 0.0);
    scored.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.name.cmp(&other.name)));
    scored.into_iter().take(MAX_FOUND).map(|(_, tool)| tool).collect()
}

/// The words of a text, in lower case and without common endings: `listEvents`, `list_events` and `lists an event` have two in common.
fn words(text: &str) -> impl Iterator<Item = String> {
    let (mut apart, mut after_lower) = (String::with_capacity(text.len()), false);
    for character in text.chars() {
        if after_lower && character.is_uppercase() {
            apart.push(' ');
        }
        after_lower = character.is_lowercase();
        apart.extend(if character.is_alphanumeric() { character } else { ' ' }.to_lowercase());
    }
    let words: Vec<String> = apart.split_whitespace().map(|word| stem(word).to_owned()).collect();
    words.into_iter()
}

fn stem(word: &str) -> &str {
    let stem = ["ing", "es", "ed", "s", "e"].iter().find_map(|ending| word.strip_suffix(ending));
    stem.filter(|stem| stem.chars().count() > 2).unwrap_or(word)
}

#[cfg(test)]
mod tests;
