//! `/internal/offers`, for `stream`: what could be offered to anybody. What is offered to whom, it finds out itself.

use axum::extract::State;
use storage::Database;
use tool_catalogue::{Host, Offerable};
use web::{Json, Result};

use crate::state::Tools;

/// `GET`: as far as is known.
pub(crate) async fn list<D: Database + 'static, H: Host>(State(tools): State<Tools<D, H>>) -> Result<Json<Offerable>> {
    Ok(Json(tools.listed().await?.offerable()))
}

/// `POST`: made anew, for whoever has claimed that in the database.
pub(crate) async fn make<D: Database + 'static, H: Host>(State(tools): State<Tools<D, H>>) -> Result<Json<Offerable>> {
    Ok(Json(tools.listed_anew().await?.offerable()))
}
