//! `/ready`: checks the database and every setting. Says which is wrong, and what to do.
//!
//! Each component checks its own settings (`web::settings`); this module asks them and combines the results.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::Id;
use futures::{TryStreamExt as _, future::join_all, join};
use http::{Request, StatusCode, header};
use platform::{
    http_client::{self, HttpError},
    instance,
    variables::variable,
    within,
};
use serde::Serialize;
use storage::StorageError;
use web::{
    Json,
    log::{Level, log},
    settings::{self, Check, Status, rotation_days},
};

use crate::{COMPONENT, settings::Settings, traces};

/// The components that have their own settings, in the order of the response.
const COMPONENTS: [&str; 5] = ["stream", "chat", "auth", "tools", "files"];

/// A client waits for at most five seconds, as Kubernetes' probes here do. A database that takes longer than this counts as failed.
const LIMIT: Duration = Duration::from_secs(2);

/// A component's checks have a few hundred bytes.
const MAX_CHECKS_BYTES: usize = 64 * 1024;

/// PostgreSQL's `server_version_num` of version 15, the oldest that is tested.
const MIN_POSTGRES: i64 = 150_000;

/// Whether the installation can work.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(example = json!({"status": "ready", "checks": [{"name": "database", "status": "ok"}]})))]
struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    checks: Vec<Check>,
}

/// Why a component returned no checks.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no answer within {LIMIT:?}")]
    Slow,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("this component cannot prove that it asks: {}", .0.causes().unwrap_or_default())]
    Proof(web::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the answer is too long")]
    TooLong,
    #[error("the answer cannot be read")]
    Json(#[from] serde_json::Error),
}

/// Says whether the installation can work.
///
/// Within about two seconds: whether the database can be written to, and whether each setting is right.
#[cfg_attr(test, utoipa::path(
    get, path = "/ready", tag = "Operations", operation_id = "getReadiness",
    responses(
        (status = 200, description = "It can.", body = Readiness),
        (status = 503, description = "It cannot; `checks` say why.", body = Readiness),
    ),
))]
pub(crate) async fn ready() -> Response {
    let (database, own) = join!(database(), own());
    let works = database.status == Status::Ok;
    let mut checks = vec![database];
    checks.extend(own);
    // The others want a proof of who asks, which needs the database.
    if works {
        let (keys, others) = join!(keys(), join_all(COMPONENTS.map(asked)));
        checks.push(keys);
        checks.extend(others.into_iter().flatten());
    }
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.status == Status::Failed).map(|check| &*check.name).collect();
    let (code, status) = if failed.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        log(COMPONENT, Level::Error, "not ready", serde_json::json!({ "failed": failed }));
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    (code, Json::<_>(Readiness { status, checks })).into_response()
}

/// Whether the database can be written to. Its own error may name its server and accounts, so that goes only to the log.
async fn database() -> Check {
    // A new version's migrations may take longer than this request waits. They go on, and a later request finds them done.
    let answered = within(LIMIT, async { instance::app_opened_apart(COMPONENT).await?.store().ping().await }).await;
    Check::new(
        "database",
        match answered {
            Some(Ok(Some(version))) if version < MIN_POSTGRES => {
                Err(format!("PostgreSQL 15 or later is needed; this one is {}.", version / 10_000))
            }
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(unusable(&error)),
            None => Err(format!("The database did not answer within {} s.", LIMIT.as_secs())),
        },
    )
}

/// Whether a key should be rotated. An overdue one works on.
async fn keys() -> Check {
    const NAME: &str = "keys";
    let days = rotation_days(&variable("key_rotation_days").await);
    let read = within(LIMIT, async { instance::app(COMPONENT).await?.store().keys().await }).await;
    let Some(Ok((keys, now))) = read else {
        return Check::new(NAME, Err("The keys could not be read in time.".to_owned()));
    };
    let mut due: Vec<&str> = keys
        .iter()
        .filter(|key| key.due_at(days).is_some_and(|due_at| due_at < now))
        .map(|key| key.purpose.name())
        .collect();
    due.dedup();
    if due.is_empty() {
        return Check::new(NAME, Ok(()));
    }
    let purposes = due.join(", ");
    Check::warning(
        NAME,
        format!(
            "Keys for {purposes} are older than {days} days: rotate them under Administration, Keys, or with cargo dev keys rotate."
        ),
    )
}

fn unusable(error: &StorageError) -> String {
    log(COMPONENT, Level::Error, "the database cannot be used", serde_json::json!({ "cause": error.to_string() }));
    match error {
        StorageError::MigrationChanged { .. } => error.to_string(),
        _ => "The database cannot be used: the log says why.".to_owned(),
    }
}

async fn own() -> Vec<Check> {
    let mut hosts = Vec::new();
    for name in [
        "calendar_host",
        "mail_host",
        "api_host",
        "remote_mcp_host",
        "client_documents_host",
        "remote_mcp_authorization_host",
        "webhook_host",
        "file_store_host",
    ] {
        hosts.push((name, variable(name).await));
    }
    let settings = Settings {
        database_url: variable("database_url").await,
        database_host: variable("database_host").await,
        search_url: variable("search_url").await,
        search_host: variable("search_host").await,
        log_level: variable("log_level").await,
        hosts,
    };
    let traces = traces::Settings {
        endpoint: variable("otlp_endpoint").await,
        host: variable("otlp_host").await,
        headers: variable("otlp_headers").await,
        sampling: variable("otlp_sampling").await,
    };
    let mut checks = settings.checks();
    checks.push(traces.check());
    checks
}

async fn asked(component: &'static str) -> Vec<Check> {
    match within(LIMIT, ask(component)).await.unwrap_or(Err(Unanswered::Slow)) {
        Ok(checks) => checks,
        Err(error) => {
            let fields = serde_json::json!({ "asked": component, "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a component does not say whether its settings are right", fields);
            vec![Check::new(component, Err(format!("The component {component} does not answer: the log says why.")))]
        }
    }
}

async fn ask(component: &str) -> Result<Vec<Check>, Unanswered> {
    let address = format!("http://{component}.spin.internal{}", settings::PATH);
    let proof = instance::app(COMPONENT).await?.prove(component, None, &Id::new().to_string()).await;
    let request = Request::get(address).header(header::AUTHORIZATION, proof.map_err(Unanswered::Proof)?);
    let request = request.body(Bytes::new()).map_err(HttpError::from)?;
    let mut response = http_client::send(request).await?;
    if response.status != StatusCode::OK {
        return Err(Unanswered::Status(response.status));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.body.try_next().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_CHECKS_BYTES {
            return Err(Unanswered::TooLong);
        }
    }
    Ok(serde_json::from_slice(&body)?)
}
