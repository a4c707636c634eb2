//! The form in which a server accepts requests, as data. The default is what the strictest known servers accept, where others accept it too. The
//! rest is learned from refusals ([`crate::learning`]). Must know no server by name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Fields that a request can do without.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Without it the answer comes in one piece.
    Stream,
    /// Without it the usage is unknown.
    StreamOptions,
    /// Tells the model that it must not call tools. Without it, the tools must be left out instead.
    ToolChoice,
    /// Without it the model cannot call tools, and earlier calls are told as text.
    Tools,
    /// Of Responses: without it the server may keep the answer.
    Store,
    /// Of Responses: without it reasoning cannot be sent back.
    Include,
    /// Of Responses: without it some servers change the schemas of tools.
    Strict,
    /// Without it the model varies as usual.
    Temperature,
    /// Without it the model reasons as usual.
    ReasoningEffort,
    /// Without it the form of the answer is told in words.
    ResponseFormat,
    /// Pictures in messages. Without them the model is told that there are some.
    Images,
}

impl Field {
    /// In the order in which a refusal is searched for them: longer names first.
    pub(crate) const ALL: [Self; 7] =
        [Self::StreamOptions, Self::ToolChoice, Self::Include, Self::Stream, Self::Store, Self::Strict, Self::Tools];
}

/// The role that gives the installation's instructions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instructions {
    /// The role `system`.
    #[default]
    System,
    /// The role `developer`.
    Developer,
    /// The role `user`, before the person's first message.
    User,
}

/// The `content` of a message that only has calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoText {
    /// `null`, as in the API's reference.
    #[default]
    Null,
    /// `""`.
    Empty,
    /// The field is left out.
    LeftOut,
}

/// Which of a server's own data is sent back: a model's reasoning, the signatures of its calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentBack {
    /// The data of this server and model, with their calls.
    #[default]
    AsItCame,
    /// The same, with a placeholder where another model made the calls.
    Always,
    /// Nothing.
    Never,
}

/// The form of the ids that pair calls and results.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// Our own: nine letters or digits, which every server accepts.
    #[default]
    Nine,
    /// The model's ids.
    AsGiven,
}

/// The form of the tools' schemas.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schemas {
    /// As the tools' authors wrote them.
    #[default]
    Full,
    /// Only what every server understands ([`crate::schema::plain`]).
    Plain,
}

/// How a model's control tokens, such as `<|end|>`, are written in messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marks {
    /// Unchanged.
    #[default]
    AsWritten,
    /// Split, so that no server reads them as control tokens.
    Broken,
}

/// The field with the longest answer's length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerLimit {
    /// None: the server decides.
    #[default]
    Untold,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// The form in which a server accepts requests.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialect {
    /// Fields that it refuses.
    pub left_out: BTreeSet<Field>,
    /// Fields whose values of this turn it refuses. Not stored: another value may be accepted.
    #[serde(skip)]
    pub left_out_now: BTreeSet<Field>,
    /// The role of the instructions.
    pub instructions: Instructions,
    /// The `content` of messages that only have calls.
    pub no_text: NoText,
    /// The form of ids.
    pub call_ids: CallIds,
    /// The form of schemas.
    pub schemas: Schemas,
    /// Whether reasoning is sent back.
    pub reasoning: SentBack,
    /// Whether the extra fields of calls are sent back.
    pub extras: SentBack,
    /// How control tokens are written.
    pub marks: Marks,
    /// The field with the longest answer's length.
    pub answer_limit: AnswerLimit,
    /// The field with the length that a person wants, where the server requires none. [`AnswerLimit::Untold`]: `max_tokens`, which most servers know.
    pub wanted_limit: AnswerLimit,
    /// The most tokens that its model writes, if that is less than we would allow.
    pub answer_tokens: Option<u64>,
    /// The most tokens for an answer of this turn: found by trying, or the room that the prompt leaves. Not stored.
    #[serde(skip)]
    pub answer_tokens_now: Option<u64>,
    /// The size of its model's context in our estimate of tokens, if it is smaller than configured.
    pub context_tokens: Option<u64>,
}

impl Dialect {
    /// Whether a field is sent.
    #[must_use]
    pub fn sends(&self, field: Field) -> bool {
        !self.left_out.contains(&field) && !self.left_out_now.contains(&field)
    }

    /// Parses the output of [`Self::to_json`]. Values of another version that are not understood are learned again.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// The form that is stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
