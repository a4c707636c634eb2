//! `/internal/offers`, for `stream`: what could be offered to anybody. What is offered to whom, it finds out itself.

use axum::extract::State;
use storage::Database;
use tool_catalogue::{Host, Offerable};
use web::{Inside, Json, Result, inside::Stream};

use crate::{state::Tools, tasks};

/// `GET`: as far as is known.
pub(crate) async fn list<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    _: Inside<Stream>,
) -> Result<Json<Offerable>> {
    Ok(Json(tools.listed().await?.offerable()))
}

/// `POST`: made anew, for whoever has claimed that in the database.
pub(crate) async fn make<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    _: Inside<Stream>,
) -> Result<Json<Offerable>> {
    let listed = tools.listed_anew().await?;
    // This happens now and then, whatever people do, so it also looks after tasks that could not be stopped before.
    tasks::stop_later(&tools);
    Ok(Json(listed.offerable()))
}
