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

/// Words about a model that takes no pictures.
const OF_MODEL: [&str; 8] = [
    "not support image",
    "n't support image",
    "image input",
    "multimodal",
    "multi-modal",
    "modalit",
    "mmproj",
    "unknown variant",
];

/// Words about one picture.
const OF_PICTURE: [&str; 9] =
    ["valid", "corrupt", "unsupported image", "decode", "download", "size", "too large", "too many", "format"];

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
            Field::Images => !(self.says(&OF_MODEL) || self.names(&["vision"])) || self.says(&OF_PICTURE),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learning::{About, lesson},
        provider_error::ProviderError,
    };

    #[test]
    fn one_picture_that_cannot_be_read_takes_pictures_from_nobody_else() {
        let sent = Sent { fields: vec![Field::Images], ..Sent::default() };
        let learned = |words: &str| {
            let said = ProviderError { words: words.to_owned(), ..ProviderError::default() };
            let dialect = lesson(About::Form, &said, &Dialect::default(), &sent).unwrap().dialect;
            (dialect.left_out_now.contains(&Field::Images), dialect.left_out.contains(&Field::Images))
        };
        for of_picture in [
            "You uploaded an unsupported image. Please make sure your image is valid.",
            "The image data you provided does not represent a valid image, or its format is not supported.",
            "Images of this kind are not supported.",
        ] {
            assert_eq!(learned(of_picture), (true, false), "{of_picture}");
        }
        for of_model in [
            "This model does not support image input.",
            "No endpoints found that support image input",
            "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
            "messages[0].content: unknown variant `image_url`, expected `text`",
        ] {
            assert_eq!(learned(of_model), (false, true), "{of_model}");
        }
    }
}
