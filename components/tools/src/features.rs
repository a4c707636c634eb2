//! Resources, prompts and completions of this installation's servers, for clients of the gateway: under which names and URIs, for whom, and how
//! often.
//!
//! At the address of one server they have its own names and URIs. At that of all servers, a prompt is named as a tool is, and a URI begins with the
//! server's name and `+`: `notes+note://1`. No composed server has a `+` in its name, so what is before the first one says which server is asked,
//! and no server can give a URI that leads to another.

use std::{collections::HashSet, rc::Rc};

use domain::Id;
use mcp::{
    Answer, ClientError, Completion, CompletionReference, CompletionRequest, Content, Context, Description, Failure,
    Features, Map, Outcome, Prompt, PromptContent, Resource, ResourceContents, ResourceTemplate, TransportError,
};
use storage::{
    Database,
    audit::AuditEvent,
    rate_limits::{Limit, RetryAfterMs},
};
use tool_catalogue::{Host, Listed, Server};
use toolbox::{AuditCode, catalog::model_name, execution::CALL_LIMIT};
use web::{
    Error, Preferences,
    log::{Level, log},
};

use crate::{
    config::COMPONENT,
    input::{self, Subject},
    rules::Rules,
    state::Tools,
    world::{MISSING_CAPABILITY, about_call},
};

/// Completions of a person in a minute: two a second, as a client asks while somebody types.
const COMPLETIONS_PER_MINUTE: u32 = 120;
/// URIs that clients fetch themselves, and which are no server's (MCP, "Common URI Schemes").
const FETCHED_BY_CLIENTS: [&str; 2] = ["https://", "http://"];
/// A resource that is not there, as our adapter says it.
const NOT_FOUND: i64 = -32602;

/// What one client of the gateway may read, at the address of all servers or of one.
pub(crate) struct Offered<'a, D, H> {
    pub(crate) tools: &'a Tools<D, H>,
    pub(crate) listed: &'a Listed,
    pub(crate) rules: Rc<Rules>,
    /// The one server.
    pub(crate) server: Option<&'a str>,
    pub(crate) user_id: Id,
    pub(crate) preferences: &'a Preferences,
}

impl<'a, D: Database + 'static, H: Host> Offered<'a, D, H> {
    /// The servers that have something besides tools and that the person may use.
    fn features(&self) -> impl Iterator<Item = (&'a str, &'a Features)> {
        let all = self.listed.features.iter().map(|(server, features)| (server.as_str(), features));
        all.filter(|(server, _)| self.server.is_none_or(|one| one == *server) && self.rules.open(server))
    }

    /// Adds them to what clients are told.
    pub(crate) fn describe(&self, description: &mut Description) {
        let (mut names, mut instructions) = (HashSet::new(), Vec::new());
        for (server, features) in self.features() {
            let uri = |uri: &str| shown_uri(self.server, server, uri);
            description
                .resources
                .extend(features.resources.iter().map(|own| Resource { uri: uri(&own.uri), ..own.clone() }));
            description.templates.extend(
                features
                    .templates
                    .iter()
                    .map(|own| ResourceTemplate { uri_template: uri(&own.uri_template), ..own.clone() }),
            );
            // Of those that come to the same name, the first is meant.
            let prompts =
                features.prompts.iter().map(|own| Prompt { name: self.shown(server, &own.name), ..own.clone() });
            description.prompts.extend(prompts.filter(|prompt| names.insert(prompt.name.clone())));
            description.has_completions |= features.has_completions;
            instructions.extend(features.instructions.as_ref().map(|own| match self.server {
                Some(_) => own.clone(),
                None => format!("{server}: {own}"),
            }));
        }
        description.instructions = (!instructions.is_empty()).then(|| instructions.join("\n\n"));
    }

    pub(crate) async fn read_resource(
        &self,
        uri: &str,
        context: &Context,
    ) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        let unknown = || Failure::Unknown(uri.to_owned());
        let (server, own) = self.addressed(uri).ok_or_else(unknown)?;
        let subject = Subject { server: &server.name, method: "resources/read", name: own };
        let input = input::given(self.tools, self.user_id, subject, context).await?;
        let client = server.client(self.tools.host().clone());
        let answer = self.asked(subject, client.read_resource(own, self.meta(), &input)).await;
        let found = answer.map_err(|failure| if let Failure::Unknown(_) = failure { unknown() } else { failure });
        Ok(match found? {
            Answer::Done(contents) => {
                Answer::Done(contents.into_iter().map(|it| self.shown_contents(subject, it)).collect())
            }
            asks => asks,
        })
    }

    fn shown_contents(&self, subject: Subject<'_>, contents: ResourceContents) -> ResourceContents {
        ResourceContents { uri: shown_uri(self.server, subject.server, &contents.uri), ..contents }
    }

    pub(crate) async fn get_prompt(
        &self,
        name: &str,
        arguments: &Map,
        context: &Context,
    ) -> Result<Answer<PromptContent>, Failure> {
        let (server, own) = self.prompt(name).ok_or_else(|| Failure::Unknown(name.to_owned()))?;
        let subject = Subject { server: &server.name, method: "prompts/get", name: own };
        let input = input::given(self.tools, self.user_id, subject, context).await?;
        let client = server.client(self.tools.host().clone());
        let mut answer = self.asked(subject, client.get_prompt(own, arguments, self.meta(), &input)).await?;
        if let Answer::Done(prompt) = &mut answer {
            prompt.messages.iter_mut().for_each(|message| readdress(self.server, subject.server, &mut message.content));
        }
        Ok(answer)
    }

    pub(crate) async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        let (found, asked) = match &request.reference {
            CompletionReference::Prompt(name) => {
                (self.prompt(name).map(|(server, own)| (server, CompletionReference::Prompt(own.to_owned()))), name)
            }
            CompletionReference::Resource(uri) => {
                (self.addressed(uri).map(|(server, own)| (server, CompletionReference::Resource(own.to_owned()))), uri)
            }
        };
        let (server, reference) = found.ok_or_else(|| Failure::Unknown(asked.clone()))?;
        let key = format!("completions:{}", self.user_id);
        self.take(Limit { key, per_minute: COMPLETIONS_PER_MINUTE, burst: COMPLETIONS_PER_MINUTE }).await?;
        let client = server.client(self.tools.host().clone());
        let request = CompletionRequest { reference, ..request };
        let completed = cache::within(self.tools.host(), CALL_LIMIT, client.complete(&request, self.meta())).await;
        completed.unwrap_or(Err(TransportError::TimedOut.into())).map_err(|error| failed(&server.name, error))
    }

    /// The server that a URI leads to, and the URI there.
    fn addressed<'u>(&self, uri: &'u str) -> Option<(&'a Server, &'u str)> {
        match self.server {
            Some(server) => Some((self.composed(server)?, uri)),
            None => uri.split_once('+').and_then(|(server, own)| Some((self.composed(server)?, own))),
        }
    }

    /// The server of a prompt, and its name there.
    fn prompt(&self, name: &str) -> Option<(&'a Server, &'a str)> {
        let mut all =
            self.features().flat_map(|(server, features)| features.prompts.iter().map(move |it| (server, it)));
        let (server, prompt) = all.find(|(server, prompt)| self.shown(server, &prompt.name) == name)?;
        Some((self.composed(server)?, &prompt.name))
    }

    /// A server that the person may use.
    fn composed(&self, name: &str) -> Option<&'a Server> {
        let (name, _) = self.features().find(|(server, _)| *server == name)?;
        self.tools.config.servers.all.iter().find(|server| server.name == name && !server.remote)
    }

    fn shown(&self, server: &str, name: &str) -> String {
        if self.server.is_some() { name.to_owned() } else { model_name(server, name) }
    }

    /// What a provider may know of who asks: no secrets, for it names none.
    fn meta(&self) -> Map {
        about_call(&Id::new().to_string(), self.preferences, Map::new())
    }

    /// Asks a server, as often as tools may be called, and on record.
    async fn asked<T>(
        &self,
        subject: Subject<'_>,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Answer<T>, Failure> {
        let per_minute = self.tools.config.calls_per_minute;
        self.take(Limit { key: format!("tools:{}", self.user_id), per_minute, burst: per_minute }).await?;
        let answer = cache::within(self.tools.host(), CALL_LIMIT, work).await;
        let answer = answer.unwrap_or(Err(TransportError::TimedOut.into()));
        let (code, answer) = match answer {
            Ok(done) => (AuditCode::Ok, Ok(Answer::Done(done))),
            Err(ClientError::InputRequired(needed)) => {
                let sealed = input::sealed(self.tools, self.user_id, subject, needed).await;
                (AuditCode::InputAsked, sealed.map(Answer::NeedsInput))
            }
            Err(error) => (AuditCode::UpstreamFailed, Err(failed(subject.server, error))),
        };
        self.audit(subject, code).await;
        answer
    }

    async fn take(&self, limit: Limit) -> Result<(), Failure> {
        match self.tools.store().take_rate(&[limit]).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(RetryAfterMs(wait_ms))) => {
                let seconds = wait_ms.div_ceil(1_000).max(1);
                Err(Failure::UpstreamFailed(format!("There were too many requests. Try again in {seconds} s.")))
            }
            Err(error) => Err(unavailable(&error.into())),
        }
    }

    /// Puts on record what was asked for. Its URI may say something of the person, as the arguments of a call do, and is left out like them.
    async fn audit(&self, subject: Subject<'_>, code: AuditCode) {
        let event = AuditEvent {
            user_id: self.user_id,
            action: if subject.method == "prompts/get" { "prompt.get" } else { "resource.read" },
            subject: subject.server,
            run_id: None,
            call_id: None,
            outcome: code.as_str(),
            detail: None,
        };
        if let Err(error) = self.tools.store().append_audit(&event).await {
            let fields = serde_json::json!({ "server": subject.server, "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a request of the gateway cannot be recorded", fields);
        }
    }
}

/// The URI of a server's resource, at the address of all servers or of one.
fn shown_uri(one: Option<&str>, server: &str, uri: &str) -> String {
    if one.is_some() {
        return uri.to_owned();
    }
    // A server elsewhere may have any name. Its URIs lead nowhere here, and must not look as if they led to another server.
    let server = server.replace('%', "%25").replace('+', "%2B");
    format!("{server}+{uri}")
}

/// A tool's result, with the URIs in it as they can be read here.
pub(crate) fn readdressed(one: Option<&str>, server: &str, mut outcome: Outcome) -> Outcome {
    outcome.content.iter_mut().for_each(|content| readdress(one, server, content));
    outcome
}

fn readdress(one: Option<&str>, server: &str, content: &mut Content) {
    let uri = match content {
        Content::ResourceLink(resource) => &mut resource.uri,
        Content::Resource { resource } => &mut resource.uri,
        _ => return,
    };
    if !FETCHED_BY_CLIENTS.iter().any(|scheme| uri.starts_with(scheme)) {
        *uri = shown_uri(one, server, uri);
    }
}

/// Why a server did not answer as it was asked to.
fn failed(server: &str, error: ClientError) -> Failure {
    match error {
        ClientError::Protocol { code: NOT_FOUND, data: Some(data), .. } if data.get("uri").is_some() => {
            Failure::Unknown(String::new())
        }
        ClientError::Protocol { code: NOT_FOUND, message, .. } => Failure::InvalidArguments(message),
        ClientError::Protocol { code: MISSING_CAPABILITY, data, message } => {
            let required = data.as_ref().and_then(|data| data.get("requiredCapabilities")?.as_object());
            required.cloned().map_or(Failure::UpstreamFailed(message), Failure::MissingCapability)
        }
        ClientError::Transport(TransportError::TimedOut) => Failure::TimedOut,
        error => Failure::UpstreamFailed(format!("The server {server} did not answer as it should: {error}")),
    }
}

/// What a client is told when the database does not answer.
pub(crate) fn unavailable(error: &Error) -> Failure {
    let fields = serde_json::json!({ "cause": error.causes() });
    log(COMPONENT, Level::Error, "a request of the gateway cannot be answered", fields);
    Failure::Internal("This cannot be answered at the moment. Try again later.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_a_result_lead_to_the_server_that_gave_them() {
        let link = |uri: &str| Content::ResourceLink(Resource { uri: uri.to_owned(), ..Resource::default() });
        let shown = |one, server, uri| {
            let outcome = Outcome { content: vec![link(uri)], ..Outcome::default() };
            match readdressed(one, server, outcome).content.pop() {
                Some(Content::ResourceLink(resource)) => resource.uri,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(shown(None, "notes", "note://1"), "notes+note://1");
        assert_eq!(shown(None, "notes", "clock+x://1"), "notes+clock+x://1", "not the clock's");
        assert_eq!(shown(None, "clock+a", "x://1"), "clock%2Ba+x://1", "a server elsewhere, and not the clock");
        assert_eq!(shown(None, "notes", "https://example.org/1"), "https://example.org/1");
        assert_eq!(shown(Some("notes"), "notes", "note://1"), "note://1");
    }
}
