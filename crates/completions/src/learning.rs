//! What a refusal says about how a server wants its requests. Read generously: to ask once more in another way costs a moment, an answer that
//! never comes costs a conversation. What was learned counts only once a request that heeds it was accepted; that is for the caller to see.

pub use crate::complaint::{About, Sent};
use crate::{complaint::Complaint, dialect::Dialect, provider_error::ProviderError};

/// How to ask again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// In this way.
    pub dialect: Dialect,
    /// Without the beginning of the conversation.
    pub shortens: bool,
    /// Whether it will be so the next time, too. A fault may have been one.
    pub lasts: bool,
}

/// What to do otherwise, if anything comes to mind that was not tried before.
#[must_use]
pub fn lesson(about: About, said: &ProviderError, dialect: &Dialect, sent: &Sent) -> Option<Lesson> {
    let complaint = Complaint::new(said);
    let learned = match about {
        About::Length => complaint.no_room_for_answer(dialect, sent).or_else(|| complaint.too_long(dialect, sent)),
        About::Call => complaint.no_call_wanted(dialect, sent),
        About::Price => complaint.affordable(dialect, sent),
        About::Fault => complaint
            .answer_limit(dialect)
            .or_else(|| complaint.marks(dialect))
            .or_else(|| complaint.instructions(dialect, sent))
            .or_else(|| complaint.no_text(dialect, sent))
            .or_else(|| complaint.tools(about, dialect, sent)),
        // Whoever refuses a field may list those that there are and must be.
        About::Form | About::Unknown => complaint
            .field(dialect, sent)
            .or_else(|| complaint.answer_limit(dialect))
            .or_else(|| complaint.shorter_answer(dialect, sent))
            .or_else(|| complaint.marks(dialect))
            .or_else(|| complaint.signatures(dialect, sent))
            .or_else(|| complaint.reasoning(dialect, sent))
            .or_else(|| complaint.instructions(dialect, sent))
            .or_else(|| complaint.no_text(dialect, sent))
            .or_else(|| complaint.call_ids(dialect, sent))
            .or_else(|| complaint.schemas(dialect, sent))
            .or_else(|| complaint.tools(about, dialect, sent)),
    }?;
    let shortens = learned.context_tokens != dialect.context_tokens;
    Some(Lesson { dialect: learned, shortens, lasts: matches!(about, About::Length | About::Form) })
}
