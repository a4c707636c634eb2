//! What a refusal says about how a server wants its requests. Read generously: to ask once more in another way costs a moment, an answer that
//! never comes costs a conversation. What was learned counts only once a request that heeds it was accepted; that is for the caller to see.

use crate::{
    dialect::{CallIds, Dialect, Field, Instructions, NoText, Schemas, SentBack},
    provider_error::ProviderError,
};

/// No prompt is shortened to less than this by what a server said: a number that small is something else.
const MIN_TOKENS: u64 = 256;

/// No server counts a prompt as more than so many times what it takes: a number that is smaller still is no room.
const MAX_OVERRUN: u64 = 16;

/// A refusal that was passed on often begins with its status, and no model reads so little.
const STATUSES: std::ops::Range<u64> = 400..600;

/// How a server says that it does not stream.
const STREAMING_REFUSED: [&str; 11] = [
    "support",
    "not allowed",
    "not permitted",
    "disabled",
    "not enabled",
    "not available",
    "verified",
    "must be",
    "should be",
    "extra",
    "unrecognized",
];

/// What a refusal is about, as far as its status and codes tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The request is longer than the model can read.
    Length,
    /// Something in it, which the words may name.
    Form,
    /// Nothing that is told; engines that fail in a model's template answer so.
    Fault,
}

/// What of a request could be complained about.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Fields that need not have been there.
    pub fields: Vec<Field>,
    /// There were instructions.
    pub instructions: bool,
    /// There were calls and their results.
    pub calls: bool,
    /// There were calls without text.
    pub calls_without_text: bool,
    /// Reasoning was sent back.
    pub reasoning: bool,
    /// What came along with calls was sent back.
    pub extras: bool,
    /// What it was expected to cost.
    pub estimated_tokens: u64,
    /// What of that could be left out.
    pub omittable_tokens: u64,
    /// What is kept free for the answer at most.
    pub answer_tokens: u64,
}

/// How to ask again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// In this way.
    pub dialect: Dialect,
    /// Without this, which the person will miss.
    pub cut: Option<Cut>,
    /// Whether it will be so the next time, too. A fault may have been one.
    pub lasts: bool,
}

/// What a request has to do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The beginning of the conversation.
    Beginning,
    /// The tools.
    Tools,
}

/// What to do otherwise, if anything comes to mind that was not tried before.
#[must_use]
pub fn lesson(about: About, said: &ProviderError, dialect: &Dialect, sent: &Sent) -> Option<Lesson> {
    let param = said.param.as_deref().unwrap_or_default();
    let complaint = Complaint { words: format!("{} {param}", said.words).to_lowercase() };
    let learned = match about {
        About::Length => complaint.too_long(dialect, sent),
        About::Fault => complaint.instructions(dialect, sent).or_else(|| complaint.tools(dialect, sent)),
        About::Form => complaint
            .field(dialect, sent)
            .or_else(|| complaint.signatures(dialect, sent))
            .or_else(|| complaint.reasoning(dialect, sent))
            .or_else(|| complaint.instructions(dialect, sent))
            .or_else(|| complaint.no_text(dialect, sent))
            .or_else(|| complaint.call_ids(dialect, sent))
            .or_else(|| complaint.schemas(dialect, sent))
            .or_else(|| complaint.tools(dialect, sent)),
    }?;
    let cut = if learned.context_tokens != dialect.context_tokens {
        Some(Cut::Beginning)
    } else if dialect.sends(Field::Tools) && !learned.sends(Field::Tools) {
        Some(Cut::Tools)
    } else {
        None
    };
    Some(Lesson { dialect: learned, cut, lasts: about != About::Fault })
}

/// What a server said, in lower case. It may hold anything, so it goes nowhere.
struct Complaint {
    words: String,
}

impl Complaint {
    /// What the server says it has room for; or half of what can be left out, and if nothing can, half of it all.
    fn too_long(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let Sent { estimated_tokens: estimated, omittable_tokens: omittable, .. } = *sent;
        let tokens = self.room(estimated).filter(|room| *room < estimated).map_or_else(
            || {
                let prompt =
                    if omittable > 0 { estimated - omittable.div_ceil(2).min(estimated) } else { estimated / 2 };
                prompt + sent.answer_tokens.min(prompt / 3)
            },
            // What was counted as too much must become less whatever the estimate says.
            |room| room.min(estimated - estimated / 8),
        );
        let known = dialect.context_tokens.unwrap_or(u64::MAX);
        (tokens < known).then(|| Dialect { context_tokens: Some(tokens), ..dialect.clone() })
    }

    /// The room that the server says there is, in our tokens: it may have counted more or fewer of them than we did.
    fn room(&self, estimated: u64) -> Option<u64> {
        let numbers: Vec<u64> = self
            .words
            .split(|character: char| !character.is_ascii_digit() && character != ',' && character != '_')
            .filter_map(|digits| digits.replace([',', '_'], "").parse().ok())
            // Dates, names of models.
            .filter(|number| (MIN_TOKENS..=estimated.saturating_mul(8)).contains(number))
            .filter(|number| !STATUSES.contains(number))
            .collect();
        let counted = numbers.iter().copied().max()?;
        // A year stands beside them, and is no room.
        let limits = numbers.into_iter().filter(|number| *number < counted && *number >= counted / MAX_OVERRUN);
        let Some(limit) = limits.max() else { return Some(counted) };
        Some(limit.saturating_mul(estimated) / counted)
    }

    fn field(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let named = |field: &Field| match field {
            Field::StreamOptions => self.names(&["stream_options", "stream options", "include_usage"]),
            Field::ToolChoice => self.names(&["tool_choice", "tool choice"]),
            // A stream that broke is called unexpected, invalid and more: only what speaks of the wish for one counts.
            Field::Stream => self.names(&["stream", "streaming"]) && self.says(&STREAMING_REFUSED),
            Field::Tools => false,
        };
        let field = Field::ALL.into_iter().filter(|field| sent.fields.contains(field)).find(named)?;
        Some(without(dialect, field))
    }

    fn signatures(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let names = self.says(&["thought_signature", "thought signature", "thoughtsignature", "extra_content"]);
        let extras = names.then(|| self.sent_back(dialect.extras, sent.calls, sent.extras))??;
        Some(Dialect { extras, ..dialect.clone() })
    }

    fn reasoning(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let names = self.says(&["reasoning", "thinking"]);
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

    fn instructions(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
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

    fn no_text(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let about_it = self.names(&["content"])
            && self
                .says(&["null", "none", "nil", "empty", "blank", "missing", "required", "string", "invalid", "must"]);
        let no_text = match dialect.no_text {
            NoText::Null => NoText::Empty,
            NoText::Empty => NoText::LeftOut,
            NoText::LeftOut => return None,
        };
        (about_it && sent.calls_without_text).then(|| Dialect { no_text, ..dialect.clone() })
    }

    fn call_ids(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let named = self.names(&["tool_call_id", "tool call id", "tool_call_ids", "call_id", "call id"])
            || (self.says(&["tool_call", "tool call"]) && self.names(&["id", "ids"]));
        let other = named && sent.calls && dialect.call_ids == CallIds::Nine;
        other.then(|| Dialect { call_ids: CallIds::AsGiven, ..dialect.clone() })
    }

    fn schemas(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
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
        // Some name the keyword alone, and one says of all schemas that it does not like that they are an invalid argument.
        let meant = (self.names(&weaker) && self.refuses()) || self.says(&["invalid argument"]);
        match dialect.schemas {
            Schemas::Full if named || meant => Some(Dialect { schemas: Schemas::Plain, ..dialect.clone() }),
            // Nothing simpler can be offered; an answer without tools beats none.
            Schemas::Plain if named => Some(without(dialect, Field::Tools)),
            Schemas::Full | Schemas::Plain => None,
        }
    }

    fn tools(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let tools =
            self.names(&["tool", "tools", "tool_calls", "tool_use", "function", "functions", "function_call", "jinja"]);
        let refused = tools && (self.refuses() || self.says(&["requires", "no endpoints", "enable"]));
        let roles = self.says(&["alternat"]) || (self.names(&["role", "roles"]) && self.refuses());
        let has_tools = sent.fields.contains(&Field::Tools) || sent.calls;
        (has_tools && (refused || (roles && sent.calls)) && dialect.sends(Field::Tools))
            .then(|| without(dialect, Field::Tools))
    }

    fn refuses(&self) -> bool {
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

    /// Whether one of these stands in the words.
    fn says(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.words.contains(part))
    }

    /// Whether one of these stands in the words as a name of its own.
    fn names(&self, names: &[&str]) -> bool {
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

fn without(dialect: &Dialect, field: Field) -> Dialect {
    let mut dialect = dialect.clone();
    dialect.left_out.insert(field);
    if field == Field::Stream {
        // It says how to stream.
        dialect.left_out.insert(Field::StreamOptions);
    }
    dialect
}
