//! Which model answers: one that a message or a conversation names, or the default; and whether a person may have it answer. `stream` lists them all.

use ::models::{Credentials, Providers, Written, is_set_up};
use domain::{Id, limits::MAX_MODEL_BYTES};
use permissions::Action;
use problem::Problem;
use storage::{Database, model_listings::models_of};
use web::{Result, Session};

use crate::router::Chat;

/// Refuses a name that a person may not choose.
pub(crate) async fn check_name<D: Database>(chat: &Chat<D>, session: &Session, model: Option<&str>) -> Result<()> {
    let Some(model) = model else { return Ok(()) };
    if model.len() > MAX_MODEL_BYTES || providers(chat, model).await?.of_model(model).is_empty() {
        return Err(Problem::invalid_field("model", "This installation does not offer that model.").into());
    }
    session.check(&Action::UseModel(model))
}

/// All providers, as far as this model needs them: if one of the configuration has it, those that administrators added are not read.
async fn providers<D: Database>(chat: &Chat<D>, model: &str) -> Result<Providers> {
    let configured = chat.config.with(false, []);
    // One that nobody has set up counts only if there is no other.
    let is_certain = is_set_up(&chat.config.standard) || chat.config.has_more;
    if is_certain && !configured.of_model(model).is_empty() {
        return Ok(configured);
    }
    let stored = chat.store().model_providers().await?;
    let written = stored.iter().filter_map(|provider| serde_json::from_str::<Written>(&provider.settings).ok());
    Ok(chat
        .config
        .with(!stored.is_empty(), written.filter_map(|written| written.provider(Credentials::default()).ok())))
}

/// The model for a person whose conversation names none, which `stream` lists as the default. If they may use none, the configured one, and they are told
/// why not.
pub(crate) async fn default_for<D: Database>(chat: &Chat<D>, session: &Session) -> Result<String> {
    let configured = &chat.config.default_model;
    let may_use = |model: &str| session.access().allows(&Action::UseModel(model));
    let all = providers(chat, configured).await?;
    // The lists are not needed for it.
    if may_use(configured) && !all.of_model(configured).is_empty() {
        return Ok(configured.clone());
    }
    let listings = chat.store().model_listings().await?;
    let offers = all.offers(|provider| models_of(&listings, &provider.address.server));
    Ok(all.default_model(configured, may_use, &offers).unwrap_or(configured).to_owned())
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
