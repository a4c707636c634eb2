//! Learns from a refusal how a server wants its requests. It guesses generously: a second request costs a moment, a missing answer costs a
//! conversation. A lesson is valid only once a request that follows it was accepted; the caller checks that.

pub use crate::complaint::{About, Sent};
use crate::{complaint::Complaint, dialect::Dialect, provider_error::ProviderError, wishes::without_wishes};

/// How to send the request again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// The new dialect.
    pub dialect: Dialect,
    /// Leave out the beginning of the conversation.
    pub shortens: bool,
    /// Whether the lesson is likely to hold the next time too. The refusal may have been a passing fault.
    pub lasts: bool,
}

/// A change to the request, if there is one that was not tried before.
#[must_use]
pub fn lesson(about: About, said: &ProviderError, dialect: &Dialect, sent: &Sent) -> Option<Lesson> {
    let complaint = Complaint::new(said);
    let learned = match about {
        About::Length => complaint.no_room_for_answer(dialect, sent).or_else(|| complaint.too_long(dialect, sent)),
        About::Call => complaint.no_call_wanted(dialect, sent),
        About::Price => complaint.affordable(dialect, sent),
        About::Fault => complaint
            .answer_limit(dialect, sent)
            .or_else(|| complaint.marks(dialect))
            .or_else(|| complaint.instructions(dialect, sent))
            .or_else(|| complaint.no_text(dialect, sent))
            .or_else(|| complaint.tools(about, dialect, sent)),
        // A server that refuses a field may list the fields that exist and are required.
        About::Form | About::Unknown => complaint
            .wish(dialect, sent)
            .or_else(|| complaint.field(dialect, sent))
            .or_else(|| complaint.answer_limit(dialect, sent))
            .or_else(|| complaint.shorter_answer(dialect, sent))
            .or_else(|| complaint.marks(dialect))
            .or_else(|| guess(&complaint, about, dialect, sent)),
    }?;
    let shortens = learned.context_tokens != dialect.context_tokens;
    Some(Lesson { dialect: learned, shortens, lasts: matches!(about, About::Length | About::Form) })
}

/// What the message may be about. As long as something was sent that only this person wants, that is left out first: a guess may take something from
/// everybody.
fn guess(complaint: &Complaint, about: About, dialect: &Dialect, sent: &Sent) -> Option<Dialect> {
    let guessed = complaint
        .signatures(dialect, sent)
        .or_else(|| complaint.reasoning(dialect, sent))
        .or_else(|| complaint.instructions(dialect, sent))
        .or_else(|| complaint.no_text(dialect, sent))
        .or_else(|| complaint.call_ids(dialect, sent))
        .or_else(|| complaint.schemas(dialect, sent))
        .or_else(|| complaint.tools(about, dialect, sent));
    let is_possible = guessed.is_some() || about == About::Form;
    is_possible.then(|| without_wishes(dialect, sent)).flatten().or(guessed)
}
