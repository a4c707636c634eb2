//! `GET /internal/offers`, for `stream`: what could be offered to anybody. What is offered to whom, it finds out itself.

use axum::extract::State;
use storage::Database;
use tool_catalogue::{Host, Offerable};
use web::{Json, Result};

use crate::state::Tools;

pub(crate) async fn list<D: Database + 'static, H: Host>(State(tools): State<Tools<D, H>>) -> Result<Json<Offerable>> {
    Ok(Json(tools.listed().await?.offerable()))
}
