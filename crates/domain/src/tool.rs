//! Tools: what a model knows of them, what may be done with them, what a person decides about one call, and what comes of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::time::{self, Timestamp};

/// What a policy says about the tools it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// They may be called.
    Allow,
    /// The person is asked before each call.
    Ask,
    /// They may not be called.
    Deny,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Ask, Self::Deny];

    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }

    /// From what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == text)
    }
}

/// What a person decides about a call that needs their approval.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This call is made.
    AllowOnce,
    /// This call is made, and later calls of the same tool need not be asked about.
    AllowAlways,
    /// This call is not made.
    Deny,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 3] = [Self::AllowOnce, Self::AllowAlways, Self::Deny];

    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowOnce => "allow_once",
            Self::AllowAlways => "allow_always",
            Self::Deny => "deny",
        }
    }

    /// From what [`Self::as_str`] wrote.
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

/// What tools there are for a person.
#[derive(Clone, Default, Debug)]
pub struct Offered {
    /// Those that can be called.
    pub tools: Vec<ToolDefinition>,
    /// Servers that have more, which want something of the person first.
    pub unconfigured: Vec<String>,
}

/// A tool as the model may know it. Kept and sent as it is here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name, unique here.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Box<RawValue>,
}

/// What a call came to, for the run that wants it. Sent as it is here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToolAnswer {
    /// It was made, or will never be.
    Result {
        /// The result, or what went wrong, for the model and the person.
        content: String,
        /// Whether it went wrong.
        is_error: bool,
    },
    /// It was not made: the person has been asked, and it is to be tried again when they have decided or it is too late.
    ApprovalNeeded {
        /// Where it would be made.
        server: String,
        /// The tool, for the person.
        title: String,
        /// Nothing but this call can be allowed.
        always_asks: bool,
        /// Whether it is asked about because others would hear something in it that may be private.
        may_disclose: bool,
        /// When it is too late.
        #[serde(with = "time::milliseconds")]
        expires_at: Timestamp,
    },
    /// It was not made: somebody else has the run.
    LeaseLost,
}

impl ToolAnswer {
    /// What went wrong.
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
