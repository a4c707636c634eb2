//! The APIs that providers have: who writes the request, and who reads the answer. Everything else of a turn is the same for all.

use completions::{ChatRequest, CompletionError, Dialect, Piece, Round, Sent};
use models::Api;

/// Writes a request for an API.
///
/// # Errors
/// If a value cannot be written as JSON, which cannot happen with strings.
pub fn write(api: Api, request: ChatRequest<'_>, dialect: &Dialect) -> Result<(Vec<u8>, Sent), serde_json::Error> {
    match api {
        Api::ChatCompletions => request.write(dialect),
        Api::Responses => responses::write(request, dialect),
    }
}

/// Reads an answer of an API into a round.
#[derive(Debug)]
pub enum Reading {
    /// The round reads it itself.
    ChatCompletions,
    /// Responses.
    Responses(Box<responses::Reader>),
}

impl Reading {
    /// For one answer.
    #[must_use]
    pub fn of(api: Api) -> Self {
        match api {
            Api::ChatCompletions => Self::ChatCompletions,
            Api::Responses => Self::Responses(Box::default()),
        }
    }

    /// Reads a chunk of the body and appends the new pieces.
    ///
    /// # Errors
    /// As [`Round::feed`].
    pub fn feed(&mut self, round: &mut Round, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        match self {
            Self::ChatCompletions => round.feed(bytes, pieces),
            Self::Responses(reader) => reader.feed(round, bytes, pieces),
        }
    }

    /// The body ended, or the caller wants no more of it.
    ///
    /// # Errors
    /// As [`Round::finish`].
    pub fn finish(&mut self, round: &mut Round, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        match self {
            Self::ChatCompletions => round.finish(pieces),
            Self::Responses(reader) => reader.finish(round, pieces),
        }
    }
}
