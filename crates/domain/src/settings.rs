//! How a model is to answer: the settings of a conversation and of an assistant, and the form that one answer must have.
//!
//! Must not know how a server is told, or how long anything may be ([`limits`](crate::limits)): whoever takes something from outside checks that.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Id;

/// How a model is to answer. What is absent is as the installation, or the model's server, has it; in JSON it is `null`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({"instructions": "Be brief.", "temperature": 0.7, "max_output_tokens": 500, "reasoning_effort": null, "tools": null})))]
pub struct ModelSettings {
    /// What the model is told before the conversation, after what the installation tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub instructions: Option<String>,
    /// How much the model varies.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub temperature: Option<Temperature>,
    /// The longest answer, in tokens.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub max_output_tokens: Option<u64>,
    /// How much the model reasons before it answers.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Patterns of the tools that may be used, as in policies; empty: none. They allow nothing that is not allowed anyway.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub tools: Option<Vec<String>>,
}

/// The settings of a conversation, and the assistant that they were taken from.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ConversationSettings {
    /// The assistant. It may be changed, or gone, since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant: Option<NamedAssistant>,
    /// The settings.
    pub model: ModelSettings,
    /// Nobody is there who could be asked whether a tool may be called: a program waits for the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unattended: bool,
    /// It began elsewhere: what was said before, a program says. What was called there is not known here, so something private may have been read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub began_elsewhere: bool,
}

impl ConversationSettings {
    /// What counts instead of settings that cannot be read: they may have kept tools out, so none may be used.
    #[must_use]
    pub fn unreadable() -> Self {
        let model = ModelSettings { tools: Some(Vec::new()), ..ModelSettings::default() };
        Self { model, ..Self::default() }
    }
}

/// An assistant as it was when somebody chose it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "Translator"})))]
pub struct NamedAssistant {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
}

/// What an assistant is: settings under a name.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AssistantContents {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The model; the conversation's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How the model is to answer.
    pub settings: ModelSettings,
}

/// How much a model varies, from 0 to 2. Kept in thousandths, so that it is written as it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = f64, minimum = 0, maximum = 2, examples(0.7)))]
pub struct Temperature(u16);

/// A temperature that no server takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a temperature is a number from 0 to 2")]
pub struct InvalidTemperature;

impl TryFrom<f64> for Temperature {
    type Error = InvalidTemperature;

    fn try_from(value: f64) -> Result<Self, InvalidTemperature> {
        if !(0.0..=2.0).contains(&value) {
            return Err(InvalidTemperature);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 2000")]
        Ok(Self((value * 1_000.0).round() as u16))
    }
}

impl From<Temperature> for f64 {
    fn from(Temperature(thousandths): Temperature) -> Self {
        Self::from(thousandths) / 1_000.0
    }
}

/// How much a model reasons before it answers. Which of these a model knows, its server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    XHigh,
}

impl ReasoningEffort {
    /// Every effort, the least first.
    pub const ALL: [Self; 6] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh];

    /// The text that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
        }
    }

    /// Reads the text that [`Self::as_str`] returns.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == text)
    }
}

/// The form that an answer must have: JSON that is valid against a schema. Its JSON is that of `json_schema` in Chat Completions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResponseFormat {
    /// A name for the model.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub name: String,
    /// What it is, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 1000, nullable = false))]
    pub description: Option<String>,
    /// The JSON Schema, as it was sent: models write fields in its order.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, serde_json::Value>))]
    pub schema: Box<RawValue>,
    /// Whether the server is to force the model. It then accepts only some schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub strict: Option<bool>,
}

impl ResponseFormat {
    /// What counts instead of a form that cannot be read: nothing fits it, so no answer passes unchecked.
    #[must_use]
    pub fn unreadable() -> Self {
        // The constant is valid JSON; if it were not, null is no schema that anything fits either.
        let schema = RawValue::from_string("false".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { name: "unreadable".to_owned(), description: None, schema, strict: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_they_were_sent_and_what_is_absent_is_null() {
        let json = r#"{"instructions":"Be brief.","temperature":0.7,"max_output_tokens":500,"reasoning_effort":"xhigh","tools":["mail:*"]}"#;
        let settings: ModelSettings = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), json);
        let usual = serde_json::to_string(&ModelSettings::default()).unwrap();
        assert_eq!(
            usual,
            r#"{"instructions":null,"temperature":null,"max_output_tokens":null,"reasoning_effort":null,"tools":null}"#
        );
        for json in ["{}", &usual] {
            assert_eq!(serde_json::from_str::<ModelSettings>(json).unwrap(), ModelSettings::default());
        }
        for effort in ReasoningEffort::ALL {
            assert_eq!(serde_json::to_value(effort).unwrap(), effort.as_str());
            assert_eq!(ReasoningEffort::parse(effort.as_str()), Some(effort));
        }
    }

    #[test]
    fn a_temperature_is_between_0_and_2() {
        for (value, expected) in
            [(0.0, Some(0.0)), (1.23, Some(1.23)), (2.0, Some(2.0)), (2.1, None), (-0.1, None), (f64::NAN, None)]
        {
            assert_eq!(Temperature::try_from(value).ok().map(f64::from), expected, "{value}");
        }
    }
}
