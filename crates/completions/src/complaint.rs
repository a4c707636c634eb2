//! Finds the reason of a refusal in a server's message, and the change to the request for each. `learning.rs` decides the order.

use crate::{
    dialect::{AnswerLimit, CallIds, Dialect, Field, Instructions, Marks, NoText, Schemas, SentBack},
    numbers::{Number, all_numbers, numbers},
    provider_error::ProviderError,
};

/// A message never shortens a prompt to less than this: a smaller number means something else.
const MIN_TOKENS: u64 = 256;

/// A server counts a prompt as at most this many times its limit: a smaller number is not the limit.
const MAX_OVERRUN: u64 = 16;

/// A forwarded refusal often begins with its status, and no model has so small a context.
const STATUSES: std::ops::Range<u64> = 400..600;

/// A message never limits an answer to less than this: a few sentences.
pub(crate) const MIN_ANSWER_TOKENS: u64 = 256;

/// An answer above this length may be shortened to make room for the prompt. Most answers are shorter anyway.
const LONG_ANSWER_TOKENS: u64 = 2_048;

/// Words of servers that do not stream.
const STREAMING_REFUSED: [&str; 9] = [
    "support",
    "not allowed",
    "not permitted",
    "disabled",
    "not enabled",
    "not available",
    "verified",
    "extra",
    "unrecognized",
];

/// What a refusal is about, according to its status and codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The request is too long for the model.
    Length,
    /// Something in the request, which the message may name.
    Form,
    /// A call that the model has written.
    Call,
    /// The cost of the request.
    Price,
    /// Unknown; the message may still name something.
    Unknown,
    /// Not stated; servers whose chat template fails respond like this.
    Fault,
}

/// The parts of a request that a refusal may be about.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Optional fields that were sent.
    pub fields: Vec<Field>,
    /// Instructions were sent.
    pub instructions: bool,
    /// Calls and their results were sent.
    pub calls: bool,
    /// Calls without text were sent.
    pub calls_without_text: bool,
    /// Reasoning was sent back.
    pub reasoning: bool,
    /// Extra fields of calls were sent back.
    pub extras: bool,
    /// The estimated tokens of the prompt.
    pub estimated_tokens: u64,
    /// How many of them could be left out.
    pub omittable_tokens: u64,
    /// The most tokens reserved for the answer.
    pub answer_tokens: u64,
    /// The longest answer that the request allowed, if it named one.
    pub answer_limit: Option<u64>,
}

/// A server's message, in lower case. It may contain anything, so it must not leave this module.
pub(crate) struct Complaint {
    words: String,
}

impl Complaint {
    pub(crate) fn new(said: &ProviderError) -> Self {
        let param = said.param.as_deref().unwrap_or_default();
        Self { words: format!("{} {param}", said.words).to_lowercase() }
    }

    /// The size that the server names. Otherwise the prompt loses half of what can be left out, or half of everything.
    pub(crate) fn too_long(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let Sent { estimated_tokens: estimated, omittable_tokens: omittable, .. } = *sent;
        let tokens = self.room(estimated).filter(|room| *room < estimated).map_or_else(
            || {
                let prompt =
                    if omittable > 0 { estimated - omittable.div_ceil(2).min(estimated) } else { estimated / 2 };
                prompt + sent.answer_tokens.min(prompt / 3)
            },
            // The server counted it as too long, so it must become shorter whatever the estimate says.
            |room| room.min(estimated - estimated / 8),
        );
        let known = dialect.context_tokens.unwrap_or(u64::MAX);
        (tokens < known).then(|| Dialect { context_tokens: Some(tokens), ..dialect.clone() })
    }

    /// The size that the server names, converted to our tokens: it may count differently.
    fn room(&self, estimated: u64) -> Option<u64> {
        let numbers = numbers(&self.words);
        // Skip dates and names of models.
        let is_count =
            |number: u64| (MIN_TOKENS..=estimated.saturating_mul(8)).contains(&number) && !STATUSES.contains(&number);
        let numbers: Vec<_> = numbers.into_iter().filter(|number| is_count(number.value)).collect();
        let counted = numbers.iter().map(|number| number.value).max()?;
        // Skip a year, which is not a limit.
        let is_limit = |number: &&Number| number.value < counted && number.value >= counted / MAX_OVERRUN;
        // The counted tokens are often given in parts, so a number that is called a limit wins.
        let called = numbers.iter().filter(is_limit).filter(|number| number.is_limit).map(|number| number.value).max();
        let limit = called.or_else(|| numbers.iter().filter(is_limit).map(|number| number.value).max());
        let Some(limit) = limit else { return Some(counted) };
        Some(limit.saturating_mul(estimated) / counted)
    }

    /// The server requires a limit for the answer's length, or requires it in another field.
    pub(crate) fn answer_limit(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let old = self.names(&["max_tokens", "max tokens", "maxtokens", "max_new_tokens", "max_output_tokens"]);
        let new = self.names(&["max_completion_tokens"]);
        let wanted = [
            "required",
            "missing",
            "must be set",
            "must be provided",
            "must be specified",
            "must specify",
            "not found",
            "needs",
            "need to",
            "not provided",
            "not specified",
            "undefined",
        ];
        let is_refused = new && (self.refuses() || self.says(&["instead"]));
        let is_wanted = dialect.answer_limit == AnswerLimit::Untold && sent.answer_limit.is_some();
        if is_wanted && is_refused && dialect.wanted_limit != AnswerLimit::MaxCompletionTokens {
            return Some(Dialect { wanted_limit: AnswerLimit::MaxCompletionTokens, ..dialect.clone() });
        }
        let answer_limit = match dialect.answer_limit {
            AnswerLimit::Untold if old && self.says(&wanted) => AnswerLimit::MaxTokens,
            AnswerLimit::Untold if new && self.says(&wanted) => AnswerLimit::MaxCompletionTokens,
            AnswerLimit::MaxTokens if is_refused => AnswerLimit::MaxCompletionTokens,
            _ => return None,
        };
        Some(Dialect { answer_limit, ..dialect.clone() })
    }

    /// The model cannot write as much as the request allowed.
    pub(crate) fn shorter_answer(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let told = sent.answer_limit?;
        let about_it = self.says(&[
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "max tokens",
            "maximum tokens",
            "output tokens",
            "completion tokens",
        ]);
        let too_much = [
            "too large",
            "too high",
            "too big",
            "at most",
            "less than or equal",
            "exceed",
            "maximum",
            "<=",
            "greater than",
            "larger than",
            "> ",
        ];
        if !(about_it && self.says(&too_much)) {
            return None;
        }
        // 512 is a common limit, not a status.
        let is_status = |number: u64| STATUSES.contains(&number) && !number.is_power_of_two();
        let fewer = numbers(&self.words).into_iter().filter(|number| number.is_limit).map(|number| number.value);
        match fewer.filter(|number| (MIN_ANSWER_TOKENS..told).contains(number) && !is_status(*number)).max() {
            Some(fewer) => Some(Dialect { answer_tokens: Some(fewer), ..dialect.clone() }),
            None => half(dialect, told).filter(|_| self.names(&[&told.to_string()])),
        }
    }

    /// The server counts the longest answer with the prompt. Keeping the conversation matters more than a long answer.
    pub(crate) fn no_room_for_answer(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let told = sent.answer_limit.filter(|told| *told > LONG_ANSWER_TOKENS)?;
        let counts_it = all_numbers(&self.words).iter().any(|number| number.value == told)
            || self.says(&["completion", "max_tokens", "max_new_tokens", "output tokens"]);
        counts_it.then(|| half(dialect, told))?
    }

    /// The server refuses because its model made a call although it must not. The request then offers no tools.
    pub(crate) fn no_call_wanted(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let about_it = sent.fields.contains(&Field::ToolChoice) && self.says(&["tool choice is none"]);
        about_it.then(|| without(dialect, Field::ToolChoice))
    }

    /// The server charges for the longest possible answer, and names the length that the credit allows.
    pub(crate) fn affordable(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let (_, after) = self.words.split_once("only afford ").filter(|_| self.names(&["max_tokens"]))?;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let tokens = digits.parse().ok().filter(|tokens| *tokens >= MIN_ANSWER_TOKENS)?;
        let answer_limit = match dialect.answer_limit {
            AnswerLimit::Untold => AnswerLimit::MaxTokens,
            told => told,
        };
        let is_less = sent.answer_limit.is_none_or(|told| tokens < told);
        is_less.then(|| Dialect { answer_limit, answer_tokens: Some(tokens), ..dialect.clone() })
    }

    /// The server reads the text as its model's control tokens, and refuses it.
    pub(crate) fn marks(&self, dialect: &Dialect) -> Option<Dialect> {
        let other = dialect.marks == Marks::AsWritten && self.says(&["special token"]);
        other.then(|| Dialect { marks: Marks::Broken, ..dialect.clone() })
    }

    pub(crate) fn field(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let named = |field: &Field| match field {
            Field::StreamOptions => self.names(&["stream_options", "stream options", "include_usage"]),
            Field::ToolChoice => self.names(&["tool_choice", "tool choice"]),
            // A broken stream is called unexpected, invalid and more, so only words about the request for a stream count. Where a limit is
            // named, "must be" is about the limit.
            Field::Stream => {
                let must_be = self.says(&["must be", "should be"]) && !self.names(&["max_tokens"]);
                self.names(&["stream", "streaming"]) && (must_be || self.says(&STREAMING_REFUSED))
            }
            Field::Include => self.names(&["include", "encrypted_content", "encrypted content"]),
            Field::Store => self.names(&["store"]),
            Field::Strict => self.names(&["strict"]),
            // `wishes.rs` has the last three.
            Field::Tools | Field::Temperature | Field::ReasoningEffort | Field::ResponseFormat | Field::Images => false,
        };
        let field = Field::ALL.into_iter().filter(|field| sent.fields.contains(field)).find(named)?;
        Some(without(dialect, field))
    }

    pub(crate) fn signatures(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let names = self.says(&["thought_signature", "thought signature", "thoughtsignature", "extra_content"]);
        let extras = names.then(|| self.sent_back(dialect.extras, sent.calls, sent.extras))??;
        Some(Dialect { extras, ..dialect.clone() })
    }

    pub(crate) fn reasoning(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let names = self.says(&["reasoning", "thinking", "encrypted content", "encrypted_content"]);
        let reasoning = names.then(|| self.sent_back(dialect.reasoning, sent.calls, sent.reasoning))??;
        Some(Dialect { reasoning, ..dialect.clone() })
    }

    fn sent_back(&self, now: SentBack, could: bool, was: bool) -> Option<SentBack> {
        let refused = [
            "not permitted",
            "not allowed",
            "not be ",
            "not support",
            "unsupported",
            "unexpected",
            "unknown",
            "unrecognized",
            "extra inputs",
            "remove",
            "must be empty",
        ];
        let wanted = ["missing", "must", "required", "requires", "pass", "expected", "include"];
        match now {
            SentBack::AsItCame if could && self.says(&wanted) && !self.says(&refused) => Some(SentBack::Always),
            SentBack::AsItCame | SentBack::Always if was => Some(SentBack::Never),
            _ => None,
        }
    }

    pub(crate) fn instructions(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let about_system = self.names(&["system", "developer"])
            && self.says(&["role", "message", "prompt", "instruction"])
            && self.refuses();
        // "Input should be 'user', 'assistant' or 'tool'"
        let lists = self.says(&["should be", "must be", "one of", "expected"]);
        let lists_others = self.names(&["role"]) && self.names(&["user"]) && !self.names(&["system"]) && lists;
        if !sent.instructions || !(about_system || (lists_others && !self.says(&["alternat"]))) {
            return None;
        }
        let instructions = match dialect.instructions {
            Instructions::System if self.names(&["developer"]) && !self.says(&["developer instruction"]) => {
                Instructions::Developer
            }
            Instructions::System | Instructions::Developer => Instructions::User,
            Instructions::User => return None,
        };
        Some(Dialect { instructions, ..dialect.clone() })
    }

    pub(crate) fn no_text(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let named = self.names(&["content"])
            && self
                .says(&["null", "none", "nil", "empty", "blank", "missing", "required", "string", "invalid", "must"]);
        // Messages of template engines, and of parsers that name no field.
        let about_it = named || self.says(&["nullvalue", "nonetype", "did not match any variant"]);
        let no_text = match dialect.no_text {
            NoText::Null => NoText::Empty,
            NoText::Empty => NoText::LeftOut,
            NoText::LeftOut => return None,
        };
        (about_it && sent.calls_without_text).then(|| Dialect { no_text, ..dialect.clone() })
    }

    pub(crate) fn call_ids(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let named = self.names(&["tool_call_id", "tool call id", "tool_call_ids", "call_id", "call id"])
            || (self.says(&["tool_call", "tool call"]) && self.names(&["id", "ids"]));
        let other = named && sent.calls && dialect.call_ids == CallIds::Nine;
        other.then(|| Dialect { call_ids: CallIds::AsGiven, ..dialect.clone() })
    }

    pub(crate) fn schemas(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        if !sent.fields.contains(&Field::Tools) {
            return None;
        }
        let keywords = [
            "schema",
            "parameters",
            "properties",
            "additionalproperties",
            "$schema",
            "$ref",
            "$defs",
            "ref",
            "definitions",
            "anyof",
            "oneof",
            "allof",
            "prefixitems",
            "patternproperties",
            "nesting",
            "nested",
        ];
        let weaker = ["format", "items", "enum", "const", "type", "default", "description", "depth"];
        let about_tools = self.says(&["tool", "function", "parameter", "propert"]);
        let named = self.names(&keywords)
            || self.says(&["schema", "function_declarations"])
            || (about_tools && self.names(&weaker));
        // Some name only the keyword, and one calls every schema it does not accept an invalid argument.
        let meant = (self.names(&weaker) && self.refuses()) || self.says(&["invalid argument"]);
        match dialect.schemas {
            Schemas::Full if named || meant => Some(Dialect { schemas: Schemas::Plain, ..dialect.clone() }),
            // There is no simpler form. An answer without tools is better than none.
            Schemas::Plain if named => Some(without(dialect, Field::Tools)),
            Schemas::Full | Schemas::Plain => None,
        }
    }

    pub(crate) fn tools(&self, about: About, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        // The failing function may be one of the server itself, or be overloaded.
        let of_ours = about != About::Fault;
        let tools = self.names(&["tool", "tools", "tool_calls", "tool_use", "jinja"])
            || (of_ours && self.names(&["function", "functions", "function_call"]));
        let too_many = of_ours && self.names(&["tools", "functions"]) && self.says(&["too many"]);
        let refused = tools && (self.refuses() || self.says(&["requires", "no endpoints", "enable"]) || too_many);
        let roles = self.says(&["alternat"]) || (self.names(&["role", "roles"]) && self.refuses());
        let has_tools = sent.fields.contains(&Field::Tools) || sent.calls;
        (has_tools && (refused || (roles && sent.calls)) && dialect.sends(Field::Tools))
            .then(|| without(dialect, Field::Tools))
    }

    pub(crate) fn refuses(&self) -> bool {
        self.says(&[
            "support",
            "unknown",
            "unrecognized",
            "unrecognised",
            "unexpected",
            "not permitted",
            "not allowed",
            "invalid",
            "extra",
            "not enabled",
            "not available",
            "unavailable",
            "must be",
            "should be",
            "cannot",
            "can't",
            "only",
            "not accept",
            "does not",
            "disabled",
            "forbidden",
            "one of",
            "not valid",
            "verified",
        ])
    }

    /// Whether the message contains one of these texts.
    pub(crate) fn says(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.words.contains(part))
    }

    /// Whether the message contains one of these as a separate name.
    pub(crate) fn names(&self, names: &[&str]) -> bool {
        let joins = |character: char| character.is_alphanumeric() || character == '_';
        names.iter().any(|name| {
            self.words.match_indices(name).any(|(at, _)| {
                let before = self.words.get(..at).and_then(|text| text.chars().next_back());
                let after = self.words.get(at + name.len()..).and_then(|text| text.chars().next());
                !before.is_some_and(joins) && !after.is_some_and(joins)
            })
        })
    }
}

/// Halves the allowed answer for this turn, because the server named no limit.
fn half(dialect: &Dialect, told: u64) -> Option<Dialect> {
    let half = told / 2;
    (half >= MIN_ANSWER_TOKENS).then(|| Dialect { answer_tokens_now: Some(half), ..dialect.clone() })
}

pub(crate) fn without(dialect: &Dialect, field: Field) -> Dialect {
    let mut dialect = dialect.clone();
    dialect.left_out.insert(field);
    if field == Field::Stream {
        // `stream_options` only has a meaning with streaming.
        dialect.left_out.insert(Field::StreamOptions);
    }
    dialect
}
