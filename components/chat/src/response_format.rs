//! The form that an answer must have, as a message wants it: `response_format` of Chat Completions, of which `json_schema` is taken. It is checked before
//! anything is stored; whether an answer fits is checked by whoever executes the run.

use std::borrow::Cow;

use domain::ResponseFormat;
use json_schema::{MAX_DEPTH, MAX_SCHEMA_BYTES, Unfit};
use problem::Problem;
use serde::Deserialize;
use serde_json::json;
use web::Result;

/// OpenAI's limits of a name; a description is some sentences.
const MAX_NAME_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 1_000;

/// The form that an answer must have, as in Chat Completions.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ResponseFormatWanted, example = json!({"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}})))]
pub(crate) struct Wanted {
    r#type: String,
    /// With `json_schema`: the form.
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
    let unusable = |why: Cow<'static, str>| refuse(format!("The schema cannot be used: {why}."));
    if let Err(unfit) = json_schema::repaired(schema) {
        return unusable(match unfit {
            Unfit::TooLarge => format!("it is longer than {MAX_SCHEMA_BYTES} bytes").into(),
            Unfit::TooManyForms => "it has too many forms".into(),
            Unfit::TooDeep => format!("it is nested more than {MAX_DEPTH} deep").into(),
            Unfit::NotJson(why) => why.into(),
            Unfit::NotAnObject => "it must describe an object, as servers of models want it".into(),
            Unfit::Reference(name) => format!("it refers to {name}, which is not in it").into(),
        });
    }
    let read = serde_json::from_str(schema.get()).map_err(Problem::internal)?;
    match json_schema::check(&read, &json!({})) {
        Ok(_) => Ok(()),
        Err(why) => unusable(why.to_string().into()),
    }
}

fn refuse<T>(detail: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(Problem::invalid_field("response_format", detail).into())
}
