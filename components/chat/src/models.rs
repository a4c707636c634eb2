//! `/api/models`: which model answers, so that a person knows before they ask; and whether a person may have it answer.

use axum::extract::State;
use domain::Id;
use permissions::{Action, table::ConversationsRead};
use serde::Serialize;
use storage::Database;
use web::{Allowed, Json, Page, Result, Session};

use crate::router::Chat;

#[derive(Serialize)]
pub(crate) struct ModelBody {
    id: String,
    default: bool,
}

/// The one that answers when a conversation names none, if the person may use it. Names with `*`, which a conversation may name besides, are no
/// list.
pub(crate) async fn list<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
) -> Json<Page<ModelBody>> {
    let id = chat.config.default_model.clone();
    let may_use = session.access().allows(&Action::UseModel(&id));
    Json(Page::whole(may_use.then_some(ModelBody { id, default: true })))
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
