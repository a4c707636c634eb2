//! How a server wants its requests, as data. The default is what the strictest servers known accept that others accept too; what is left is
//! learned from refusals ([`crate::learning`]). Must know no server by name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Fields of a request without which it still asks for an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Without it the answer comes in one piece.
    Stream,
    /// Without it nobody knows what the answer cost.
    StreamOptions,
    /// Without it a model that may call no more is not told so: the tools are left out then, too.
    ToolChoice,
    /// Without it the model can call none. What was called before is told in words.
    Tools,
}

impl Field {
    /// In the order in which a refusal is searched for them: longer names first.
    pub(crate) const ALL: [Self; 4] = [Self::StreamOptions, Self::ToolChoice, Self::Stream, Self::Tools];
}

/// Who says the installation's instructions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instructions {
    /// The role `system`.
    #[default]
    System,
    /// The role `developer`.
    Developer,
    /// The person, before their first words.
    User,
}

/// What stands for the text of a message that only calls tools.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoText {
    /// `null`, as the API's reference has it.
    #[default]
    Null,
    /// `""`.
    Empty,
    /// No field.
    LeftOut,
}

/// What is sent back of what a server sent along for itself: a model's reasoning, the signatures of its calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentBack {
    /// What this server and model sent, with the calls it came with.
    #[default]
    AsItCame,
    /// The same, and where there is none, because another model made the calls, what stands for it.
    Always,
    /// Nothing.
    Never,
}

/// The form of the ids that pair calls and results.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// Ours: nine letters or digits, which every server takes.
    #[default]
    Nine,
    /// Those that the model gave.
    AsGiven,
}

/// The form of the schemas of tools.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schemas {
    /// As the tools' authors wrote them.
    #[default]
    Full,
    /// The least that every server understands ([`crate::schema::plain`]).
    Plain,
}

/// What becomes of a model's own marks, such as `<|end|>`, in what was said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marks {
    /// They are text.
    #[default]
    AsWritten,
    /// They are broken up, so that no server takes them for marks.
    Broken,
}

/// How a server is told how long an answer may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerLimit {
    /// It knows best.
    #[default]
    Untold,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// How a server wants its requests.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialect {
    /// Fields that it refuses.
    pub left_out: BTreeSet<Field>,
    /// Who says the instructions.
    pub instructions: Instructions,
    /// What stands for no text beside calls.
    pub no_text: NoText,
    /// The form of ids.
    pub call_ids: CallIds,
    /// The form of schemas.
    pub schemas: Schemas,
    /// Whether reasoning is sent back.
    pub reasoning: SentBack,
    /// Whether what came along with calls is sent back.
    pub extras: SentBack,
    /// What becomes of a model's marks.
    pub marks: Marks,
    /// How it is told how long an answer may be.
    pub answer_limit: AnswerLimit,
    /// What its model writes at most, in tokens, if that is less than it is told.
    pub answer_tokens: Option<u64>,
    /// What an answer of this turn may have at most, in tokens: found by trying, or what its prompt leaves. Not kept.
    #[serde(skip)]
    pub answer_tokens_now: Option<u64>,
    /// What its model's context holds, in our estimate of tokens, if it is less than the operator says.
    pub context_tokens: Option<u64>,
}

impl Dialect {
    /// Whether a field is sent.
    #[must_use]
    pub fn sends(&self, field: Field) -> bool {
        !self.left_out.contains(&field)
    }

    /// From what [`Self::to_json`] wrote. What is not understood, because another version wrote it, is learned again.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
