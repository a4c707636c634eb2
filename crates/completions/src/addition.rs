//! What another API than Chat Completions adds to an answer, in its terms: so one [`Round`] holds every answer.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    round::{CompletionError, Piece, Round, Usage},
    wire::{CallDelta, Choice, Chunk, Delta, FunctionDelta, Rare},
};

/// The field of a message for items of reasoning that a server of the Responses API wants back.
pub const REASONING_ITEMS: &str = "reasoning_items";

/// A part of an answer.
#[derive(Clone, Default, Debug)]
pub struct Addition {
    /// Text.
    pub text: String,
    /// Text of its reasoning.
    pub reasoning: String,
    /// Parts of calls.
    pub calls: Vec<CallPart>,
    /// What must be sent back with the answer, by the names of a message's fields.
    pub kept: Vec<(&'static str, Value)>,
    /// Why the model stopped: `stop`, `length`, `content_filter` or `tool_calls`.
    pub finish_reason: Option<&'static str>,
    /// The tokens, once they are known.
    pub usage: Option<Usage>,
}

/// A part of a call.
#[derive(Clone, Default, Debug)]
pub struct CallPart {
    /// Its place in the answer.
    pub index: i64,
    /// Its id, in the first part.
    pub id: Option<String>,
    /// The tool's name, in the first part.
    pub name: Option<String>,
    /// A piece of the arguments.
    pub arguments: String,
}

impl Round {
    /// Adds a part, and appends the new pieces.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn take(&mut self, part: Addition, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let Addition { text, reasoning, calls, kept, finish_reason, usage } = part;
        let call = |CallPart { index, id, name, arguments }: CallPart| CallDelta {
            index: Some(index),
            id: id.map(Cow::Owned),
            function: Some(FunctionDelta { name: name.map(Cow::Owned), arguments: Some(Cow::Owned(arguments)) }),
            ..CallDelta::default()
        };
        let has_rare = !reasoning.is_empty() || !kept.is_empty();
        let delta = Delta {
            content: Some(Cow::Owned(text)),
            tool_calls: Some(calls.into_iter().map(call).collect()),
            rare: has_rare.then(|| Box::new(Rare { thought: reasoning, kept })),
            ..Delta::default()
        };
        let finish_reason = finish_reason.map(Cow::Borrowed);
        let choice = Choice { index: Some(0), delta: Some(delta), finish_reason, ..Choice::default() };
        self.read_chunk(Chunk { choices: vec![choice], usage, ..Chunk::default() }, pieces)
    }
}
