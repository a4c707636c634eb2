//! `/api/admin/limits`: rates for roles and API keys, and budgets for people, groups, API keys and the installation.

use std::collections::BTreeMap;

use axum::extract::State;
use domain::Id;
use permissions::table::LimitsManage;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    limits::{LimitKind, MAX_LIMITS, StoredLimit},
};
use web::{Allowed, Json, Result};

use crate::{authority::record, router::Admin};

/// More requests a minute than any host answers.
const MAX_RATE: u64 = 1_000_000;
/// More tokens, or millionths of the currency, than anybody uses: a billion of the currency.
const MAX_BUDGET: u64 = 1_000_000_000_000_000;

#[derive(Serialize)]
pub(crate) struct SubjectBody {
    subject: String,
    name: Option<String>,
    limits: BTreeMap<&'static str, LimitBody>,
}

#[derive(Serialize)]
struct LimitBody {
    amount: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct LimitList {
    items: Vec<SubjectBody>,
    next_cursor: Option<String>,
    /// The code of the currency of `cost_per_day` and `cost_per_month`.
    currency: String,
    /// What counts where nothing is set, as it is configured.
    defaults: BTreeMap<&'static str, String>,
}

fn bodies(limits: Vec<StoredLimit>) -> Vec<SubjectBody> {
    let mut bodies: Vec<SubjectBody> = Vec::new();
    for StoredLimit { subject, name, kind, amount, taken } in limits {
        let limit = (kind.as_str(), LimitBody { amount, taken });
        match bodies.last_mut().filter(|body| body.subject == subject) {
            Some(body) => drop(body.limits.insert(limit.0, limit.1)),
            None => bodies.push(SubjectBody { subject, name, limits: BTreeMap::from([limit]) }),
        }
    }
    bodies
}

/// `GET /api/admin/limits`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<LimitsManage>,
) -> Result<Json<LimitList>> {
    let items = bodies(admin.store().limits().await?);
    let is_rate = |name: &str| name.ends_with("_per_minute");
    let defaults = admin.config.settings.iter().filter(|(name, _)| is_rate(name)).cloned().collect();
    let currency = admin.config.pricing.currency().to_owned();
    Ok(Json(LimitList { items, next_cursor: None, currency, defaults }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    subject: String,
    limits: BTreeMap<String, Option<u64>>,
}

/// `PUT /api/admin/limits`: replaces all limits of a subject.
pub(crate) async fn set<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<LimitsManage>,
    Json(Contents { subject, limits }): Json<Contents>,
) -> Result<Json<SubjectBody>> {
    check_exists(&admin, &subject).await?;
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
    if !admin.store().set_limits(&subject, &checked).await? {
        let detail = format!("There are {MAX_LIMITS} limits already. Remove some first.");
        return Err(Problem::conflict("too_many_limits", detail).into());
    }
    let written: Vec<_> = checked.iter().map(|(kind, amount)| format!("{}={amount}", kind.as_str())).collect();
    record(&admin, &session, "limits.set", &subject, Some(&written.join(" "))).await?;
    let found = bodies(admin.store().limits().await?).into_iter().find(|body| body.subject == subject);
    Ok(Json(found.unwrap_or(SubjectBody { subject, name: None, limits: BTreeMap::new() })))
}

/// Whether a subject can have this kind of limit.
fn is_for(subject: &str, kind: LimitKind) -> bool {
    match subject.split(':').next() {
        Some("role") => !kind.is_budget(),
        Some("key") => kind.is_budget() || kind == LimitKind::SessionRequests,
        _ => kind.is_budget(),
    }
}

fn fitting(subject: &str) -> String {
    let kinds = LimitKind::ALL.into_iter().filter(|kind| is_for(subject, *kind)).map(LimitKind::as_str);
    format!("It can have these limits: {}.", kinds.collect::<Vec<_>>().join(", "))
}

async fn check_exists<D: Database>(admin: &Admin<D>, subject: &str) -> Result<()> {
    let store = admin.store();
    let (kind, name) = subject.split_once(':').unwrap_or((subject, ""));
    let exists = match (kind, name.parse::<Id>()) {
        ("installation", _) => name.is_empty() && !subject.contains(':'),
        ("role", _) => admin.roles().await?.find(name).is_some(),
        ("user", Ok(id)) => store.user(id).await?.is_some(),
        ("group", Ok(id)) => store.group(id).await?.is_some(),
        ("key", Ok(id)) => store.api_key_exists(id).await?,
        _ => false,
    };
    if exists {
        return Ok(());
    }
    let detail =
        "Name what is limited: installation, or role:, user:, group: or key: and the name or id of one that exists.";
    Err(Problem::invalid_field("subject", detail).into())
}
