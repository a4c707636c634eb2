//! The settings of a conversation and of an assistant, as they are sent: `{"instructions", "temperature", "max_output_tokens", "reasoning_effort", "tools"}`.
//! Everything is checked here. Must not know where they are stored.

use domain::{
    ModelSettings, ReasoningEffort, Temperature,
    limits::{MAX_INSTRUCTIONS_BYTES, MAX_OUTPUT_TOKENS, MIN_OUTPUT_TOKENS},
};
use problem::Problem;
use serde::{Deserialize, Deserializer};
use toolbox::{
    Effect, Policy,
    policy::{MAX_CHOSEN, MAX_CHOSEN_BYTES},
};
use web::Result;

/// Settings, in whose instructions JSON may write a byte as six, and a name and a description beside them.
pub(crate) const MAX_SETTINGS_BYTES: usize = 6 * MAX_INSTRUCTIONS_BYTES + MAX_CHOSEN_BYTES + 16 * 1024;

/// What is to be different about settings. What is left out stays, `null` is as usual.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ModelSettingsChange))]
pub(crate) struct SettingsChange {
    /// What the model is told first: at most 16 KiB.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    instructions: Option<Option<String>>,
    /// How much it varies.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<f64>, minimum = 0, maximum = 2))]
    temperature: Option<Option<f64>>,
    /// How long an answer may be.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<u64>, minimum = 16, maximum = 1000000))]
    max_output_tokens: Option<Option<u64>>,
    /// How much it reasons. Read as a string, so that an unknown one is reported as a wrong field, not as a wrong body.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<domain::ReasoningEffort>))]
    reasoning_effort: Option<Option<String>>,
    /// Patterns of the tools that may be used, as policies name them.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<Vec<String>>))]
    tools: Option<Option<Vec<String>>>,
}

/// Tells `null` from a field that is absent.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl SettingsChange {
    /// Checks the change and makes it.
    pub(crate) fn apply(&self, settings: &mut ModelSettings) -> Result<()> {
        if let Some(instructions) = &self.instructions {
            let instructions = instructions.as_deref().map(str::trim).filter(|text| !text.is_empty());
            if instructions.is_some_and(|text| text.len() > MAX_INSTRUCTIONS_BYTES) {
                return refuse(
                    "settings.instructions",
                    format!("Instructions have at most {MAX_INSTRUCTIONS_BYTES} bytes."),
                );
            }
            // As in messages: some servers refuse NUL.
            settings.instructions = instructions.map(|text| text.replace('\0', "\u{fffd}"));
        }
        if let Some(temperature) = self.temperature {
            let Ok(temperature) = temperature.map(Temperature::try_from).transpose() else {
                return refuse("settings.temperature", "A temperature is a number from 0 to 2, or null.");
            };
            settings.temperature = temperature;
        }
        if let Some(tokens) = self.max_output_tokens {
            if tokens.is_some_and(|tokens| !(MIN_OUTPUT_TOKENS..=MAX_OUTPUT_TOKENS).contains(&tokens)) {
                let detail = format!(
                    "The longest answer is a number of tokens from {MIN_OUTPUT_TOKENS} to {MAX_OUTPUT_TOKENS}, or null."
                );
                return refuse("settings.max_output_tokens", detail);
            }
            settings.max_output_tokens = tokens;
        }
        if let Some(effort) = &self.reasoning_effort {
            let parsed = effort.as_deref().map(ReasoningEffort::parse);
            if parsed == Some(None) {
                let all = ReasoningEffort::ALL.map(ReasoningEffort::as_str).join(", ");
                return refuse("settings.reasoning_effort", format!("A reasoning effort is one of {all}, or null."));
            }
            settings.reasoning_effort = parsed.flatten();
        }
        if let Some(tools) = &self.tools {
            check_patterns(tools.as_deref().unwrap_or_default())?;
            settings.tools.clone_from(tools);
        }
        Ok(())
    }
}

fn check_patterns(patterns: &[String]) -> Result<()> {
    if patterns.len() > MAX_CHOSEN {
        return refuse("settings.tools", format!("Use at most {MAX_CHOSEN} patterns of tools."));
    }
    for pattern in patterns {
        if let Err(invalid) = Policy::parse(pattern, Effect::Allow) {
            return refuse("settings.tools", format!("Name tools as policies do: {invalid}."));
        }
    }
    Ok(())
}

fn refuse<T>(field: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Result<T> {
    Err(Problem::invalid_field(field, detail).into())
}
