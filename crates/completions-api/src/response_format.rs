//! The form that an answer must have: `response_format` of Chat Completions, of which `json_schema` is taken. Whether an answer fits is checked by whoever
//! executes the run.

use domain::ResponseFormat;
use serde::Deserialize;
use serde_json::json;

/// OpenAI's limits of a name; a description is some sentences.
const MAX_NAME_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 1_000;

/// Why a form cannot be wanted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidFormat {
    /// It is another type, or lacks its schema.
    #[error(r#"Use {{"type": "json_schema", "json_schema": {{"name", "schema", "strict"}}}}, or {{"type": "text"}}."#)]
    Type,
    /// Its name is missing, too long or no name.
    #[error("Use a name of 1 to {MAX_NAME_CHARS} letters, digits, _ and -.")]
    Name,
    /// Its description is too long.
    #[error("Use a description of at most {MAX_DESCRIPTION_CHARS} characters.")]
    Description,
    /// Its schema cannot be used.
    #[error("The schema {0}.")]
    Unfit(#[from] json_schema::Unfit),
    /// Nothing can be checked against its schema.
    #[error("The schema cannot be used: {0}.")]
    Unusable(String),
}

/// The form that an answer must have, as in Chat Completions.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ResponseFormatWanted, example = json!({"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}})))]
pub struct Wanted {
    r#type: String,
    /// With `json_schema`: the form.
    json_schema: Option<ResponseFormat>,
}

impl Wanted {
    /// The form; `None`: any.
    ///
    /// # Errors
    /// [`InvalidFormat`].
    pub fn checked(self) -> Result<Option<ResponseFormat>, InvalidFormat> {
        let format = match (self.r#type.as_str(), self.json_schema) {
            ("text", None) => return Ok(None),
            ("json_schema", Some(format)) => format,
            _ => return Err(InvalidFormat::Type),
        };
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if !(1..=MAX_NAME_CHARS).contains(&format.name.len()) || !format.name.chars().all(is_name) {
            return Err(InvalidFormat::Name);
        }
        let description = format.description.as_deref().unwrap_or_default();
        if description.chars().count() > MAX_DESCRIPTION_CHARS {
            return Err(InvalidFormat::Description);
        }
        check_schema(&format)?;
        Ok(Some(format))
    }
}

fn check_schema(ResponseFormat { schema, .. }: &ResponseFormat) -> Result<(), InvalidFormat> {
    json_schema::repaired(schema)?;
    let unusable = |why: String| InvalidFormat::Unusable(why);
    let read = serde_json::from_str(schema.get()).map_err(|error| unusable(error.to_string()))?;
    json_schema::check(&read, &json!({})).map(drop).map_err(|why| unusable(why.to_string()))
}
