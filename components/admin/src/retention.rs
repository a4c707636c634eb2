//! `/api/admin/retention`: how long conversations are kept, of everybody or of who has a role.

use axum::extract::State;
use domain::Timestamp;
use permissions::table::RetentionManage;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    limits::Subject,
    retention::{MAX_DAYS, RetentionRule},
};
use web::{Allowed, Json, Page, Result};

use crate::{authority::record, router::Admin};

/// How long conversations are kept.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RetentionRule, example = json!({"subject": "role:member", "days": 90, "counts_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct RuleBody {
    /// `installation`, or `role:` and a name.
    subject: String,
    /// After how many days without use a conversation goes; 0: it is kept.
    days: u32,
    /// Nothing goes because of it before then.
    counts_at: Timestamp,
}

impl From<RetentionRule> for RuleBody {
    fn from(RetentionRule { subject, days, counts_at }: RetentionRule) -> Self {
        Self { subject, days, counts_at }
    }
}

async fn page<D: Database>(admin: &Admin<D>) -> Result<Json<Page<RuleBody>>> {
    Ok(Json(Page::whole(admin.store().retention_rules().await?.into_iter().map(Into::into))))
}

/// Lists how long conversations are kept.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/retention", tag = "Retention", operation_id = "listRetentionRules",
    responses(
        (status = 200, description = "All rules.", body = Page<RuleBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<RetentionManage>,
) -> Result<Json<Page<RuleBody>>> {
    page(&admin).await
}

/// What a rule is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RetentionContents, example = json!({"subject": "role:member", "days": 90})))]
pub(crate) struct Contents {
    /// `installation`, or `role:` and a name.
    subject: String,
    /// 0: conversations are kept. `null` removes the rule.
    #[cfg_attr(test, schema(maximum = 3650))]
    days: Option<u32>,
}

/// Sets how long conversations are kept, or removes a rule.
///
/// What deletes more than before counts a day later.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/admin/retention", tag = "Retention", operation_id = "setRetentionRule",
    request_body = Contents,
    responses(
        (status = 200, description = "All rules.", body = Page<RuleBody>),
    ),
))]
pub(crate) async fn set<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<RetentionManage>,
    Json(Contents { subject, days }): Json<Contents>,
) -> Result<Json<Page<RuleBody>>> {
    let subject = read_subject(&admin, &subject, days).await?;
    if days.is_some_and(|days| days > MAX_DAYS) {
        let detail = format!("Use at most {MAX_DAYS} days, or 0 to keep conversations.");
        return Err(Problem::invalid_field("days", detail).into());
    }
    admin.store().set_retention_rule(&subject, days).await?;
    let detail = days.map_or_else(|| "none".to_owned(), |days| format!("days={days}"));
    record(&admin, &session, "retention.set", &subject, Some(&detail)).await?;
    page(&admin).await
}

/// A rule is for everybody or for a role that exists. One of a role that is gone can still be removed.
async fn read_subject<D: Database>(admin: &Admin<D>, subject: &str, days: Option<u32>) -> Result<Subject> {
    let subject = Subject::parse(subject);
    let exists = match &subject {
        Some(Subject::Installation) => true,
        Some(Subject::Role(name)) => days.is_none() || admin.roles().await?.find(name).is_some(),
        _ => false,
    };
    let detail = "Name whose conversations: installation, or role: and the name of a role that exists.";
    Ok(subject.filter(|_| exists).ok_or_else(|| Problem::invalid_field("subject", detail))?)
}
