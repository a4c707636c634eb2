//! What a refusal says about how a server wants its requests. Read generously: to ask once more in another way costs a moment, an answer that
//! never comes costs a conversation. What was learned counts only once a request that heeds it was accepted; that is for the caller to see.

use crate::{
    dialect::{AnswerLimit, CallIds, Dialect, Field, Instructions, Marks, NoText, Schemas, SentBack},
    provider_error::ProviderError,
};

/// No prompt is shortened to less than this by what a server said: a number that small is something else.
const MIN_TOKENS: u64 = 256;

/// No server counts a prompt as more than so many times what it takes: a number that is smaller still is no room.
const MAX_OVERRUN: u64 = 16;

/// A refusal that was passed on often begins with its status, and no model reads so little.
const STATUSES: std::ops::Range<u64> = 400..600;

/// No answer is limited to less than this by what a server said or has room for: a few sentences.
pub(crate) const MIN_ANSWER_TOKENS: u64 = 256;

/// What has no room beside a longer answer than this may have some beside a shorter one. Most answers are shorter anyway.
const LONG_ANSWER_TOKENS: u64 = 2_048;

/// What stands before a number that is a limit.
const LIMITS: [&str; 17] = [
    "maximum",
    "limit",
    "at most",
    "context length",
    "context window",
    "context size",
    "n_ctx",
    "max_model_len",
    "allowed",
    "exceed",
    "<=",
    "less than",
    "supports",
    "up to",
    "no more than",
    "only",
    "max size",
];

/// What stands behind one.
const LIMITS_BEHIND: [&str; 4] = ["maximum", "tokens maximum", "limit", "context"];

/// How a server says that it does not stream.
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

/// What a refusal is about, as far as its status and codes tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The request is longer than the model can read.
    Length,
    /// Something in it, which the words may name.
    Form,
    /// A call that the model has written.
    Call,
    /// What it would cost.
    Price,
    /// Nothing that is known here; the words may name something in it all the same.
    Unknown,
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
    /// How long the answer was said to be at most.
    pub answer_limit: Option<u64>,
}

/// How to ask again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// In this way.
    pub dialect: Dialect,
    /// Without the beginning of the conversation.
    pub shortens: bool,
    /// Whether it will be so the next time, too. A fault may have been one.
    pub lasts: bool,
}

/// What to do otherwise, if anything comes to mind that was not tried before.
#[must_use]
pub fn lesson(about: About, said: &ProviderError, dialect: &Dialect, sent: &Sent) -> Option<Lesson> {
    let param = said.param.as_deref().unwrap_or_default();
    let complaint = Complaint { words: format!("{} {param}", said.words).to_lowercase() };
    let learned = match about {
        About::Length => complaint.no_room_for_answer(dialect, sent).or_else(|| complaint.too_long(dialect, sent)),
        About::Call => complaint.no_call_wanted(dialect, sent),
        About::Price => complaint.affordable(dialect, sent),
        About::Fault => complaint
            .answer_limit(dialect)
            .or_else(|| complaint.marks(dialect))
            .or_else(|| complaint.instructions(dialect, sent))
            .or_else(|| complaint.no_text(dialect, sent))
            .or_else(|| complaint.tools(about, dialect, sent)),
        // Whoever refuses a field may list those that there are and must be.
        About::Form | About::Unknown => complaint
            .field(dialect, sent)
            .or_else(|| complaint.answer_limit(dialect))
            .or_else(|| complaint.shorter_answer(dialect, sent))
            .or_else(|| complaint.marks(dialect))
            .or_else(|| complaint.signatures(dialect, sent))
            .or_else(|| complaint.reasoning(dialect, sent))
            .or_else(|| complaint.instructions(dialect, sent))
            .or_else(|| complaint.no_text(dialect, sent))
            .or_else(|| complaint.call_ids(dialect, sent))
            .or_else(|| complaint.schemas(dialect, sent))
            .or_else(|| complaint.tools(about, dialect, sent)),
    }?;
    let shortens = learned.context_tokens != dialect.context_tokens;
    Some(Lesson { dialect: learned, shortens, lasts: matches!(about, About::Length | About::Form) })
}

/// A number in what a server said.
struct Number {
    value: u64,
    /// It is called a limit.
    is_limit: bool,
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
        let numbers = self.numbers();
        // Dates, names of models.
        let is_count =
            |number: u64| (MIN_TOKENS..=estimated.saturating_mul(8)).contains(&number) && !STATUSES.contains(&number);
        let numbers: Vec<_> = numbers.into_iter().filter(|number| is_count(number.value)).collect();
        let counted = numbers.iter().map(|number| number.value).max()?;
        // A year stands beside them, and is no room.
        let is_limit = |number: &&Number| number.value < counted && number.value >= counted / MAX_OVERRUN;
        // What was counted is often told in parts, so what is called a limit comes first.
        let called = numbers.iter().filter(is_limit).filter(|number| number.is_limit).map(|number| number.value).max();
        let limit = called.or_else(|| numbers.iter().filter(is_limit).map(|number| number.value).max());
        let Some(limit) = limit else { return Some(counted) };
        Some(limit.saturating_mul(estimated) / counted)
    }

    /// The numbers in the words, those in brackets only if they stand there alone: there are sums of what stands outside.
    fn numbers(&self) -> Vec<Number> {
        Self::numbers_in(&without_sums(&self.words))
    }

    fn numbers_in(words: &str) -> Vec<Number> {
        let (mut numbers, mut rest) = (Vec::new(), words);
        let is_part = |character: char| character.is_ascii_digit() || character == ',' || character == '_';
        while let Some(at) = rest.find(|character: char| character.is_ascii_digit()) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let end = from.find(|character: char| !is_part(character)).unwrap_or(from.len());
            let (digits, after) = from.split_at_checked(end).unwrap_or((from, ""));
            let next = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
            let behind = after.get(..next).unwrap_or_default();
            // "128000 tokens maximum", but not the beginning of the next sentence.
            let behind = behind.split(['.', ';', ',']).next().unwrap_or_default();
            let is_of_name = before.ends_with(|character: char| character == '-' || character.is_ascii_alphabetic());
            let is_limit = LIMITS.iter().any(|word| before.contains(word))
                || before.trim_end().ends_with('>')
                || LIMITS_BEHIND.iter().any(|word| behind.trim_start().starts_with(word));
            if let Ok(value) = digits.replace([',', '_'], "").parse() {
                numbers.push(Number { value, is_limit: is_limit && !is_of_name });
            }
            rest = after;
        }
        numbers
    }

    /// A server that wants to be told how long an answer may be, or under another name.
    fn answer_limit(&self, dialect: &Dialect) -> Option<Dialect> {
        let old = self.names(&["max_tokens", "max tokens", "maxtokens", "max_new_tokens"]);
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
        let answer_limit = match dialect.answer_limit {
            AnswerLimit::Untold if old && self.says(&wanted) => AnswerLimit::MaxTokens,
            AnswerLimit::Untold if new && self.says(&wanted) => AnswerLimit::MaxCompletionTokens,
            AnswerLimit::MaxTokens if new && (self.refuses() || self.says(&["instead"])) => {
                AnswerLimit::MaxCompletionTokens
            }
            _ => return None,
        };
        Some(Dialect { answer_limit, ..dialect.clone() })
    }

    /// One whose model cannot write as much as it was told that an answer may be.
    fn shorter_answer(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let told = sent.answer_limit?;
        let about_it = self.says(&[
            "max_tokens",
            "max_completion_tokens",
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
        // 512 is a limit of many and no status.
        let is_status = |number: u64| STATUSES.contains(&number) && !number.is_power_of_two();
        let fewer = self.numbers().into_iter().filter(|number| number.is_limit).map(|number| number.value);
        match fewer.filter(|number| (MIN_ANSWER_TOKENS..told).contains(number) && !is_status(*number)).max() {
            Some(fewer) => Some(Dialect { answer_tokens: Some(fewer), ..dialect.clone() }),
            None => half(dialect, told).filter(|_| self.names(&[&told.to_string()])),
        }
    }

    /// One that counts the longest answer with the prompt: to forget nothing is worth more than a long answer.
    fn no_room_for_answer(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let told = sent.answer_limit.filter(|told| *told > LONG_ANSWER_TOKENS)?;
        let counts_it = Self::numbers_in(&self.words).iter().any(|number| number.value == told)
            || self.says(&["completion", "max_tokens", "max_new_tokens", "output tokens"]);
        counts_it.then(|| half(dialect, told))?
    }

    /// One that refuses what its model did though it may not. It is told of that in no other way than that nothing is offered.
    fn no_call_wanted(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let about_it = sent.fields.contains(&Field::ToolChoice) && self.says(&["tool choice is none"]);
        about_it.then(|| without(dialect, Field::ToolChoice))
    }

    /// One that reckons with the longest answer that there could be, and says for how much of it there is money.
    fn affordable(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
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

    /// One that takes what was said for marks of its model, and refuses that.
    fn marks(&self, dialect: &Dialect) -> Option<Dialect> {
        let other = dialect.marks == Marks::AsWritten && self.says(&["special token"]);
        other.then(|| Dialect { marks: Marks::Broken, ..dialect.clone() })
    }

    fn field(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let named = |field: &Field| match field {
            Field::StreamOptions => self.names(&["stream_options", "stream options", "include_usage"]),
            Field::ToolChoice => self.names(&["tool_choice", "tool choice"]),
            // A stream that broke is called unexpected, invalid and more: only what speaks of the wish for one counts. What must be beside
            // one may be a limit.
            Field::Stream => {
                let must_be = self.says(&["must be", "should be"]) && !self.names(&["max_tokens"]);
                self.names(&["stream", "streaming"]) && (must_be || self.says(&STREAMING_REFUSED))
            }
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
        let named = self.names(&["content"])
            && self
                .says(&["null", "none", "nil", "empty", "blank", "missing", "required", "string", "invalid", "must"]);
        // So say a template's engine and a parser that do not say where.
        let about_it = named || self.says(&["nullvalue", "nonetype", "did not match any variant"]);
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

    fn tools(&self, about: About, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        // What fails may be a function that the server itself is, or has too much to do.
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

/// Half of the answer that was told, in this turn: nobody said how much is right.
fn half(dialect: &Dialect, told: u64) -> Option<Dialect> {
    let half = told / 2;
    (half >= MIN_ANSWER_TOKENS).then(|| Dialect { answer_tokens_now: Some(half), ..dialect.clone() })
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

/// Words without brackets that have more than one number in them; all of them if there are no numbers elsewhere.
fn without_sums(words: &str) -> String {
    let count =
        |text: &str| text.split(|character: char| !character.is_ascii_digit()).filter(|part| !part.is_empty()).count();
    let (mut kept, mut rest) = (String::with_capacity(words.len()), words);
    while let Some((before, (within, after))) =
        rest.split_once('(').and_then(|(before, from)| Some((before, from.split_once(')')?)))
    {
        kept.push_str(before);
        if count(within) < 2 {
            kept.push('(');
            kept.push_str(within);
        }
        kept.push(')');
        rest = after;
    }
    kept.push_str(rest);
    if count(&kept) == 0 { words.to_owned() } else { kept }
}
