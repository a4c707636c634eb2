//! The form that an answer must have, as a message wants it: `response_format` of Chat Completions, of which `json_schema` is taken. It is checked before
//! anything is stored; whether an answer fits is checked by whoever executes the run.

use std::borrow::Cow;

use domain::ResponseFormat;
use problem::Problem;
use serde::Deserialize;
use serde_json::json;
use web::Result;

/// OpenAI's limits of a name; a description is some sentences.
const MAX_NAME_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 1_000;

/// As it is sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    r#type: String,
    json_schema: Option<ResponseFormat>,
}

impl Wanted {
    /// The form; `None`: any.
    pub(crate) fn checked(self) -> Result<Option<ResponseFormat>> {
        let format = match (self.r#type.as_str(), self.json_schema) {
            ("text", None) => return Ok(None),
            ("json_schema", Some(format)) => format,
            _ => {
                return refuse(
                    r#"Use {"type": "json_schema", "json_schema": {"name", "schema", "strict"}}, or {"type": "text"}."#,
                );
            }
        };
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if !(1..=MAX_NAME_CHARS).contains(&format.name.len()) || !format.name.chars().all(is_name) {
            return refuse(format!("Use a name of 1 to {MAX_NAME_CHARS} letters, digits, _ and -."));
        }
        let description = format.description.as_deref().unwrap_or_default();
        if description.chars().count() > MAX_DESCRIPTION_CHARS {
            return refuse(format!("Use a description of at most {MAX_DESCRIPTION_CHARS} characters."));
        }
        check_schema(&format)?;
        Ok(Some(format))
    }
}

fn check_schema(ResponseFormat { schema, .. }: &ResponseFormat) -> Result<()> {
    if let Err(unfit) = json_schema::repaired(schema) {
        return refuse(format!("The schema {unfit}."));
    }
    let read = serde_json::from_str(schema.get()).map_err(Problem::internal)?;
    match json_schema::check(&read, &json!({})) {
        Ok(_) => Ok(()),
        Err(why) => refuse(format!("The schema cannot be used: {why}.")),
    }
}

fn refuse<T>(detail: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(Problem::invalid_field("response_format", detail).into())
}
