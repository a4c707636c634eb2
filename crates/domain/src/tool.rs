//! Tools: their definitions for the model, the effects of policies, a person's decision about a call, and its outcome.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::time::{self, Timestamp};

/// The effect of a policy on the tools that it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Effect {
    /// The tools may be called.
    Allow,
    /// The person is asked before each call.
    Ask,
    /// The tools may not be called.
    Deny,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Ask, Self::Deny];

    /// The text that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }

    /// Reads the text that [`Self::as_str`] returns.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == text)
    }
}

/// What a run says of itself with each of its calls. It allows nothing that is not allowed anyway.
#[derive(Clone, Copy, Default, Debug)]
pub struct CallTerms<'a> {
    /// Patterns of the tools that the run may use; `None`: all.
    pub chosen: Option<&'a [String]>,
    /// Nobody is there who could approve a call.
    pub unattended: bool,
    /// The conversation began elsewhere, where something private may have been read.
    pub began_elsewhere: bool,
}

/// A person's decision about a call that needs their approval.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Decision {
    /// This call is made.
    AllowOnce,
    /// This call is made, and the person is not asked about later calls of the same tool.
    AllowAlways,
    /// This call is not made.
    Deny,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 3] = [Self::AllowOnce, Self::AllowAlways, Self::Deny];

    /// The text that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowOnce => "allow_once",
            Self::AllowAlways => "allow_always",
            Self::Deny => "deny",
        }
    }

    /// Reads the text that [`Self::as_str`] returns.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == text)
    }

    /// Whether the call is made.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::AllowOnce | Self::AllowAlways)
    }
}

/// The tools for a person.
#[derive(Clone, Default, Debug)]
pub struct Offered {
    /// The tools that can be called.
    pub tools: Vec<ToolDefinition>,
    /// Servers with more tools, for which the person must first enter something.
    pub unconfigured: Vec<String>,
}

/// A tool's definition for the model. It is stored and sent in this form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name, unique in the installation.
    pub name: String,
    /// Its name for people, who see it called; no model is told. Absent in what an earlier release kept.
    #[serde(default)]
    pub title: Option<String>,
    /// What it does, for the model.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Box<RawValue>,
}

/// The outcome of a call, for the run that asked for it. It is sent in this form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToolAnswer {
    /// The call was made, or will never be made.
    Result {
        /// The result or the error message, for the model and the person.
        content: String,
        /// Whether `content` is an error message.
        is_error: bool,
    },
    /// The call was not made: the person was asked. It is tried again after the decision or the deadline.
    ApprovalNeeded {
        /// The server that would be called.
        server: String,
        /// The tool's name for the person.
        title: String,
        /// Whether the person can allow only this call, not later ones.
        always_asks: bool,
        /// Whether the person is asked because the call may disclose private data to others.
        may_disclose: bool,
        /// The deadline for the decision.
        #[serde(with = "time::milliseconds")]
        expires_at: Timestamp,
    },
    /// The call was made, and goes on at its server as a task.
    Task {
        /// The server that works on it.
        server: String,
        /// The tool's name for the person.
        title: String,
        /// Since when.
        #[serde(with = "time::milliseconds")]
        started_at: Timestamp,
    },
    /// The call was not made: another executor has the run.
    LeaseLost,
}

impl ToolAnswer {
    /// A result with this error message.
    pub fn failed(content: impl Into<String>) -> Self {
        Self::Result { content: content.into(), is_error: true }
    }
}

/// How far a call is, as its server tells while it works. Checked and cut where it comes in. Sent as it is here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolProgress {
    /// So much is done.
    pub progress: f64,
    /// Of so much, if that is known; more than nothing.
    pub total: Option<f64>,
    /// What is being done, in the server's words; may be empty.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_it_was_written_and_is_the_one_in_json() {
        for effect in Effect::ALL {
            assert_eq!(Effect::parse(effect.as_str()), Some(effect));
            assert_eq!(serde_json::to_value(effect).unwrap(), effect.as_str());
        }
        for decision in Decision::ALL {
            assert_eq!(Decision::parse(decision.as_str()), Some(decision));
            assert_eq!(serde_json::to_value(decision).unwrap(), decision.as_str());
        }
        assert_eq!((Effect::parse("Allow"), Decision::parse("")), (None, None));
    }
}
