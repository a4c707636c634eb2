//! `/api/admin/limits`: rates for roles and API keys, and budgets for people, groups, API keys and the installation.

use std::collections::BTreeMap;

use axum::extract::State;
use permissions::table::{BUILT_IN, LimitsManage};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    limits::{LimitKind, LimitsSet, MAX_LIMITS, StoredLimit, Subject},
};
use web::{Allowed, Json, Result};

use crate::{authority::record, router::Admin};

/// More requests a minute than any host answers.
const MAX_RATE: u64 = 1_000_000;
/// More tokens, or millionths of the currency, than anybody uses: a billion of the currency.
const MAX_BUDGET: u64 = 1_000_000_000_000_000;

const UNREADABLE_PRICES: &str = "The list of prices, model_prices, cannot be read: /ready says why. Until it is mended, nobody for whom a budget of money counts is answered.";
const NO_PRICES: &str = "There is no list of prices, model_prices, so the US dollars of a table of known models count, and other models cost nothing.";

/// The limits of a subject.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LimitSubject, example = json!({"subject": "role:member", "name": null, "limits": {"person_requests_per_minute": {"amount": 20}}})))]
pub(crate) struct SubjectBody {
    /// `installation`, or `role:`, `user:`, `group:` or `key:` and a name or an id.
    subject: String,
    /// Of a person, a group or a key.
    name: Option<String>,
    /// By kind, as in the request.
    limits: BTreeMap<&'static str, LimitBody>,
}

/// A limit.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Limit))]
struct LimitBody {
    /// Requests a minute, tokens, or money in millionths of the currency.
    amount: u64,
    /// Of a budget: what was used of the present day or month, with what is reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    taken: Option<u64>,
}

/// The limits that are set.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct LimitList {
    items: Vec<SubjectBody>,
    next_cursor: Option<String>,
    /// The code of the currency of `cost_per_day` and `cost_per_month`.
    currency: String,
    /// Why budgets of money do not hold as they should: the operator named no prices, or they cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    warning: Option<&'static str>,
    /// What counts where nothing is set, as it is configured.
    defaults: BTreeMap<&'static str, String>,
}

fn bodies(limits: Vec<StoredLimit>) -> Vec<SubjectBody> {
    let mut bodies: Vec<SubjectBody> = Vec::new();
    for StoredLimit { subject, name, kind, amount, taken } in limits {
        let subject = subject.to_string();
        let limit = (kind.as_str(), LimitBody { amount, taken });
        match bodies.last_mut().filter(|body| body.subject == subject) {
            Some(body) => drop(body.limits.insert(limit.0, limit.1)),
            None => bodies.push(SubjectBody { subject, name, limits: BTreeMap::from([limit]) }),
        }
    }
    bodies
}

/// Lists the limits that are set.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/limits", tag = "Limits", operation_id = "listLimits",
    responses(
        (status = 200, description = "The limits.", body = LimitList),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<LimitsManage>,
) -> Result<Json<LimitList>> {
    let limits = admin.store().limits().await?;
    let has_money = limits.iter().any(|limit| limit.kind.is_money());
    let items = bodies(limits);
    let is_rate = |name: &str| name.ends_with("_per_minute");
    let defaults = admin.config.settings.iter().filter(|(name, _)| is_rate(name)).cloned().collect();
    let pricing = &admin.config.pricing;
    let warning = if pricing.are_unreadable() {
        Some(UNREADABLE_PRICES)
    } else {
        Some(NO_PRICES).filter(|_| has_money && pricing.is_of_table())
    };
    let currency = pricing.currency().to_owned();
    Ok(Json(LimitList { items, next_cursor: None, currency, warning, defaults }))
}

/// What the limits of a subject are to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LimitContents, example = json!({"subject": "role:member", "limits": {"person_requests_per_minute": 20}})))]
pub(crate) struct Contents {
    /// `installation`, or `role:`, `user:`, `group:` or `key:` and a name or an id.
    subject: String,
    /// Roles: `person_requests_per_minute`, `session_requests_per_minute`, `tool_calls_per_minute`, `tool_changes_per_minute`, where 0 is no limit.
    /// People, groups, keys, the installation: `tokens_per_day`, `tokens_per_month`, `cost_per_day`, `cost_per_month`, the latter in millionths of
    /// the currency. Keys also `session_requests_per_minute`. `null`, or leaving one out, removes it.
    limits: BTreeMap<String, Option<u64>>,
}

/// Replaces all limits of a subject.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/admin/limits", tag = "Limits", operation_id = "setLimits",
    request_body = Contents,
    responses(
        (status = 200, description = "Its limits.", body = SubjectBody),
        (status = 409, description = "`too_many_limits`: there are too many already."),
    ),
))]
pub(crate) async fn set<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<LimitsManage>,
    Json(Contents { subject, limits }): Json<Contents>,
) -> Result<Json<SubjectBody>> {
    let subject = Subject::parse(&subject).ok_or_else(unknown)?;
    let mut checked = Vec::new();
    for (kind, amount) in &limits {
        let kind = LimitKind::parse(kind).filter(|kind| is_for(&subject, *kind));
        let kind = kind.ok_or_else(|| Problem::invalid_field("limits", fitting(&subject)))?;
        let most = if kind.is_budget() { MAX_BUDGET } else { MAX_RATE };
        if amount.is_some_and(|amount| amount > most) {
            return Err(Problem::invalid_field("limits", format!("{} can be {most} at most.", kind.as_str())).into());
        }
        checked.extend(amount.map(|amount| (kind, amount)));
    }
    let is_built_in = matches!(&subject, Subject::Role(name) if BUILT_IN.contains(&name.as_str()));
    let before = match admin.store().set_limits(&subject, is_built_in, &checked).await? {
        LimitsSet::Set { before } => before,
        LimitsSet::NoSubject => return Err(unknown().into()),
        LimitsSet::TooMany => {
            let detail = format!("There are {MAX_LIMITS} limits already. Remove some first.");
            return Err(Problem::conflict("too_many_limits", detail).into());
        }
    };
    let written: Vec<_> = checked.iter().map(|(kind, amount)| format!("{}={amount}", kind.as_str())).collect();
    let or_none = |limits: String| if limits.is_empty() { "none".to_owned() } else { limits };
    let change = format!("{} -> {}", or_none(before), or_none(written.join(" ")));
    record(&admin, &session, "limits.set", &subject, Some(&change)).await?;
    let subject = subject.to_string();
    let found = bodies(admin.store().limits().await?).into_iter().find(|body| body.subject == subject);
    Ok(Json(found.unwrap_or(SubjectBody { subject, name: None, limits: BTreeMap::new() })))
}

/// Whether a subject can have this kind of limit.
fn is_for(subject: &Subject, kind: LimitKind) -> bool {
    match subject {
        Subject::Role(_) => !kind.is_budget(),
        Subject::Key(_) => kind.is_budget() || kind == LimitKind::SessionRequests,
        Subject::Installation | Subject::User(_) | Subject::Group(_) => kind.is_budget(),
    }
}

fn fitting(subject: &Subject) -> String {
    let kinds = LimitKind::ALL.into_iter().filter(|kind| is_for(subject, *kind)).map(LimitKind::as_str);
    format!("It can have these limits: {}.", kinds.collect::<Vec<_>>().join(", "))
}

fn unknown() -> Problem {
    let detail =
        "Name what is limited: installation, or role:, user:, group: or key: and the name or id of one that exists.";
    Problem::invalid_field("subject", detail)
}
