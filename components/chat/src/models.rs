//! Which model answers: one that a message or a conversation names, or the default; and whether a person may have it answer. `stream` lists them all.

use ::models::{Credentials, Written};
use domain::Id;
use permissions::Action;
use problem::Problem;
use storage::Database;
use web::{Result, Session};

use crate::router::Chat;

/// Longer than any model's name.
const MAX_MODEL_BYTES: usize = 200;

/// Refuses a name that a person may not choose.
pub(crate) async fn check_name<D: Database>(chat: &Chat<D>, session: &Session, model: Option<&str>) -> Result<()> {
    let Some(model) = model else { return Ok(()) };
    let fits = model.len() <= MAX_MODEL_BYTES;
    if !fits || !(chat.config.allows_model(model) || is_of_stored(chat, model).await?) {
        return Err(Problem::invalid_field("model", "This installation does not offer that model.").into());
    }
    session.check(&Action::UseModel(model))
}

/// Whether a provider that administrators added has a model. Those of the configuration need no query.
async fn is_of_stored<D: Database>(chat: &Chat<D>, model: &str) -> Result<bool> {
    let stored = chat.store().model_providers().await?;
    let written = stored.iter().filter_map(|provider| serde_json::from_str::<Written>(&provider.settings).ok());
    let mut providers = written.filter_map(|written| written.provider(Credentials::default()).ok());
    Ok(providers.any(|provider| provider.model(model).is_some()))
}

/// The model for a person whose conversation names none.
pub(crate) fn default_for<'a, D: Database>(chat: &'a Chat<D>, session: &Session) -> &'a str {
    chat.config.default_for(|model| session.access().allows(&Action::UseModel(model)))
}

/// Refuses to start a run of a conversation whose model the person may not use. Whoever may use all models needs no query.
/// `default` answers if the conversation names none.
pub(crate) async fn check<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    conversation_id: Id,
    default: &str,
) -> Result<()> {
    if session.access().allows_all_models() {
        return Ok(());
    }
    // Of a conversation that is not there, something else is said.
    let Some(conversation) = chat.store().conversation(session.user_id(), conversation_id).await? else {
        return Ok(());
    };
    let model = conversation.model.as_deref().unwrap_or(default);
    session.check(&Action::UseModel(model))
}
