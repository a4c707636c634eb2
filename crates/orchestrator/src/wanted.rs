//! What a run's person wants of the answer: how the model is to answer, and the form of the answer, which is checked at the end. Must not know how a server
//! is told.

use completions::{Dialect, Generation, JsonFormat, Round, dialect::Field};
use domain::{ModelSettings, ResponseFormat, tool::CallTerms};
use json_schema::Unfit;
use serde_json::{Value, value::RawValue};
use storage::{claims::Claim, memories::KnownFact};

use crate::error_handler::{self, TurnFailure};

/// The notice to the person when the model's server accepted no temperature, or not this one.
const WITHOUT_TEMPERATURE: &str = "This model does not take the temperature that is set. It answers with its own.";
/// The same of the reasoning effort.
const WITHOUT_EFFORT: &str =
    "This model does not take the reasoning effort that is set. It reasons as it usually does.";

/// The same of the schema of the answer.
const WITHOUT_SCHEMA: &str =
    "This model's server does not take the schema of the answer. It was told in words, and the answer is checked.";

/// What is wanted of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    settings: &'a ModelSettings,
    unattended: bool,
    began_elsewhere: bool,
    format: Option<&'a ResponseFormat>,
    memories: &'a [KnownFact],
}

impl<'a> Wanted<'a> {
    /// Of the run's answer.
    pub(crate) const fn of(claim: &'a Claim) -> Self {
        let Claim { settings, unattended, began_elsewhere, response_format, memories, .. } = claim;
        let (unattended, began_elsewhere) = (*unattended, *began_elsewhere);
        let memories = match memories {
            Some(memories) => memories.as_slice(),
            None => &[],
        };
        Self { settings, unattended, began_elsewhere, format: response_format.as_ref(), memories }
    }

    /// For a request.
    pub(crate) fn generation(self) -> Generation<'a> {
        let format = self.format.map(|ResponseFormat { name, description, schema, strict }| JsonFormat {
            name,
            description: description.as_deref(),
            schema,
            strict: *strict,
        });
        Generation {
            temperature: self.settings.temperature.map(f64::from),
            reasoning_effort: self.settings.reasoning_effort.map(|effort| effort.as_str()),
            max_output_tokens: self.settings.max_output_tokens,
            format,
        }
    }

    /// The conversation's own instructions.
    pub(crate) fn instructions(self) -> &'a str {
        self.settings.instructions.as_deref().unwrap_or_default()
    }

    /// What the person had remembered, the newest first.
    pub(crate) const fn memories(self) -> &'a [KnownFact] {
        self.memories
    }

    /// Of its calls.
    pub(crate) fn terms(self) -> CallTerms<'a> {
        let Self { settings, unattended, began_elsewhere, .. } = self;
        CallTerms { chosen: settings.tools.as_deref(), unattended, began_elsewhere }
    }

    /// What is set and not sent, because the server refuses it, in words for the person.
    pub(crate) fn unmet(self, dialect: &Dialect) -> Vec<&'static str> {
        let temperature = self.settings.temperature.map(|_| (Field::Temperature, WITHOUT_TEMPERATURE));
        let effort = self.settings.reasoning_effort.map(|_| (Field::ReasoningEffort, WITHOUT_EFFORT));
        let format = self.format.map(|_| (Field::ResponseFormat, WITHOUT_SCHEMA));
        let set = [temperature, effort, format].into_iter().flatten();
        set.filter(|(field, _)| !dialect.sends(*field)).map(|(_, words)| words).collect()
    }

    /// Why an answer does not have the form that is wanted.
    pub(crate) fn fault(self, round: &Round) -> Option<TurnFailure> {
        let ResponseFormat { schema, .. } = self.format?;
        let was_cut = round.finish_reason.as_deref() == Some("length");
        let faults = match (serde_json::from_str::<Value>(&round.text), meanings(schema)) {
            (Ok(answer), Ok(schemas)) => schemas.iter().find_map(|schema| faults(schema, &answer)),
            (Err(error), _) => Some(format!("it is not JSON ({error})")),
            (_, Err(unfit)) => Some(format!("its schema {unfit}")),
        };
        faults.map(|faults| error_handler::unfit(&faults, was_cut))
    }
}

/// The schema as it was sent, and as it is meant: of an object, in today's version, and without a wrapper. An answer must fit both, because what is meant
/// leaves out what few servers take, such as the forms of which one must fit.
fn meanings(schema: &RawValue) -> Result<[Value; 2], Unfit> {
    let meant = json_schema::repaired(schema)?;
    let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| Unfit::NotJson(error.to_string()));
    Ok([read(schema.get())?, read(meant.get())?])
}

fn faults(schema: &Value, answer: &Value) -> Option<String> {
    match json_schema::check(schema, answer) {
        Ok(problems) if problems.is_empty() => None,
        Ok(problems) => Some(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        Err(unusable) => Some(format!("its schema cannot be used: {unusable}")),
    }
}
