//! `/api/webhooks`: one's own webhooks, which tell one's own events; `/api/admin/webhooks`: those of the installation, which tell everybody's.
//!
//! The secret is told once, when a webhook is made, and the address never again: parts of it may be secret.

use axum::extract::State;
use domain::{Id, Timestamp};
use http::StatusCode;
use permissions::table::{WebhooksManage, WebhooksUse};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    audit::AuditEvent,
    rate_limits::Limit,
    webhooks::{MAX_WEBHOOKS, NewWebhook, Webhook, WebhookOwner},
};
use web::{Allowed, Json, PathId, Result, Session};

use crate::{
    message::{self, EVENTS, TEST},
    router::Webhooks,
};

/// What is sealed of a webhook.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// The address.
    pub(crate) url: String,
    /// The secret, as receivers' libraries read it.
    pub(crate) secret: String,
}

/// An address to which is told what happened.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Webhook, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "server": "https://example.com", "events": ["run.ended"], "created_at": "2026-01-01T12:00:00.000Z", "waiting": 0, "failures": 0, "lost": 0, "attempted_at": "2026-01-01T12:00:00.000Z", "answer": "http_200", "delivered_at": "2026-01-01T12:00:00.000Z", "stopped_at": null})))]
pub(crate) struct WebhookBody {
    id: Id,
    /// Scheme, host and port of the address.
    server: String,
    events: Vec<String>,
    created_at: Timestamp,
    /// Messages that wait to be sent.
    waiting: i64,
    /// Attempts that failed since the last that succeeded.
    failures: i64,
    /// Messages that were given up, and events that found too many waiting, as far as they were counted.
    lost: i64,
    attempted_at: Option<Timestamp>,
    /// What the last attempt came to: `http_` and the status, or a word.
    answer: Option<String>,
    delivered_at: Option<Timestamp>,
    /// The receiver said that it is gone.
    stopped_at: Option<Timestamp>,
}

impl From<Webhook> for WebhookBody {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            server: webhook.server,
            events: webhook.events,
            created_at: webhook.created_at,
            waiting: webhook.waiting,
            failures: webhook.failures,
            lost: webhook.given_up.saturating_add(webhook.dropped),
            attempted_at: webhook.attempted_at,
            answer: webhook.answer,
            delivered_at: webhook.delivered_at,
            stopped_at: webhook.stopped_at,
        }
    }
}

/// The webhooks, and which events there are.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct WebhookList {
    items: Vec<WebhookBody>,
    next_cursor: Option<String>,
    /// The types that can be chosen.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    events: Vec<&'static str>,
    /// Where webhooks may be. `null`: nowhere, and whoever deploys the installation can change that.
    allowed_host: Option<String>,
}

/// The types of events that an owner's webhooks can tell.
fn events_of(owner: WebhookOwner) -> impl Iterator<Item = &'static str> {
    let all = owner == WebhookOwner::Installation;
    EVENTS.into_iter().filter(move |(_, is_personal)| all || *is_personal).map(|(event, _)| event)
}

async fn list<D: Database>(webhooks: &Webhooks<D>, owner: WebhookOwner) -> Result<Json<WebhookList>> {
    let items = webhooks.store().webhooks(owner).await?.into_iter().map(Into::into).collect();
    let allowed_host = webhooks.config.allowed().map(str::to_owned);
    Ok(Json(WebhookList { items, next_cursor: None, events: events_of(owner).collect(), allowed_host }))
}

/// An address to be told what happens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewWebhook, example = json!({"url": "https://example.com/hook", "events": ["run.ended"]})))]
pub(crate) struct Contents {
    /// An https address where the installation allows webhooks. It is never told again.
    url: String,
    /// The types of events that are told.
    events: Vec<String>,
}

/// A webhook that was just made.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = MadeWebhook, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "server": "https://example.com", "events": ["run.ended"], "secret": "whsec_..."})))]
pub(crate) struct Added {
    id: Id,
    server: String,
    events: Vec<String>,
    /// It is told here and never again.
    secret: String,
}

async fn add<D: Database>(
    webhooks: &Webhooks<D>,
    session: &Session,
    owner: WebhookOwner,
    Contents { url, events }: Contents,
) -> Result<(StatusCode, Json<Added>)> {
    let url = url.trim().to_owned();
    let server = webhooks.config.server_of(&url).map_err(|detail| Problem::invalid_field("url", detail))?;
    // Each once, in the order of the list.
    let chosen: Vec<String> =
        events_of(owner).filter(|event| events.iter().any(|chosen| chosen == event)).map(str::to_owned).collect();
    if chosen.is_empty() || events.iter().any(|event| !chosen.contains(event)) {
        let known: Vec<&str> = events_of(owner).collect();
        let detail = format!("Choose one or more of {}.", known.join(", "));
        return Err(Problem::invalid_field("events", detail).into());
    }
    let (id, secret) = (Id::new(), message::new_secret().map_err(Problem::internal)?);
    let sealed = Sealed { url, secret };
    let written = serde_json::to_string(&sealed).map_err(Problem::internal)?;
    let written = webhooks.store().seal_webhook(id, &written).await?;
    let new = NewWebhook { id, server: &server, events: &chosen, sealed: &written };
    if !webhooks.store().add_webhook(owner, new).await? {
        let detail = format!("There are {MAX_WEBHOOKS} webhooks already. Remove one first.");
        return Err(Problem::conflict("too_many_webhooks", detail).into());
    }
    record(webhooks, session, owner, "add", id, Some(&server)).await?;
    Ok((StatusCode::CREATED, Json(Added { id, server, events: chosen, secret: sealed.secret })))
}

async fn remove<D: Database>(
    webhooks: &Webhooks<D>,
    session: &Session,
    owner: WebhookOwner,
    id: Id,
) -> Result<StatusCode> {
    if !webhooks.store().remove_webhook(owner, id).await? {
        return Err(Problem::not_found().into());
    }
    record(webhooks, session, owner, "remove", id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever sets up a receiver tries a few times; nobody is to have this installation call an address again and again.
const TESTS_PER_MINUTE: u32 = 10;

async fn test<D: Database + 'static>(
    webhooks: Webhooks<D>,
    session: &Session,
    owner: WebhookOwner,
    id: Id,
) -> Result<StatusCode> {
    // First, so that nobody loses a try, or learns anything, by naming what is not theirs.
    if !webhooks.store().webhooks(owner).await?.iter().any(|webhook| webhook.id == id) {
        return Err(Problem::not_found().into());
    }
    let limit = Limit::per_minute(format!("webhook-tests:{}", session.user_id()), TESTS_PER_MINUTE);
    webhooks.store().take_rate(&[limit]).await?.map_err(|wait| {
        Problem::rate_limited("You have sent many tests. Try again in a minute.", wait.0.div_ceil(1000))
    })?;
    if !webhooks.store().test_webhook(owner, id, TEST).await? {
        return Err(Problem::not_found().into());
    }
    (webhooks.soon)(webhooks.clone());
    Ok(StatusCode::ACCEPTED)
}

/// The record of one's own goes with the account, and that of the installation stays, by their names.
async fn record<D: Database>(
    webhooks: &Webhooks<D>,
    session: &Session,
    owner: WebhookOwner,
    done: &str,
    id: Id,
    detail: Option<&str>,
) -> Result<()> {
    let what = if owner == WebhookOwner::Installation { "installation_webhook" } else { "webhook" };
    let (action, subject) = (format!("{what}.{done}"), id.to_string());
    let event = AuditEvent { detail, ..AuditEvent::new(session.user_id(), &action, &subject) };
    Ok(webhooks.store().append_audit(&event).await?)
}

/// Lists one's own webhooks.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/webhooks", tag = "Webhooks", operation_id = "listWebhooks",
    responses(
        (status = 200, description = "All of them.", body = WebhookList),
    ),
))]
pub(crate) async fn list_own<D: Database>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksUse>,
) -> Result<Json<WebhookList>> {
    list(&webhooks, WebhookOwner::Person(session.user_id())).await
}

/// Adds to one's own webhooks.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/webhooks", tag = "Webhooks", operation_id = "addWebhook",
    request_body = Contents,
    responses(
        (status = 201, description = "The webhook. Its secret is told only now.", body = Added),
        (status = 409, description = "`too_many_webhooks`: there are too many already."),
    ),
))]
pub(crate) async fn add_own<D: Database>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksUse>,
    Json(contents): Json<Contents>,
) -> Result<(StatusCode, Json<Added>)> {
    add(&webhooks, &session, WebhookOwner::Person(session.user_id()), contents).await
}

/// Removes one of one's own webhooks.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/webhooks/{id}", tag = "Webhooks", operation_id = "removeWebhook",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is gone, with what waits for it."),
    ),
))]
pub(crate) async fn remove_own<D: Database>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksUse>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    remove(&webhooks, &session, WebhookOwner::Person(session.user_id()), id).await
}

/// Sends a test to one of one's own webhooks.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/webhooks/{id}/test", tag = "Webhooks", operation_id = "testWebhook",
    params(("id" = Id, Path)),
    responses(
        (status = 202, description = "It is sent soon; the list says what came of it."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn test_own<D: Database + 'static>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksUse>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let owner = WebhookOwner::Person(session.user_id());
    test(webhooks, &session, owner, id).await
}

/// Lists the installation's webhooks.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/webhooks", tag = "Webhooks of the installation", operation_id = "listInstallationWebhooks",
    responses(
        (status = 200, description = "All of them.", body = WebhookList),
    ),
))]
pub(crate) async fn list_all<D: Database>(
    State(webhooks): State<Webhooks<D>>,
    _: Allowed<WebhooksManage>,
) -> Result<Json<WebhookList>> {
    list(&webhooks, WebhookOwner::Installation).await
}

/// Adds to the installation's webhooks.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/webhooks", tag = "Webhooks of the installation", operation_id = "addInstallationWebhook",
    request_body = Contents,
    responses(
        (status = 201, description = "The webhook. Its secret is told only now.", body = Added),
        (status = 409, description = "`too_many_webhooks`: there are too many already."),
    ),
))]
pub(crate) async fn add_all<D: Database>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksManage>,
    Json(contents): Json<Contents>,
) -> Result<(StatusCode, Json<Added>)> {
    add(&webhooks, &session, WebhookOwner::Installation, contents).await
}

/// Removes one of the installation's webhooks.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/webhooks/{id}", tag = "Webhooks of the installation", operation_id = "removeInstallationWebhook",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is gone, with what waits for it."),
    ),
))]
pub(crate) async fn remove_all<D: Database>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    remove(&webhooks, &session, WebhookOwner::Installation, id).await
}

/// Sends a test to one of the installation's webhooks.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/webhooks/{id}/test", tag = "Webhooks of the installation", operation_id = "testInstallationWebhook",
    params(("id" = Id, Path)),
    responses(
        (status = 202, description = "It is sent soon; the list says what came of it."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn test_all<D: Database + 'static>(
    State(webhooks): State<Webhooks<D>>,
    session: Allowed<WebhooksManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    test(webhooks, &session, WebhookOwner::Installation, id).await
}
