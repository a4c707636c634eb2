//! `GET /api/models`: the models that a person may choose.
//!
//! Providers name models, or patterns of models; which ones a pattern stands for, the provider's own list says. Lists are kept for an hour, and one request
//! of all hosts makes an old one anew.

use axum::extract::State;
use futures::future::join_all;
use models::{Offer, Pricing, Provider, Providers, listed};
use permissions::{Action, table::ConversationsRead};
use serde::Serialize;
use storage::{
    Database, StorageError, Store,
    model_listings::{ModelListing, models_of, of_server},
};
use web::{
    Allowed, Json, Page, Result,
    log::{Level, log},
};

use crate::{
    COMPONENT,
    outside::{Outlet, Unasked, Whole, list_request},
    router::Stream,
    stored,
};

/// A model that the caller may use. What is not known about it is null.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Model, example = json!({"id": "gpt-4.1-mini", "default": true, "providers": ["default"], "context_window_tokens": 1047576, "sees": true, "calls_tools": true, "reasons": false, "price": {"input": 0.4, "output": 1.6, "currency": "USD"}})))]
pub(crate) struct ModelBody {
    id: String,
    /// It answers in a conversation that names none.
    default: bool,
    /// Who has it, in the order in which they are asked.
    providers: Vec<String>,
    /// How much it can read.
    context_window_tokens: Option<u64>,
    /// It takes pictures.
    sees: Option<bool>,
    /// It calls tools.
    calls_tools: Option<bool>,
    /// It reasons before it answers.
    reasons: Option<bool>,
    price: Option<PriceBody>,
}

/// What a million tokens cost.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ModelPrice))]
struct PriceBody {
    /// Of what the model reads.
    input: f64,
    /// Of what it writes.
    output: f64,
    /// The currency's code (ISO 4217).
    currency: String,
}

/// Lists the models that the caller may use.
///
/// Those that providers name, and those that their servers list and a pattern stands for.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/models", tag = "Models", operation_id = "listModels",
    responses(
        (status = 200, description = "The models.", body = Page<ModelBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(stream): State<Stream<D>>,
    session: Allowed<ConversationsRead>,
) -> Result<Json<Page<ModelBody>>> {
    let store = stream.app.store();
    let providers = &stored::all(store, &stream.config, &store.model_providers().await?, None).await;
    let listings = current(store, providers, stream.send).await?;
    let may_use = |model: &str| session.access().allows(&Action::UseModel(model));
    let mut offers = providers.offers(|provider| models_of(&listings, &provider.address.server));
    offers.retain(|offer| may_use(&offer.id));
    let default = providers.default_model(&stream.config.default_model, may_use, &offers).map(str::to_owned);
    let pricing = &stream.config.settings.pricing;
    let bodies = offers.into_iter().map(|offer| {
        let is_default = default.as_deref() == Some(&offer.id);
        body(offer, is_default, providers, pricing)
    });
    Ok(Json(Page::whole(bodies.collect::<Vec<_>>())))
}

#[expect(clippy::cast_precision_loss, reason = "prices have a few digits")]
fn body(offer: Offer, default: bool, providers: &Providers, pricing: &Pricing) -> ModelBody {
    let first = providers.of_model(&offer.id).into_iter().next();
    let price = first.and_then(|provider| pricing.at(provider, &offer.id));
    let of = |millionths: u64| millionths as f64 / domain::prices::MILLIONTHS as f64;
    let price = price.map(|price| PriceBody {
        input: of(price.input),
        output: of(price.output),
        currency: pricing.currency().to_owned(),
    });
    let Offer { id, providers, facts } = offer;
    ModelBody {
        id,
        default,
        providers,
        context_window_tokens: facts.context_window_tokens,
        sees: facts.sees,
        calls_tools: facts.calls_tools,
        reasons: facts.reasons,
        price,
    }
}

/// The lists of all providers that have patterns. Those that are missing or old are asked for first.
pub(crate) async fn current<D: Database>(
    store: &Store<D>,
    providers: &Providers,
    send: Outlet,
) -> Result<Vec<ModelListing>, StorageError> {
    let listings = store.model_listings().await?;
    let is_due = |provider: &&Provider| {
        let has_patterns = provider.models.iter().any(models::Model::is_pattern);
        let listing = of_server(&listings, &provider.address.server);
        has_patterns && listing.is_none_or(|listing| listing.is_old)
    };
    let due: Vec<&Provider> = providers.iter().filter(is_due).collect();
    if due.is_empty() {
        return Ok(listings);
    }
    for asked in join_all(due.iter().map(|provider| renewed(store, provider, send))).await {
        asked?;
    }
    store.model_listings().await
}

/// Asks a provider for its list and stores it, unless somebody else does. If it does not answer, the list before counts on.
async fn renewed<D: Database>(store: &Store<D>, provider: &Provider, send: Outlet) -> Result<(), StorageError> {
    let server = &provider.address.server;
    if !store.claim_model_listing(server).await? {
        return Ok(());
    }
    let answer = match list_request(provider) {
        Ok(request) => send(request).await,
        Err(error) => Err(error),
    };
    let read = |answer: Whole| listed(&answer.body).filter(|_| (200..300).contains(&answer.status));
    let models: Result<Option<Vec<String>>, Unasked> = answer.map(read);
    match models {
        Ok(Some(models)) => store.save_model_listing(server, &models).await,
        other => {
            let cause = other.err().as_ref().map_or_else(|| "it is no list".to_owned(), Unasked::to_string);
            let fields = serde_json::json!({ "provider": provider.name, "cause": cause });
            log(COMPONENT, Level::Warn, "the models of a provider cannot be listed", fields);
            Ok(())
        }
    }
}
