//! `/api/models`: the model that answers, so that a person knows it before they ask.

use axum::extract::State;
use serde::Serialize;
use storage::Database;
use web::{Json, Session};

use crate::{body::Page, router::Chat};

#[derive(Serialize)]
pub(crate) struct ModelBody {
    id: String,
    default: bool,
}

/// Only the default model. Patterns with `*`, which a conversation may use, are not a list.
pub(crate) async fn list<D: Database>(State(chat): State<Chat<D>>, _: Session) -> Json<Page<ModelBody>> {
    let items = vec![ModelBody { id: chat.config.default_model.clone(), default: true }];
    Json(Page { items, next_cursor: None })
}
