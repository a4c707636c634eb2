//! A run: the work of answering one message, and the states it goes through.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

use crate::{Id, Timestamp, prices::MILLIONTHS};

/// A run as its owner sees it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: Id,
    /// The conversation it answers in.
    pub conversation_id: Id,
    /// The message it answers.
    pub message_id: Id,
    /// Its state.
    pub state: RunState,
    /// The model it asks.
    pub model: String,
    /// When the message arrived.
    pub created_at: Timestamp,
    /// When it was last claimed, or ended.
    pub updated_at: Timestamp,
    /// Why it failed, if it did.
    pub failure: Option<RunFailure>,
    /// The tokens that it used, as far as the model reported them.
    pub usage: Option<Usage>,
    /// The name of the provider that answered, or was asked last. `None`: none was asked, or an earlier release executed the run.
    pub provider: Option<String>,
    /// What the tokens cost, if it is known.
    pub cost: Option<Cost>,
}

/// An amount of money.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cost {
    /// In millionths of the currency; it is sent as `amount`, in the currency.
    #[cfg_attr(feature = "openapi", schema(rename = "amount", value_type = f64))]
    pub millionths: u64,
    /// Its code (ISO 4217).
    pub currency: String,
}

impl Serialize for Cost {
    /// `{"amount": 0.001234, "currency": "EUR"}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "a number of JSON is no more exact")]
        let amount = self.millionths as f64 / MILLIONTHS as f64;
        let mut object = serializer.serialize_struct("Cost", 2)?;
        object.serialize_field("amount", &amount)?;
        object.serialize_field("currency", &self.currency)?;
        object.end()
    }
}

/// Why a run failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunFailure {
    /// A stable code for programs.
    pub code: String,
    /// The message for the person.
    pub message: String,
}

/// Tokens, as the provider counts them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Tokens in the requests of all rounds.
    pub prompt_tokens: u64,
    /// Tokens in the answers.
    pub completion_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
}

impl Usage {
    /// Adds the usage of another round.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            total_tokens: self.total_tokens.saturating_add(other.total_tokens),
        }
    }
}

/// The state of a run. A conversation without an active run is idle.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunState {
    /// Stored; nobody reads its events yet.
    Queued,
    /// Claimed; the model has not answered yet.
    Processing,
    /// The model is answering.
    Streaming,
    /// Tools are being called.
    ToolExecution,
    /// A tool call waits for the person's decision.
    AwaitingApproval,
    /// A tool call goes on at its server, as a task; nobody executes the run meanwhile.
    AwaitingTask,
    /// Answered.
    Complete,
    /// Failed, with a [`RunFailure`].
    Error,
    /// Stopped by the person; what was written stays.
    Cancelled,
}

/// A step that changes the state of a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RunStep {
    /// An executor starts the run, takes it over from a dead executor, or continues it after the person's decision or a task's end.
    Claim,
    /// The model's first delta of a round arrives.
    ModelAnswers,
    /// The model's round ended with tool calls.
    CallTools,
    /// A tool call needs the person's decision.
    AskApproval,
    /// A tool call goes on at its server.
    AwaitTask,
    /// All calls of the round have results.
    ToolsFinished,
    /// The answer is complete.
    Finish,
    /// Something failed for good.
    Fail,
    /// The person stops it.
    Cancel,
}

/// A step that the run's state does not allow.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {} cannot {step:?}", state.as_str())]
pub struct InvalidTransition {
    /// The state of the run.
    pub state: RunState,
    /// The attempted step.
    pub step: RunStep,
}

impl RunState {
    /// Every state, in the order of a run's life.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Processing,
        Self::Streaming,
        Self::ToolExecution,
        Self::AwaitingApproval,
        Self::AwaitingTask,
        Self::Complete,
        Self::Error,
        Self::Cancelled,
    ];

    /// The state after a step. All transitions are decided here.
    ///
    /// # Errors
    /// [`InvalidTransition`] if the state does not allow the step; an ended run allows none.
    pub const fn after(self, step: RunStep) -> Result<Self, InvalidTransition> {
        use RunStep as S;
        Ok(match (self, step) {
            (state, S::Claim) if !state.is_terminal() => Self::Processing,
            (Self::Processing | Self::Streaming, S::ModelAnswers) | (Self::ToolExecution, S::ToolsFinished) => {
                Self::Streaming
            }
            // A run that was taken over during its tool calls goes straight back to them.
            (Self::Processing | Self::Streaming, S::CallTools) => Self::ToolExecution,
            (Self::ToolExecution, S::AskApproval) => Self::AwaitingApproval,
            (Self::ToolExecution, S::AwaitTask) => Self::AwaitingTask,
            (Self::Processing | Self::Streaming, S::Finish) => Self::Complete,
            (state, S::Fail) if !state.is_terminal() => Self::Error,
            (state, S::Cancel) if !state.is_terminal() => Self::Cancelled,
            (state, step) => return Err(InvalidTransition { state, step }),
        })
    }

    /// Whether the run has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Error | Self::Cancelled)
    }

    /// The text that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Streaming => "streaming",
            Self::ToolExecution => "tool_execution",
            Self::AwaitingApproval => "awaiting_approval",
            Self::AwaitingTask => "awaiting_task",
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the text that [`Self::as_str`] returns.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use RunState::{
        AwaitingApproval, AwaitingTask, Cancelled, Complete, Error, Processing, Queued, Streaming, ToolExecution,
    };
    use RunStep::{AskApproval, AwaitTask, CallTools, Cancel, Claim, Fail, Finish, ModelAnswers, ToolsFinished};

    use super::*;

    /// All allowed transitions. Every other step must be refused.
    const TABLE: &[(RunState, RunStep, RunState)] = &[
        (Queued, Claim, Processing),
        (Queued, Fail, Error),
        (Queued, Cancel, Cancelled),
        (Processing, Claim, Processing),
        (Processing, ModelAnswers, Streaming),
        (Processing, CallTools, ToolExecution),
        (Processing, Finish, Complete),
        (Processing, Fail, Error),
        (Processing, Cancel, Cancelled),
        (Streaming, Claim, Processing),
        (Streaming, ModelAnswers, Streaming),
        (Streaming, CallTools, ToolExecution),
        (Streaming, Finish, Complete),
        (Streaming, Fail, Error),
        (Streaming, Cancel, Cancelled),
        (ToolExecution, Claim, Processing),
        (ToolExecution, ToolsFinished, Streaming),
        (ToolExecution, AskApproval, AwaitingApproval),
        (ToolExecution, AwaitTask, AwaitingTask),
        (ToolExecution, Fail, Error),
        (ToolExecution, Cancel, Cancelled),
        (AwaitingApproval, Claim, Processing),
        (AwaitingApproval, Fail, Error),
        (AwaitingApproval, Cancel, Cancelled),
        (AwaitingTask, Claim, Processing),
        (AwaitingTask, Fail, Error),
        (AwaitingTask, Cancel, Cancelled),
    ];

    #[test]
    fn allows_exactly_the_table() {
        let steps = [Claim, ModelAnswers, CallTools, AskApproval, AwaitTask, ToolsFinished, Finish, Fail, Cancel];
        for state in RunState::ALL {
            for step in steps {
                let expected = TABLE.iter().find(|(from, by, _)| (*from, *by) == (state, step)).map(|(_, _, to)| *to);
                assert_eq!(state.after(step).ok(), expected, "{state:?} after {step:?}");
            }
        }
    }

    #[test]
    fn every_state_reads_back_what_it_writes() {
        for state in RunState::ALL {
            assert_eq!(RunState::parse(state.as_str()), Some(state));
        }
        assert_eq!(RunState::parse("idle"), None);
    }
}
