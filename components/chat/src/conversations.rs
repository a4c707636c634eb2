//! `/api/conversations` and `/api/conversations/{id}`.

use axum::{extract::State, response::Response};
use domain::{Conversation, ConversationSettings, Id, NamedAssistant, Timestamp};
use http::StatusCode;
use permissions::table::{ConversationsRead, ConversationsWrite};
use problem::Problem;
use serde::Deserialize;
use storage::{Database, assistants::Assistant, conversation_settings::SettingsChanged, retention::MAX_DAYS};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, Session, extract::created};

use crate::{
    assistants,
    body::{ConversationBody, ListedConversation},
    models,
    router::Chat,
    settings::{MAX_SETTINGS_BYTES, SettingsChange, present},
};

/// A title is one line in a list.
const MAX_TITLE_CHARS: usize = 200;
/// How often a change of settings is tried. Each time, somebody else has changed them in the same moment.
const MAX_TRIES: u32 = 3;
/// The length of a page, if the request does not say.
const DEFAULT_LIMIT: u32 = 50;

/// A conversation to be begun.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewConversation, example = json!({"title": "Plans for spring"})))]
pub(crate) struct New {
    /// No list shows it, and it is deleted soon after it was left.
    #[serde(default)]
    temporary: bool,
    #[serde(flatten)]
    change: Change,
}

/// What is to be different about a conversation. What is left out stays.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ConversationChange, example = json!({"title": "Plans for spring", "retention_days": 30})))]
pub(crate) struct Change {
    /// What lists show. Without one, a new conversation takes the first words of its first message.
    #[cfg_attr(test, schema(max_length = 200))]
    title: Option<String>,
    /// The model that answers from now on, one of `GET /api/models`.
    #[cfg_attr(test, schema(max_length = 200))]
    model: Option<String>,
    /// After how many days without use it is deleted; null: as the rules of the installation say.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<u32>, minimum = 1, maximum = 3650))]
    retention_days: Option<Option<u32>>,
    /// An assistant whose settings and model it takes; `null`: it names none any more, and keeps its settings.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<Id>))]
    assistant_id: Option<Option<String>>,
    /// Changes of single settings, after those of the assistant.
    settings: Option<SettingsChange>,
}

impl Change {
    async fn check<D: Database>(&self, chat: &Chat<D>, session: &Session) -> Result<()> {
        if self.title.as_ref().is_some_and(|title| title.chars().count() > MAX_TITLE_CHARS) {
            return Err(Problem::invalid_field("title", "Use at most 200 characters.").into());
        }
        if self.retention_days.flatten().is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
            let detail = format!("Keep it for 1 to {MAX_DAYS} days, or null: as long as the installation does.");
            return Err(Problem::invalid_field("retention_days", detail).into());
        }
        models::check_name(chat, session, self.model.as_deref()).await
    }

    /// The assistant that is chosen. Its model counts unless another one is named.
    async fn assistant<D: Database>(&mut self, chat: &Chat<D>, session: &Session) -> Result<Option<Assistant>> {
        let Some(Some(id)) = &self.assistant_id else { return Ok(None) };
        let assistant = assistants::usable(chat, session, id).await?;
        if self.model.is_none() {
            self.model.clone_from(&assistant.contents.model);
        }
        Ok(Some(assistant))
    }

    /// The settings after the change.
    fn settings(&self, assistant: Option<&Assistant>, mut now: ConversationSettings) -> Result<ConversationSettings> {
        if self.assistant_id.is_some() {
            now.assistant = None;
        }
        if let Some(Assistant { id, contents, .. }) = assistant {
            now.assistant = Some(NamedAssistant { id: *id, name: contents.name.clone() });
            now.model.clone_from(&contents.settings);
        }
        if let Some(change) = &self.settings {
            change.apply(&mut now.model)?;
        }
        Ok(now)
    }

    /// Changes the settings of a conversation, and with them its model, if that is wanted. The conversation afterwards; `None`: nothing was changed.
    async fn configure<D: Database>(
        &self,
        chat: &Chat<D>,
        session: &Session,
        id: Id,
        assistant: Option<&Assistant>,
    ) -> Result<Option<Conversation>> {
        if self.assistant_id.is_none() && self.settings.is_none() {
            return Ok(None);
        }
        let (store, user_id) = (chat.store(), session.user_id());
        for _ in 0..MAX_TRIES {
            let Conversation { settings_id, settings, .. } =
                store.conversation(user_id, id).await?.ok_or_else(Problem::not_found)?;
            let changed = self.settings(assistant, settings.clone())?;
            if changed == settings {
                return Ok(None);
            }
            match store.set_conversation_settings(user_id, id, settings_id, &changed, self.model.as_deref()).await? {
                SettingsChanged::Changed(conversation) => return Ok(Some(*conversation)),
                SettingsChanged::NotFound => return Err(Problem::not_found().into()),
                SettingsChanged::ChangedMeanwhile => {}
            }
        }
        let detail = "The settings were changed elsewhere in this moment. Try again.";
        Err(Problem::conflict("changed_meanwhile", detail).into())
    }
}

/// The cursor of a page: the position of its last item.
fn cursor(conversation: &Conversation) -> String {
    format!("{}_{}", conversation.updated_at.as_millis(), conversation.id)
}

fn parse_cursor(text: &str) -> Option<(Timestamp, Id)> {
    let (millis, id) = text.split_once('_')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), id.parse().ok()?))
}

/// Lists one's conversations.
///
/// The newest activity first. Temporary chats are in no list.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/conversations", tag = "Conversations", operation_id = "listConversations",
    params(Listing),
    responses(
        (status = 200, description = "A page of conversations.", body = Page<ListedConversation>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<ListedConversation>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let after = listing.cursor(parse_cursor)?;
    let has_rules = chat.has_retention_rules().await?;
    let found = chat.store().conversations(session.user_id(), after, limit + 1, has_rules).await?;
    Ok(Json(Page::new(found, limit, cursor, Into::into)))
}

/// Begins a conversation.
///
/// With `temporary`, it has neither a title nor days, is in no list, and goes thirty minutes after its last use.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/conversations", tag = "Conversations", operation_id = "createConversation",
    request_body = New,
    responses(
        (status = 201, description = "The conversation.", body = ConversationBody),
        (status = 403, description = "`forbidden`: the caller's roles do not have the model."),
    ),
))]
pub(crate) async fn create<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    Json(New { temporary, mut change }): Json<New, MAX_SETTINGS_BYTES>,
) -> Result<Response> {
    let assistant = change.assistant(&chat, &session).await?;
    change.check(&chat, &session).await?;
    let settings = change.settings(assistant.as_ref(), ConversationSettings::default())?;
    let (store, user_id, model) = (chat.store(), session.user_id(), change.model.as_deref());
    if temporary {
        if change.title.is_some() || change.retention_days.is_some() {
            let detail = "A temporary chat has no title and is not kept. Leave title and retention_days out.";
            return Err(Problem::invalid_field("temporary", detail).into());
        }
        let conversation = store.begin_temporary_conversation(user_id, model).await?.ok_or_else(Problem::not_found)?;
        let conversation = configured(&chat, &session, conversation, &settings).await?;
        return Ok(created(ConversationBody::from(conversation)));
    }
    let title = change.title.unwrap_or_default();
    let mut conversation = store.create_conversation(user_id, title.trim(), model).await?;
    if let Some(days) = change.retention_days {
        store.set_own_retention(user_id, conversation.id, days).await?;
        conversation = store.conversation(user_id, conversation.id).await?.ok_or_else(Problem::not_found)?;
    }
    let conversation = configured(&chat, &session, conversation, &settings).await?;
    Ok(created(ConversationBody::from(conversation)))
}

/// A new conversation with its settings. Nobody else knows it yet.
async fn configured<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    conversation: Conversation,
    settings: &ConversationSettings,
) -> Result<Conversation> {
    if *settings == ConversationSettings::default() {
        return Ok(conversation);
    }
    let set = chat.store().set_conversation_settings(session.user_id(), conversation.id, None, settings, None).await?;
    match set {
        SettingsChanged::Changed(conversation) => Ok(*conversation),
        SettingsChanged::ChangedMeanwhile | SettingsChanged::NotFound => Err(Problem::not_found().into()),
    }
}

/// Reads a conversation.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/conversations/{id}", tag = "Conversations", operation_id = "getConversation",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "The conversation.", body = ConversationBody),
    ),
))]
pub(crate) async fn read<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    PathId(id): PathId,
) -> Result<Json<ConversationBody>> {
    let conversation = chat.store().conversation(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(conversation.into()))
}

/// Changes a conversation.
///
/// Its title, its model, or how long it is kept.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/conversations/{id}", tag = "Conversations", operation_id = "updateConversation",
    params(("id" = Id, Path)),
    request_body = Change,
    responses(
        (status = 200, description = "The conversation, as it is now.", body = ConversationBody),
        (status = 403, description = "`forbidden`: the caller's roles do not have the model."),
        (status = 409, description = "`temporary`: a temporary chat has neither a title nor days. `changed_meanwhile`: its settings were changed in the same moment."),
    ),
))]
pub(crate) async fn update<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    Json(mut change): Json<Change, MAX_SETTINGS_BYTES>,
) -> Result<Json<ConversationBody>> {
    let assistant = change.assistant(&chat, &session).await?;
    change.check(&chat, &session).await?;
    let (store, user_id) = (chat.store(), session.user_id());
    if change.title.is_some() || change.retention_days.is_some() {
        let conversation = store.conversation(user_id, id).await?.ok_or_else(Problem::not_found)?;
        if conversation.is_temporary {
            let detail = "A temporary chat has no title and is not kept. Begin another conversation, which is.";
            return Err(Problem::conflict("temporary", detail).into());
        }
    }
    let configured = change.configure(&chat, &session, id, assistant.as_ref()).await?;
    let title = change.title.as_deref().map(str::trim);
    let mut updated = match configured {
        Some(configured) if title.is_none() => configured,
        _ => {
            let updated = store.update_conversation(user_id, id, title, change.model.as_deref()).await?;
            updated.ok_or_else(Problem::not_found)?
        }
    };
    // After the change, from which it counts: whatever fails in between, nothing goes at once.
    if let Some(days) = change.retention_days {
        store.set_own_retention(user_id, id, days).await?;
        updated = store.conversation(user_id, id).await?.ok_or_else(Problem::not_found)?;
    }
    Ok(Json(updated.into()))
}

/// Deletes a conversation.
///
/// Its messages, runs and events go with it.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/conversations/{id}", tag = "Conversations", operation_id = "deleteConversation",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is gone."),
    ),
))]
pub(crate) async fn delete<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let has_tasks = chat.store().has_tool_tasks(session.user_id(), id).await?;
    if chat.store().delete_conversation(session.user_id(), id).await? {
        // Nobody is left who could read what they come to.
        if has_tasks {
            chat.stop_tasks(session.user_id(), None);
        }
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found().into())
    }
}
