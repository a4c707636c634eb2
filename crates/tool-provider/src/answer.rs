//! The results of tools' functions.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Failure, schema};

/// A call's result: text for the model and the person, and optionally the same as JSON.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Answer {
    /// The result as text.
    pub text: String,
    /// The result as a JSON object.
    pub structured: Option<String>,
}

/// A result with fields. The model reads it as JSON; its schema is part of the tool's definition.
#[derive(Clone, Debug)]
pub struct Structured<T>(pub T);

/// The possible results of a tool's function: `Result` of a `String`, an [`Answer`] or a [`Structured`].
#[diagnostic::on_unimplemented(
    message = "a tool cannot return `{Self}`",
    label = "not a possible result of a tool",
    note = "return `Result<String, Failure>`, or `Result<Structured<T>, Failure>` with a struct `T` that has `Serialize` and `JsonSchema`"
)]
pub trait IntoAnswer {
    /// The JSON Schema of the structured part.
    fn schema() -> Option<String> {
        None
    }

    /// Converts the function's result.
    ///
    /// # Errors
    /// The function's own, or an error that the result cannot be written as JSON.
    fn into_answer(self) -> Result<Answer, Failure>;
}

impl<T: IntoAnswer> IntoAnswer for Result<T, Failure> {
    fn schema() -> Option<String> {
        T::schema()
    }

    fn into_answer(self) -> Result<Answer, Failure> {
        self?.into_answer()
    }
}

impl IntoAnswer for Answer {
    fn into_answer(self) -> Result<Answer, Failure> {
        Ok(self)
    }
}

impl IntoAnswer for String {
    fn into_answer(self) -> Result<Answer, Failure> {
        Ok(Answer { text: self, structured: None })
    }
}

impl<T: Serialize + JsonSchema> IntoAnswer for Structured<T> {
    fn schema() -> Option<String> {
        Some(schema::<T>())
    }

    fn into_answer(self) -> Result<Answer, Failure> {
        let text = serde_json::to_string(&self.0)
            .map_err(|error| Failure::UpstreamFailed(format!("The result cannot be written as JSON: {error}.")))?;
        Ok(Answer { structured: Some(text.clone()), text })
    }
}
