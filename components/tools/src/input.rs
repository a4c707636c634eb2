//! What a tool, resource or prompt of this installation asks a client of the gateway, and what the client answers (MCP 2026-07-28, "Multi
//! Round-Trip Requests").
//!
//! The state that comes with a question goes through the client's hands. It is sealed on its way, for the account and for what was asked for, with
//! its arguments, and holds for an hour: what comes back to a provider is what it gave, for the same person and the same request. It may come back
//! more than once.

use domain::{Id, Timestamp};
use mcp::{Context, Failure, Input, InputNeeded, Map};
use sha2::{Digest, Sha256};
use storage::Database;
use tool_catalogue::Host;
use web::log::{Level, log};

use crate::{config::COMPONENT, state::Tools};

/// How long a person may think about a question.
const STATE_LIFETIME_MS: i64 = 60 * 60 * 1000;
/// The longest state. With its time it is a little less than what is sealed at most.
const MAX_STATE_BYTES: usize = 4_000;
/// What can be asked of a client. Other capabilities are between it and the gateway.
const ASKABLE: [&str; 3] = ["elicitation", "sampling", "roots"];

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The server that has it.
    pub(crate) server: &'a str,
    /// The method of the protocol.
    pub(crate) method: &'static str,
    /// The tool's or the prompt's name, or the resource's URI, as the server has it.
    pub(crate) name: &'a str,
    /// The arguments, as JSON; empty where there are none. An answer to a question about some is none about others.
    pub(crate) arguments: &'a str,
}

/// What a client can be asked for, and what it answers.
pub(crate) async fn given<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    subject: Subject<'_>,
    context: &Context,
) -> Result<Input, Failure> {
    let capability = |name: &str| Some((name.to_owned(), context.client_capabilities.get(name)?.clone()));
    let capabilities: Map = ASKABLE.into_iter().filter_map(capability).collect();
    let state = match &context.request_state {
        Some(sealed) => Some(opened(tools, user_id, subject, sealed).await?),
        None => None,
    };
    Ok(Input { capabilities, responses: context.input_responses.clone(), state })
}

async fn opened<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    subject: Subject<'_>,
    sealed: &str,
) -> Result<String, Failure> {
    let key = tools.store().secrets_key_to_read(user_id).await.map_err(unavailable)?;
    let opened = key.and_then(|key| key.open(subject.server, &name(subject), sealed).ok());
    let other = || Failure::InvalidState("it was not given to this account for this request".to_owned());
    let text = opened.ok_or_else(other)?;
    let (expires_at, state) = text.split_once(' ').ok_or_else(other)?;
    match expires_at.parse::<i64>() {
        Ok(expires_at) if expires_at > Timestamp::now().as_millis() => Ok(state.to_owned()),
        _ => Err(Failure::InvalidState("it is too old: make the request again from the beginning".to_owned())),
    }
}

/// The question as it goes to the client.
pub(crate) async fn sealed<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    subject: Subject<'_>,
    mut needed: InputNeeded,
) -> Result<InputNeeded, Failure> {
    if let Some(state) = &needed.state {
        if state.len() > MAX_STATE_BYTES {
            let words = format!("it asks something, and its state has more than {MAX_STATE_BYTES} bytes");
            return Err(Failure::UpstreamFailed(words));
        }
        let key = tools.store().secrets_key(user_id).await.map_err(unavailable)?;
        let expires_at = Timestamp::now().as_millis().saturating_add(STATE_LIFETIME_MS);
        let text = format!("{expires_at} {state}");
        let sealed = key.seal(subject.server, &name(subject), &text);
        needed.state = Some(sealed.map_err(unavailable)?);
    }
    Ok(needed)
}

/// No secret's name has a NUL in it, so a state never opens as a secret. Arguments are the same in whatever order and form they are written.
fn name(subject: Subject<'_>) -> String {
    let mut arguments = String::new();
    match serde_json::from_str(subject.arguments) {
        Ok(value) => json_schema::canonical(&value, &mut arguments),
        Err(_) => arguments.push_str(subject.arguments),
    }
    let digest: String = Sha256::digest(arguments).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("input-state\0{}\0{}\0{digest}", subject.method, subject.name)
}

fn unavailable(error: impl std::error::Error) -> Failure {
    let fields = serde_json::json!({ "cause": error.to_string() });
    log(COMPONENT, Level::Error, "the state of a question cannot be sealed or opened", fields);
    Failure::Internal("It asks something, which is not possible at the moment. Try again later.".to_owned())
}
