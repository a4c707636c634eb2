//! `/api/admin/providers`: which providers of models there are; administrators add, change, test and remove them. Those of the configuration are changed
//! there. A key is never told.
//!
//! An address comes from a person here. It is limited by `model_provider_hosts`, and by what `spin.toml` lets this component reach (docs/adr/0046).

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use domain::Id;
use http::{StatusCode, Uri};
use models::{Api, Credentials, Provider, Written, WrittenModel};
use permissions::table::ProvidersManage;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    audit::AuditEvent,
    model_providers::{MAX_STORED_PROVIDERS, StoredProvider},
};
use web::{Allowed, Json, Page, Result, Session, settings::environment};

use crate::{
    provider_test::{self, Tested},
    router::Stream,
    stored::{self, Unusable},
};

/// A key of a few kilobytes, and two hundred models with what is known about them.
const MAX_BODY_BYTES: usize = 128 * 1024;

/// The key of a provider was sealed with a master key that is missing.
const UNOPENABLE: &str = "Its key cannot be opened, because the master key that sealed it is missing. Have that put back, or enter the key again.";

/// A provider of models. No answer has a key, a header's value or a query.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ModelProvider, example = json!({"name": "near", "base_url": "http://127.0.0.1:8000/v1", "dialect": "chat_completions", "priority": 10, "models": ["llama-*"], "has_key": false, "headers": [], "has_query": false, "problem": null, "is_configured": false})))]
pub(crate) struct ProviderBody {
    name: String,
    /// Its address, without parts that may be secret if it is configured.
    base_url: String,
    /// The API that it has.
    dialect: Api,
    /// The higher is asked first.
    priority: i64,
    /// Its models.
    models: Vec<WrittenModel>,
    /// It has a key.
    has_key: bool,
    /// The names of further headers.
    headers: Vec<String>,
    /// Whether the address has a query, which may be secret.
    has_query: bool,
    /// Why it is not asked, for a person.
    problem: Option<String>,
    /// Whether it is changed where the installation is deployed.
    is_configured: bool,
}

fn names(headers: &[(String, String)]) -> Vec<String> {
    headers.iter().map(|(name, _)| name.clone()).collect()
}

fn body_of_configured(provider: &Provider) -> ProviderBody {
    let Provider { name, address, api, priority, models, credentials } = provider;
    ProviderBody {
        name: name.clone(),
        base_url: address.server.clone(),
        dialect: *api,
        priority: *priority,
        models: models.iter().map(|model| WrittenModel::Name(model.name.clone())).collect(),
        has_key: !credentials.key.is_empty(),
        headers: names(&credentials.headers),
        has_query: address.has_query(),
        problem: None,
        is_configured: true,
    }
}

fn body_of(written: Written, credentials: &Credentials, problem: Option<String>) -> ProviderBody {
    let Written { name, base_url, dialect, priority, models } = written;
    let Credentials { key, headers, query } = credentials;
    let (has_key, headers, has_query) = (!key.is_empty(), names(headers), !query.is_empty());
    ProviderBody {
        name,
        base_url,
        dialect,
        priority,
        models,
        has_key,
        headers,
        has_query,
        problem,
        is_configured: false,
    }
}

/// Lists the providers of models.
///
/// Those of the configuration first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/providers", tag = "Providers of models", operation_id = "listModelProviders",
    responses(
        (status = 200, description = "All providers.", body = Page<ProviderBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(stream): State<Stream<D>>,
    _: Allowed<ProvidersManage>,
) -> Result<Json<Page<ProviderBody>>> {
    let config = &stream.config;
    let mut bodies: Vec<_> = std::iter::once(&config.standard).chain(&config.more).map(body_of_configured).collect();
    for row in stream.app.store().model_providers().await? {
        // One that this release cannot read can be replaced by its name.
        let Ok(written) = stored::written(&row) else { continue };
        let problem = check_host(&stream, &written.base_url).err();
        let (credentials, problem) = match stored::credentials(stream.app.store(), &written.name, &row).await {
            Ok(credentials) => (credentials, problem),
            Err(_) => (Credentials::default(), Some(UNOPENABLE.to_owned())),
        };
        bodies.push(body_of(written, &credentials, problem));
    }
    Ok(Json(Page::whole(bodies)))
}

/// What a provider is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ModelProviderChange, example = json!({"base_url": "https://api.openai.com/v1", "models": ["gpt-*"], "key": "sk-..."})))]
pub(crate) struct Contents {
    /// The address of its API, http or https. A query may be secret, and is kept with the key.
    base_url: String,
    /// The API that it has; Chat Completions unless said otherwise.
    #[serde(default)]
    dialect: Api,
    /// The higher is asked first.
    #[serde(default)]
    priority: i64,
    /// Its models; all that it lists unless said otherwise.
    models: Option<Vec<WrittenModel>>,
    /// Left out: the one that it has stays, unless the address is another server's. Empty: it has none.
    key: Option<String>,
    /// Further headers of requests. Left out: those that it has stay.
    headers: Option<BTreeMap<String, String>>,
    /// Store it even if the test fails.
    #[serde(default)]
    untested: bool,
}

/// A provider as it was stored, and what came of its test.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SavedModelProvider))]
pub(crate) struct Saved {
    #[serde(flatten)]
    provider: ProviderBody,
    /// What came of the test.
    test: Tested,
}

/// Adds or changes a provider of models, if its test succeeds.
///
/// A key goes to no other server than the one that it was entered for.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/admin/providers/{name}", tag = "Providers of models", operation_id = "setModelProvider",
    params(("name" = String, Path, description = "The provider's name.")),
    request_body = Contents,
    responses(
        (status = 200, description = "The provider, and what came of the test.", body = Saved),
        (status = 409, description = "`provider_configured`: it is changed where the installation is deployed. `too_many_providers`: there are 20 already."),
        (status = 422, description = "`provider_test_failed`: it does not answer; `detail` says what its server said, and nothing is stored."),
    ),
))]
pub(crate) async fn set<D: Database>(
    State(stream): State<Stream<D>>,
    session: Allowed<ProvidersManage>,
    Path(name): Path<String>,
    Json(contents): Json<Contents, MAX_BODY_BYTES>,
) -> Result<Json<Saved>> {
    let store = stream.app.store();
    check_not_configured(&stream, &name)?;
    check_host(&stream, &contents.base_url).map_err(|detail| Problem::invalid_field("base_url", detail))?;
    let before = find(&stream, &name).await?;
    let Contents { base_url, dialect, priority, models, key, headers, untested } = contents;
    let models = models.unwrap_or_else(|| vec![WrittenModel::Name("*".to_owned())]);
    // The query may be secret, so it is kept with the key.
    let (base_url, query) = match base_url.trim().split_once('?') {
        Some((base_url, query)) => (base_url.to_owned(), Some(query.to_owned())),
        None => (base_url.trim().to_owned(), None),
    };
    let written = Written { name: name.clone(), base_url, dialect, priority, models };
    let kept = match &before {
        // A key goes to no other server than the one that it was entered for.
        Some((old, row)) if origin(&old.base_url) == origin(&written.base_url) => {
            match stored::credentials(store, &name, row).await {
                Ok(credentials) => credentials,
                Err(_) if key.is_some() => Credentials::default(),
                Err(_) => return Err(Problem::invalid_field("key", UNOPENABLE).into()),
            }
        }
        Some((_, row)) if !row.sealed.is_empty() && key.is_none() => {
            let detail = "The provider gets another address, so enter its key again: the old one is not sent there.";
            return Err(Problem::invalid_field("key", detail).into());
        }
        _ => Credentials::default(),
    };
    let credentials = Credentials {
        key: key.map_or(kept.key, |key| key.trim().to_owned()),
        headers: headers.map_or(kept.headers, |headers| headers.into_iter().collect()),
        query: query.unwrap_or(kept.query),
    };
    let provider = written.provider(credentials).map_err(|error| {
        let field = error.field();
        Problem::invalid_field(field, format!("This cannot be saved: {error}."))
    })?;
    let test = provider_test::test(&provider, stream.send).await;
    if !test.ok && !untested {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "provider_test_failed", test.message).into());
    }
    let sealed = match provider.credentials == Credentials::default() {
        true => String::new(),
        false => store.seal_provider_key(&name, &to_json(&provider.credentials)?).await?,
    };
    let row = StoredProvider { settings: to_json(&written)?, sealed };
    if !store.set_model_provider(&name, &provider.remembered_as(), &row).await? {
        let detail = format!("There are {MAX_STORED_PROVIDERS} providers already. Remove one first.");
        return Err(Problem::conflict("too_many_providers", detail).into());
    }
    if !test.models.is_empty() {
        store.save_model_listing(&provider.address.server, &test.models).await?;
    }
    record(&stream, &session, "provider.set", &name, Some(&provider.address.server)).await?;
    Ok(Json(Saved { provider: body_of(written, &provider.credentials, None), test }))
}

/// Removes a provider of models.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/providers/{name}", tag = "Providers of models", operation_id = "removeModelProvider",
    params(("name" = String, Path, description = "The provider's name.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 409, description = "`provider_configured`: it is removed where the installation is deployed."),
    ),
))]
pub(crate) async fn remove<D: Database>(
    State(stream): State<Stream<D>>,
    session: Allowed<ProvidersManage>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    check_not_configured(&stream, &name)?;
    if !stream.app.store().remove_model_provider(&name).await? {
        return Err(Problem::not_found().into());
    }
    record(&stream, &session, "provider.remove", &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tests a provider of models.
///
/// Also one that is configured.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/providers/{name}/test", tag = "Providers of models", operation_id = "testModelProvider",
    params(("name" = String, Path, description = "The provider's name.")),
    responses(
        (status = 200, description = "Whether it answers.", body = Tested),
        (status = 422, description = "`invalid_field`: its address is not allowed any more, or its key cannot be opened."),
    ),
))]
pub(crate) async fn test<D: Database>(
    State(stream): State<Stream<D>>,
    session: Allowed<ProvidersManage>,
    Path(name): Path<String>,
) -> Result<Json<Tested>> {
    let provider = &match configured(&stream, &name) {
        Some(provider) => provider.clone(),
        None => added(&stream, &name).await?,
    };
    let tested = provider_test::test(provider, stream.send).await;
    if !tested.models.is_empty() {
        stream.app.store().save_model_listing(&provider.address.server, &tested.models).await?;
    }
    record(&stream, &session, "provider.test", &name, Some(if tested.ok { "answered" } else { "failed" })).await?;
    Ok(Json(tested))
}

/// One that administrators added, with its key.
async fn added<D: Database>(stream: &Stream<D>, name: &str) -> Result<Provider> {
    let (written, row) = find(stream, name).await?.ok_or_else(Problem::not_found)?;
    check_host(stream, &written.base_url).map_err(|detail| Problem::invalid_field("base_url", detail))?;
    match stored::opened(stream.app.store(), &stream.config, &row, None).await {
        Ok(provider) => Ok(provider.ok_or_else(Problem::not_found)?),
        Err(Unusable::Key(_)) => Err(Problem::invalid_field("key", UNOPENABLE).into()),
        Err(Unusable::Invalid(_) | Unusable::Host) => Err(Problem::not_found().into()),
    }
}

async fn find<D: Database>(stream: &Stream<D>, name: &str) -> Result<Option<(Written, StoredProvider)>> {
    let rows = stream.app.store().model_providers().await?;
    let found = rows.into_iter().filter_map(|row| Some((stored::written(&row).ok()?, row)));
    Ok(found.into_iter().find(|(written, _)| written.name == name))
}

/// One that is changed where the installation is deployed.
fn configured<'a, D>(stream: &'a Stream<D>, name: &str) -> Option<&'a Provider> {
    let config = &stream.config;
    std::iter::once(&config.standard).chain(&config.more).find(|provider| provider.name == name)
}

fn check_not_configured<D: Database>(stream: &Stream<D>, name: &str) -> Result<()> {
    if configured(stream, name).is_none() {
        return Ok(());
    }
    let detail = "This provider is configured where the installation is deployed (model_providers, or openai_base_url for default), and is changed there.";
    Err(Problem::conflict("provider_configured", detail).into())
}

/// Refuses an address where administrators may add no provider, with words for them.
fn check_host<D: Database>(stream: &Stream<D>, base_url: &str) -> std::result::Result<(), String> {
    if web::settings::web_address(base_url.trim()).is_none() {
        let detail = "Enter an http or https address without a user and a password, such as https://api.openai.com/v1.";
        return Err(detail.to_owned());
    }
    if stream.config.allows_provider_at(base_url) {
        return Ok(());
    }
    Err(format!(
        "This installation lets no provider be added there. The variable model_provider_hosts says where they may be, now: {}. Whoever deploys it can \
         add {} to {}.",
        stream.config.provider_hosts,
        origin(base_url).unwrap_or_default(),
        environment("model_provider_hosts")
    ))
}

/// Scheme, host and port of an address.
fn origin(base_url: &str) -> Option<String> {
    let uri: Uri = base_url.trim().parse().ok()?;
    let scheme = uri.scheme_str()?;
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some(format!("{scheme}://{}:{port}", uri.host()?.to_ascii_lowercase()))
}

fn to_json(value: &impl Serialize) -> Result<String> {
    let odd =
        |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The provider cannot be written as JSON.");
    Ok(serde_json::to_string(value).map_err(odd)?)
}

/// Records what an administrator did. The detail has no secret.
async fn record<D: Database>(
    stream: &Stream<D>,
    session: &Session,
    action: &str,
    subject: &str,
    detail: Option<&str>,
) -> Result<()> {
    let user_id: Id = session.user_id();
    let event = AuditEvent { detail, ..AuditEvent::new(user_id, action, subject) };
    Ok(stream.app.store().append_audit(&event).await?)
}
