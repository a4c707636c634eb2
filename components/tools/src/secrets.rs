//! What people entrust to tools: `/api/tools/secrets`.
//!
//! Only who entered a value sees it again, and only if its provider says that it may be shown.

use axum::extract::State;
use domain::Id;
use http::StatusCode;
use permissions::table::{ToolsManage, ToolsRead};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    audit::AuditEvent,
    secrets::MAX_SECRET_BYTES,
    tool_secrets::{MAX_SECRETS, ToolSecret},
};
use tool_catalogue::{Host, MAX_SECRET_NAME_CHARS, Secret};
use toolbox::catalog::MAX_SERVER_NAME_CHARS;
use web::{Allowed, Json, Query, Result};
use zeroize::Zeroizing;

use crate::{passed::open, state::Tools};

/// JSON may write a byte with six; and the rest.
const MAX_BODY_BYTES: usize = 6 * MAX_SECRET_BYTES + 4 * 1024;

/// The secrets that tools need from a person.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ToolSecretList))]
pub(crate) struct SecretList {
    items: Vec<SecretBody>,
}

/// A secret that tools need from a person, and whether the caller has entered it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ToolSecret, example = json!({"server": "mail", "name": "token", "title": "API token", "description": "Made in the settings of your mail account.", "visible": false, "optional": false, "is_set": true})))]
pub(crate) struct SecretBody {
    server: String,
    name: String,
    /// Its name for people.
    title: String,
    /// Where to get it.
    description: String,
    /// It may be shown again: an address, not a password.
    visible: bool,
    /// The tools also work without it.
    optional: bool,
    /// It was entered, and can still be read.
    is_set: bool,
    /// Only if it is visible and set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    value: Option<String>,
}

impl SecretBody {
    fn new(server: &str, secret: &Secret, value: Option<&str>) -> Self {
        Self {
            server: server.to_owned(),
            name: secret.name.clone(),
            title: secret.title.clone(),
            description: secret.description.clone(),
            visible: secret.visible,
            optional: secret.optional,
            is_set: value.is_some(),
            value: value.filter(|_| secret.visible).map(str::to_owned),
        }
    }
}

/// Lists the secrets that the existing tools need from a person.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/tools/secrets", tag = "Secrets of tools", operation_id = "listToolSecrets",
    responses(
        (status = 200, description = "The secrets.", body = SecretList),
    ),
))]
pub(crate) async fn list<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsRead>,
) -> Result<Json<SecretList>> {
    let listed = tools.listed().await?;
    let declared = listed.secrets();
    if declared.is_empty() {
        return Ok(Json(SecretList { items: Vec::new() }));
    }
    let user_id = session.user_id();
    let kept = tools.store().tool_secrets(user_id).await?;
    let key = if kept.is_empty() { None } else { tools.store().secrets_key_to_read(user_id).await? };
    let body = |(server, secret): (&str, &Secret)| {
        let kept = kept.iter().find(|kept| kept.server == server && kept.name == secret.name);
        let value = kept.and_then(|kept| open(key.as_ref(), kept).ok());
        SecretBody::new(server, secret, value.as_ref().map(|value| value.as_str()))
    };
    Ok(Json(SecretList { items: declared.into_iter().map(body).collect() }))
}

/// A secret to be kept, encrypted. Without `Debug`, as everything here that has a value in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewToolSecret, example = json!({"server": "mail", "name": "token", "value": "fmu1-..."})))]
pub(crate) struct NewSecret {
    server: String,
    name: String,
    /// 1 byte to 4 KiB.
    #[cfg_attr(test, schema(min_length = 1))]
    value: String,
}

/// Keeps a secret for a tool, encrypted.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/tools/secrets", tag = "Secrets of tools", operation_id = "setToolSecret",
    request_body = NewSecret,
    responses(
        (status = 200, description = "The secret.", body = SecretBody),
        (status = 409, description = "`too_many_secrets`: there are 200 already."),
    ),
))]
pub(crate) async fn set<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsManage>,
    Json(new): Json<NewSecret, MAX_BODY_BYTES>,
) -> Result<Json<SecretBody>> {
    let NewSecret { server, name, value } = new;
    let value = Zeroizing::new(value);
    let listed = tools.listed().await?;
    let declared = listed.secrets();
    if !declared.iter().any(|(known, _)| *known == server) {
        return Err(Problem::invalid_field("server", "No tools of a server of this name need a secret.").into());
    }
    let Some((_, secret)) = declared.into_iter().find(|(known, secret)| *known == server && secret.name == name) else {
        return Err(Problem::invalid_field("name", "No tool of this server needs a secret of this name.").into());
    };
    if value.is_empty() {
        return Err(Problem::invalid_field("value", "Enter something, or delete the secret.").into());
    }
    if value.len() > MAX_SECRET_BYTES {
        return Err(Problem::invalid_field("value", format!("At most {MAX_SECRET_BYTES} bytes.")).into());
    }
    let user_id = session.user_id();
    let key = tools.store().secrets_key(user_id).await?;
    let sealed = key.seal(&server, &name, &value).map_err(Problem::internal)?;
    let kept = ToolSecret { server: server.clone(), name: name.clone(), sealed };
    if !tools.store().set_tool_secret(user_id, &kept).await? {
        let detail = format!("You have entered {MAX_SECRETS} secrets already. Delete one first.");
        return Err(Problem::conflict("too_many_secrets", detail).into());
    }
    audit(&tools, user_id, "secret.set", &server, &name).await?;
    Ok(Json(SecretBody::new(&server, secret, Some(&value))))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct OldSecret {
    /// Whose tools needed it.
    server: String,
    /// Its name.
    name: String,
}

/// Forgets a secret.
///
/// Also of a server that is not there any more.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/tools/secrets", tag = "Secrets of tools", operation_id = "removeToolSecret",
    params(OldSecret),
    responses(
        (status = 204, description = "There is no such secret any more."),
    ),
))]
pub(crate) async fn delete<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsManage>,
    Query(old): Query<OldSecret>,
) -> Result<StatusCode> {
    let OldSecret { server, name } = old;
    let possible = |text: &str, max_chars: usize| text.chars().count() <= max_chars && !text.contains(char::is_control);
    // Nothing else was ever stored.
    if possible(&server, MAX_SERVER_NAME_CHARS) && possible(&name, MAX_SECRET_NAME_CHARS) {
        tools.store().delete_tool_secret(session.user_id(), &server, &name).await?;
        audit(&tools, session.user_id(), "secret.delete", &server, &name).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn audit<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    action: &str,
    server: &str,
    name: &str,
) -> Result<()> {
    let subject = format!("{server}:{name}");
    Ok(tools.store().append_audit(&AuditEvent::new(user_id, action, &subject)).await?)
}
