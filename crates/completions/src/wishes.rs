//! Refusals of what is only sent because a person wants it: pictures, the form of an answer, the reasoning effort, the temperature. A wish of one person must take
//! nothing from others, so what is not certainly about the field itself is left out for this turn only.

use crate::{
    complaint::{Complaint, Sent, without},
    dialect::{Dialect, Field},
};

/// The fields, the one first that is left out last if a message names several.
const WISHES: [Field; 4] = [Field::Images, Field::ResponseFormat, Field::ReasoningEffort, Field::Temperature];

/// Words of a server that does not know a field, or not for this model.
const UNKNOWN: [&str; 8] = [
    "support",
    "unavailable",
    "not available",
    "unknown",
    "unrecognized",
    "unrecognised",
    "extra inputs",
    "not permitted",
];

fn wished(sent: &Sent) -> impl DoubleEndedIterator<Item = Field> {
    WISHES.into_iter().filter(|field| sent.fields.contains(field))
}

/// Without all wishes in this turn. `None`: none was sent.
pub(crate) fn without_wishes(dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
    let mut dialect = dialect.clone();
    dialect.left_out_now.extend(wished(sent));
    wished(sent).next().map(|_| dialect)
}

impl Complaint {
    /// A wish that the message is about is left out: for good if it is certainly not known, else in this turn.
    pub(crate) fn wish(&self, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
        let mut named = wished(sent).rev().filter(|field| self.is_about(*field, sent));
        let field = named.next()?;
        if named.next().is_none() && self.is_unknown(field) {
            return Some(without(dialect, field));
        }
        let mut dialect = dialect.clone();
        dialect.left_out_now.insert(field);
        Some(dialect)
    }

    fn is_about(&self, field: Field, sent: &Sent) -> bool {
        match field {
            Field::Temperature => self.names(&["temperature"]),
            Field::Images => {
                self.names(&["image", "images", "image_url", "input_image", "vision", "multimodal", "mmproj"])
                    || self.says(&["multi-modal", "modalities"])
            }
            Field::ReasoningEffort => {
                let of_other = sent.reasoning || self.names(&["include", "encrypted_content", "encrypted content"]);
                let of_model = !of_other && self.names(&["reasoning", "thinking"]) && self.refuses();
                of_model || self.names(&["reasoning_effort", "reasoning effort", "reasoning.effort"])
            }
            _ => {
                let names = ["response_format", "response format", "text.format", "json_schema", "response_schema"];
                let words =
                    ["json schema", "json mode", "mime type", "mime_type", "structured output", "guided decoding"];
                self.names(&names) || self.says(&words) || self.names(&["grammar"])
            }
        }
    }

    /// Whether the server knows the field not at all, whatever its value is and whatever is sent beside it.
    fn is_unknown(&self, field: Field) -> bool {
        let beside = ["tool", "tools", "function", "functions", "function_call", "tool_choice"];
        let of_value = match field {
            // A picture that it cannot read says nothing about others.
            Field::Images => self.says(&["invalid", "decode", "download", "size", "too large", "too many", "format"]),
            Field::Temperature => {
                self.says(&["between", "range", "less than", "greater than", "at most", "<=", "maximum"])
            }
            Field::ReasoningEffort => {
                self.says(&["supported values", "unsupported value", "invalid value", "should be", "must be", "one of"])
            }
            _ => {
                self.names(&["schema", "additionalproperties", "properties", "required", "grammar", "$ref", "strict"])
                    || self.says(&["mime type", "mime_type", "json mode", "json schema"])
            }
        };
        self.says(&UNKNOWN) && !of_value && !self.names(&beside)
    }
}
