//! `/api/assistants`: settings under a name, one's own or shared with groups; and `/api/groups`, with which one can share.

use axum::{extract::State, response::Response};
use domain::{AssistantContents, Id, ModelSettings, Timestamp, limits::MAX_ASSISTANT_NAME_CHARS};
use http::StatusCode;
use permissions::{
    Action, Required,
    table::{AssistantsManage, AssistantsShare, ConversationsRead, ConversationsWrite, GroupsManage},
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    assistants::{Assistant, AssistantSaved, MAX_ASSISTANTS_OF_USER, SharedGroup, Viewer},
    audit::AuditEvent,
};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, Session, extract::created};

use crate::{
    models,
    router::Chat,
    settings::{MAX_SETTINGS_BYTES, SettingsChange, present},
};

/// A description is a line or two in a list.
const MAX_DESCRIPTION_CHARS: usize = 500;
/// As many groups as somebody can be in.
const MAX_GROUPS: usize = storage::groups::MAX_GROUPS_OF_USER;
/// Assistants on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// And at most: each may have long instructions, and hosted edges allow responses of at most 10 MiB.
const MAX_LIMIT: u32 = 100;

/// Settings under a name.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Assistant, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "Translator", "description": "Into French.", "model": null, "settings": {"instructions": "Be brief.", "temperature": 0.7, "max_output_tokens": 500, "reasoning_effort": null, "tools": null}, "own": true, "owner_name": null, "groups": [], "created_at": "2026-01-01T12:00:00.000Z", "updated_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct AssistantBody {
    id: Id,
    name: String,
    /// A line or two.
    description: String,
    /// The model that answers; null: the default.
    model: Option<String>,
    settings: ModelSettings,
    /// Whether it is the caller's own.
    own: bool,
    /// Whose it is, if it is shared by somebody else who has a name.
    owner_name: Option<String>,
    /// With whom it is shared. Only who may change it sees that.
    groups: Option<Vec<GroupBody>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A group, by its name.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NamedGroup, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "Finance"})))]
pub(crate) struct GroupBody {
    id: Id,
    name: String,
}

impl From<SharedGroup> for GroupBody {
    fn from(SharedGroup { id, name }: SharedGroup) -> Self {
        Self { id, name }
    }
}

fn body(assistant: Assistant, viewer: Viewer) -> AssistantBody {
    let (own, may_change) = (assistant.owner_id == viewer.user_id, viewer.may_change(&assistant));
    let Assistant { id, owner_name, contents, groups, created_at, updated_at, .. } = assistant;
    let AssistantContents { name, description, model, settings } = contents;
    AssistantBody {
        id,
        name,
        description,
        model,
        settings,
        own,
        owner_name: Some(owner_name).filter(|name| !own && !name.is_empty()),
        groups: may_change.then(|| groups.into_iter().map(Into::into).collect()),
        created_at,
        updated_at,
    }
}

/// What is sent to make or change one. An absent field stays as it is.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AssistantChange, example = json!({"name": "Translator", "settings": {"instructions": "Translate into French."}})))]
pub(crate) struct Change {
    /// 1 to 60 characters on one line.
    #[cfg_attr(test, schema(max_length = 60))]
    name: Option<String>,
    /// A line or two.
    #[cfg_attr(test, schema(max_length = 500))]
    description: Option<String>,
    /// The model that answers; null: the default.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    model: Option<Option<String>>,
    #[serde(default)]
    settings: SettingsChange,
    /// The ids of all groups that it is shared with from now on.
    groups: Option<Vec<String>>,
}

/// Who asks, as the store wants to know it.
fn viewer(session: &Session) -> Viewer {
    let manages_shared = session.access().allows(&Action::Route(AssistantsManage::NAME));
    Viewer { user_id: session.user_id(), manages_shared }
}

/// An assistant that the caller can use. Of one that they cannot see, nothing is said.
pub(crate) async fn usable<D: Database>(chat: &Chat<D>, session: &Session, id: &str) -> Result<Assistant> {
    let found = match id.parse() {
        Ok(id) => chat.store().assistant(viewer(session), id).await?,
        Err(_) => None,
    };
    let missing = || Problem::invalid_field("assistant_id", "You have no such assistant, and none is shared with you.");
    let assistant = found.ok_or_else(missing)?;
    if !assistant.is_readable {
        let detail = "This assistant cannot be read any more. Choose another one.";
        return Err(Problem::invalid_field("assistant_id", detail).into());
    }
    Ok(assistant)
}

/// Lists the assistants that one can use.
///
/// One's own, and those that are shared with groups one is in.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/assistants", tag = "Assistants", operation_id = "listAssistants",
    params(Listing),
    responses(
        (status = 200, description = "A page of assistants.", body = Page<AssistantBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<AssistantBody>>> {
    let (limit, viewer) = (listing.limit(DEFAULT_LIMIT)?.min(MAX_LIMIT), viewer(&session));
    let found = chat.store().assistants(viewer, listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |assistant| assistant.id.to_string(), |assistant| body(assistant, viewer))))
}

/// Reads an assistant.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/assistants/{id}", tag = "Assistants", operation_id = "getAssistant",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "The assistant.", body = AssistantBody),
    ),
))]
pub(crate) async fn read<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    PathId(id): PathId,
) -> Result<Json<AssistantBody>> {
    let viewer = viewer(&session);
    let assistant = chat.store().assistant(viewer, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(body(assistant, viewer)))
}

/// Makes an assistant.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/assistants", tag = "Assistants", operation_id = "createAssistant",
    request_body = Change,
    responses(
        (status = 201, description = "The assistant.", body = AssistantBody),
        (status = 403, description = "`forbidden`: the model may not be used, or the assistant may not be shared with all of these groups; `permission` names what is missing."),
        (status = 409, description = "`name_taken`: one has an assistant of this name. `too_many_assistants`: one has a hundred already."),
    ),
))]
pub(crate) async fn create<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    Json(change): Json<Change, MAX_SETTINGS_BYTES>,
) -> Result<Response> {
    let contents = contents(&chat, &session, &change, AssistantContents::default()).await?;
    let groups = groups(&chat, &session, &change, &[]).await?;
    let made = saved(chat.store().create_assistant(session.user_id(), &contents, &groups).await?)?;
    record(&chat, &session, "assistant.create", made.id, None).await?;
    record_sharing(&chat, &session, &made, &[]).await?;
    Ok(created(body(made, viewer(&session))))
}

/// Changes an assistant.
///
/// What is left out stays. Conversations that were begun with it keep its settings of then.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/assistants/{id}", tag = "Assistants", operation_id = "updateAssistant",
    params(("id" = Id, Path)),
    request_body = Change,
    responses(
        (status = 200, description = "The assistant, as it is now.", body = AssistantBody),
        (status = 403, description = "`forbidden`: the model may not be used, or the assistant may not be shared with all of these groups; `permission` names what is missing."),
        (status = 409, description = "`name_taken`: its owner has an assistant of this name. `changed_meanwhile`: somebody else has changed it in the same moment."),
    ),
))]
pub(crate) async fn update<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    Json(change): Json<Change, MAX_SETTINGS_BYTES>,
) -> Result<Json<AssistantBody>> {
    let viewer = viewer(&session);
    let former = chat.store().assistant(viewer, id).await?.ok_or_else(Problem::not_found)?;
    if !viewer.may_change(&former) {
        return Err(Problem::forbidden(AssistantsManage::NAME).into());
    }
    let contents = contents(&chat, &session, &change, former.contents.clone()).await?;
    let groups = groups(&chat, &session, &change, &former.groups).await?;
    let changed = saved(chat.store().update_assistant(&former, &contents, &groups).await?)?;
    if former.owner_id != session.user_id() {
        record(&chat, &session, "assistant.update", id, None).await?;
    }
    record_sharing(&chat, &session, &changed, &former.groups).await?;
    Ok(Json(body(changed, viewer)))
}

/// Deletes an assistant.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/assistants/{id}", tag = "Assistants", operation_id = "deleteAssistant",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is gone."),
        (status = 403, description = "`forbidden`: somebody else shares it."),
    ),
))]
pub(crate) async fn delete<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let viewer = viewer(&session);
    if chat.store().delete_assistant(viewer, id).await? {
        record(&chat, &session, "assistant.delete", id, None).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    // One that is shared with the caller is no secret to them.
    match chat.store().assistant(viewer, id).await? {
        Some(_) => Err(Problem::forbidden(AssistantsManage::NAME).into()),
        None => Err(Problem::not_found().into()),
    }
}

/// Lists the groups that one can share assistants with.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/groups", tag = "Assistants", operation_id = "listGroupsToShareWith",
    responses(
        (status = 200, description = "The groups.", body = Page<GroupBody>),
    ),
))]
pub(crate) async fn list_groups<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
) -> Result<Json<Page<GroupBody>>> {
    Ok(Json(Page::whole(groups_to_share_with(&chat, &session).await?.into_iter().map(Into::into))))
}

async fn groups_to_share_with<D: Database>(chat: &Chat<D>, session: &Session) -> Result<Vec<SharedGroup>> {
    if !session.access().allows(&Action::Route(GroupsManage::NAME)) {
        return Ok(chat.store().groups_of_user(session.user_id()).await?);
    }
    let all = chat.store().groups().await?.into_iter();
    Ok(all.map(|group| SharedGroup { id: group.id, name: group.name }).collect())
}

/// What it is after a change.
async fn contents<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    change: &Change,
    mut contents: AssistantContents,
) -> Result<AssistantContents> {
    if let Some(name) = &change.name {
        name.trim().clone_into(&mut contents.name);
    }
    let length = contents.name.chars().count();
    if !(1..=MAX_ASSISTANT_NAME_CHARS).contains(&length) || contents.name.contains(char::is_control) {
        let detail = format!("Use 1 to {MAX_ASSISTANT_NAME_CHARS} characters on one line.");
        return Err(Problem::invalid_field("name", detail).into());
    }
    if let Some(description) = &change.description {
        description.trim().clone_into(&mut contents.description);
    }
    if contents.description.chars().count() > MAX_DESCRIPTION_CHARS {
        let detail = format!("Use at most {MAX_DESCRIPTION_CHARS} characters.");
        return Err(Problem::invalid_field("description", detail).into());
    }
    if let Some(model) = &change.model {
        models::check_name(chat, session, model.as_deref()).await?;
        contents.model.clone_from(model);
    }
    change.settings.apply(&mut contents.settings)?;
    Ok(contents)
}

/// The groups that it is shared with after a change. Whoever leaves it shared must be allowed to share it with all of them, since what others get may have
/// changed; but whoever manages assistants may leave it where it is.
async fn groups<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    change: &Change,
    former: &[SharedGroup],
) -> Result<Vec<Id>> {
    let former: Vec<Id> = former.iter().map(|group| group.id).collect();
    let groups = match &change.groups {
        None => former.clone(),
        Some(wanted) if wanted.len() > MAX_GROUPS => {
            return Err(Problem::invalid_field("groups", format!("At most {MAX_GROUPS} groups.")).into());
        }
        Some(wanted) => {
            let wanted: Option<Vec<Id>> = wanted.iter().map(|id| id.parse().ok()).collect();
            wanted.ok_or_else(no_group)?
        }
    };
    if groups.is_empty() {
        return Ok(groups);
    }
    session.check(&Action::Route(AssistantsShare::NAME))?;
    let may_stay = |id: &Id| viewer(session).manages_shared && former.contains(id);
    if !groups.iter().all(may_stay) {
        let usable = groups_to_share_with(chat, session).await?;
        if !groups.iter().all(|id| may_stay(id) || usable.iter().any(|group| group.id == *id)) {
            return Err(no_group().into());
        }
    }
    Ok(groups)
}

fn no_group() -> Problem {
    Problem::invalid_field(
        "groups",
        "Choose groups that you are in. Where you are no longer a member, take the assistant off.",
    )
}

fn saved(saved: AssistantSaved) -> Result<Assistant> {
    match saved {
        AssistantSaved::Saved(assistant) => Ok(*assistant),
        AssistantSaved::NameTaken => {
            let detail = "There is an assistant of this name already. Choose another name.";
            Err(Problem::conflict("name_taken", detail).into())
        }
        AssistantSaved::TooMany => {
            let detail = format!("You have {MAX_ASSISTANTS_OF_USER} assistants already. Delete one first.");
            Err(Problem::conflict("too_many_assistants", detail).into())
        }
        AssistantSaved::ChangedMeanwhile => {
            let detail = "It was changed or deleted in the meantime. Open it again, then change it.";
            Err(Problem::conflict("changed_meanwhile", detail).into())
        }
    }
}

/// Records with whom it is shared from now on, if that is somebody else than before.
async fn record_sharing<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    assistant: &Assistant,
    former: &[SharedGroup],
) -> Result<()> {
    let ids = |groups: &[SharedGroup]| groups.iter().map(|group| group.id.to_string()).collect::<Vec<_>>().join(" ");
    let (before, now) = (ids(former), ids(&assistant.groups));
    if before == now {
        return Ok(());
    }
    let detail = if now.is_empty() { "nobody" } else { now.as_str() };
    record(chat, session, "assistant.share", assistant.id, Some(detail)).await
}

/// Records what was done, with ids alone.
async fn record<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    action: &str,
    id: Id,
    detail: Option<&str>,
) -> Result<()> {
    let subject = id.to_string();
    let event = AuditEvent { detail, ..AuditEvent::new(session.user_id(), action, &subject) };
    Ok(chat.store().append_audit(&event).await?)
}
