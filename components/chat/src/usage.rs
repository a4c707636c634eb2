//! `/api/usage`: what the person used in the last thirty days, and what is left of the budgets that count for them.

use axum::extract::State;
use domain::Timestamp;
use permissions::table::ConversationsRead;
use problem::Problem;
use serde::Serialize;
use storage::{Database, budgets::Budget, usage::ModelUsage};
use web::{Allowed, Json, Result};

use crate::router::Chat;

const DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Serialize)]
pub(crate) struct OwnUsage {
    days: i64,
    runs: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Of these tokens, what their programs used at `/v1`.
    programs: ProgramsBody,
    tool_calls: u64,
    budgets: Vec<BudgetBody>,
}

/// What programs used.
#[derive(Serialize)]
struct ProgramsBody {
    requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Serialize)]
struct BudgetBody {
    /// `user`, `group`, `key` or `installation`.
    of: &'static str,
    kind: &'static str,
    amount: u64,
    left: u64,
}

impl From<Budget> for BudgetBody {
    fn from(Budget { subject, kind, amount, left, .. }: Budget) -> Self {
        Self { of: subject.kind(), kind: kind.as_str(), amount, left }
    }
}

/// `GET /api/usage`.
pub(crate) async fn read<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
) -> Result<Json<OwnUsage>> {
    let since = Timestamp::from_millis(Timestamp::now().as_millis().saturating_sub(DAYS * DAY_MS));
    let (store, user_id) = (chat.store(), session.user_id());
    let usage = store.usage_of(user_id, since).await?.ok_or_else(Problem::unauthenticated)?;
    let budgets = store.budgets_of(user_id, session.api_key().map(|key| key.id)).await?;
    let read = |models: &[ModelUsage]| models.iter().map(|model| model.prompt_tokens).sum::<u64>();
    let written = |models: &[ModelUsage]| models.iter().map(|model| model.completion_tokens).sum::<u64>();
    let programs = ProgramsBody {
        requests: usage.model_requests,
        prompt_tokens: read(&usage.programs),
        completion_tokens: written(&usage.programs),
    };
    Ok(Json(OwnUsage {
        days: DAYS,
        runs: usage.runs,
        prompt_tokens: read(&usage.models) + programs.prompt_tokens,
        completion_tokens: written(&usage.models) + programs.completion_tokens,
        programs,
        tool_calls: usage.tool_calls,
        budgets: budgets.into_iter().map(Into::into).collect(),
    }))
}
