//! `GET /v1/models`: the models that a program may use, and the assistants.

use axum::extract::State;
use domain::limits::MAX_MODEL_BYTES;
use http::StatusCode;
use permissions::{Action, table::ModelsCall};
use problem::Problem;
use serde::Serialize;
use storage::{Database, assistants::Assistant, model_listings::models_of};
use web::{Allowed, Json, Result, extract::PathName};

use super::{Programs, assistants};
use crate::{model_list, stored};

/// The models that a program may use, as OpenAI's API lists them.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProgramModelList))]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

/// A model as OpenAI's API says it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProgramModel, example = json!({"id": "gpt-4.1-mini", "object": "model", "created": 0, "owned_by": "default"})))]
pub(crate) struct Model {
    id: String,
    object: &'static str,
    /// In seconds since 1970. Of a provider's model, nobody says it; clients want a number.
    created: i64,
    /// The provider that is asked first, or `assistants`.
    owned_by: String,
}

/// Who is said to own the models that are assistants.
const OWNER_OF_ASSISTANTS: &str = "assistants";

impl Model {
    fn new(id: String, owned_by: String) -> Self {
        Self { id, object: "model", created: 0, owned_by }
    }

    fn of_assistant(assistant: &Assistant) -> Self {
        let created = assistant.created_at.as_millis() / 1_000;
        Self { created, ..Self::new(assistants::model_of(assistant), OWNER_OF_ASSISTANTS.to_owned()) }
    }
}

/// The model is not there, or nobody has it.
pub(crate) fn not_offered(model: &str) -> Problem {
    let shown: String = model.chars().take(MAX_MODEL_BYTES).collect();
    let detail = format!("This installation does not offer the model {shown}. GET /v1/models says which there are.");
    Problem::new(StatusCode::NOT_FOUND, "model_not_found", detail).with_field("model")
}

/// Lists the models that a program may use.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/models", tag = "Models for programs", operation_id = "listProgramModels",
    responses(
        (status = 200, description = "The models.", body = ModelList),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
) -> Result<Json<ModelList>> {
    let store = programs.app.store();
    let providers = &stored::all(store, &programs.config, &store.model_providers().await?, None).await;
    let listings = model_list::current(store, providers, programs.send).await?;
    let offers = providers.offers(|provider| models_of(&listings, &provider.address.server));
    let usable = offers.into_iter().filter(|offer| session.access().allows(&Action::UseModel(&offer.id)));
    let model = |offer: models::Offer| Model::new(offer.id, offer.providers.into_iter().next().unwrap_or_default());
    let assistants = assistants::usable(&programs, &session).await?;
    let data = usable.map(model).chain(assistants.iter().map(Model::of_assistant)).collect();
    Ok(Json(ModelList { object: "list", data }))
}

/// Reads a model.
///
/// One that the program may not use is not there.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/models/{id}", tag = "Models for programs", operation_id = "getProgramModel",
    params(("id" = String, Path, description = "Its name, which may have slashes.")),
    responses(
        (status = 200, description = "The model.", body = Model),
        (status = 404, description = "`model_not_found`: there is no such model."),
    ),
))]
pub(crate) async fn one<D: Database>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    PathName(id): PathName,
) -> Result<Json<Model>> {
    if let Some(name) = assistants::name_in(&id) {
        let assistant = assistants::by_name(&programs, &session, name).await?;
        if !assistants::may_answer(&session, &assistant) {
            return Err(not_offered(&id).into());
        }
        return Ok(Json(Model::of_assistant(&assistant)));
    }
    let store = programs.app.store();
    let providers = stored::all(store, &programs.config, &store.model_providers().await?, None).await;
    let may_use = id.len() <= MAX_MODEL_BYTES && session.access().allows(&Action::UseModel(&id));
    let first = providers.of_model(&id).into_iter().next().filter(|_| may_use);
    let owner = first.map(|provider| provider.name.clone()).ok_or_else(|| not_offered(&id))?;
    Ok(Json(Model::new(id, owner)))
}
