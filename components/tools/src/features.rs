//! Resources, prompts and completions of this installation's servers, for clients of the gateway: under which names and URIs, for whom, and how
//! often.
//!
//! At the address of one server they have its own names and URIs. At that of all servers, a prompt is named as a tool is, and a URI begins with the
//! server's name and `+`: `notes+note://1`. No composed server has a `+` in its name, so what is before the first one says which server is asked,
//! and no server can give a URI that leads to another.

use domain::Id;
use mcp::{
    Answer, ClientError, Completion, CompletionReference, CompletionRequest, Content, Context, Description, Failure,
    Features, MISSING_CAPABILITY, Map, MissingCapability, Outcome, Prompt, PromptContent, Resource, ResourceContents,
    ResourceTemplate, TransportError,
};
use permissions::Action;
use storage::{
    Database,
    audit::AuditEvent,
    limits::LimitKind,
    rate_limits::{Limit, RetryAfterMs},
};
use tool_catalogue::{Host, MAX_URI_BYTES, Server};
use toolbox::{AuditCode, CallFailure, catalog::model_names, execution::CALL_LIMIT, failure::MAX_CAUSE_CHARS};
use web::log::{Level, log};

use crate::{
    config::COMPONENT,
    failures::unanswerable,
    gateway_caller::{Gateway, unavailable},
    input::{self, Subject},
    rules::Rules,
    world::{about_call, calls_limit},
};

/// Completions of a person in a minute: two a second, as a client asks while somebody types.
const COMPLETIONS_PER_MINUTE: u32 = 120;
/// Schemes of URIs that clients fetch themselves, and which are no server's (MCP, "Common URI Schemes").
const FETCHED_BY_CLIENTS: [&str; 2] = ["https", "http"];
/// A resource that is not there, as our adapter says it.
const NOT_FOUND: i64 = mcp::INVALID_PARAMS;

impl<D: Database + 'static, H: Host> Gateway<D, H> {
    /// The servers that have something besides tools, and that the person may use: whoever may call all of a server's tools, as far as roles and
    /// policies say.
    fn features(&self, rules: &Rules) -> impl Iterator<Item = (&str, &Features)> {
        let may_read =
            |server: &str| self.session.access().allows(&Action::CallTool { server, tool: "*" }) && rules.open(server);
        let all = self.listed.features.iter().map(|(server, features)| (server.as_str(), features));
        all.filter(move |(server, _)| self.is_of(server) && may_read(server))
    }

    /// Adds to what clients are told what there is besides tools.
    pub(crate) fn describe_features(&self, rules: &Rules, description: &mut Description) {
        let (names, mut instructions) = (self.prompt_names(), Vec::new());
        for (server, features) in self.features(rules) {
            let uri = |uri: &str| shown_uri(self.server.as_deref(), server, uri);
            description
                .resources
                .extend(features.resources.iter().map(|own| Resource { uri: uri(&own.uri), ..own.clone() }));
            description.templates.extend(
                features
                    .templates
                    .iter()
                    .map(|own| ResourceTemplate { uri_template: uri(&own.uri_template), ..own.clone() }),
            );
            let of_server = names.iter().filter(|named| named.server == server);
            description
                .prompts
                .extend(of_server.map(|named| Prompt { name: named.shown.clone(), ..named.prompt.clone() }));
            description.has_completions |= features.has_completions;
            instructions.extend(features.instructions.as_ref().map(|own| match self.server {
                Some(_) => own.clone(),
                None => format!("{server}: {own}"),
            }));
        }
        description.instructions = (!instructions.is_empty()).then(|| instructions.join("\n\n"));
    }

    async fn client(&self, server: &Server) -> mcp::Client<H> {
        let request_id = Id::new().to_string();
        server.client(self.tools.host().clone(), Some(self.session.user_id()), &request_id).await
    }

    pub(crate) async fn resource(
        &self,
        uri: &str,
        context: &Context,
    ) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        let rules = self.rules().await?;
        let found = self.addressed(&rules, uri).filter(|(_, features, _)| has_resources(features));
        let (server, _, own) = found.ok_or_else(|| Failure::Unknown(uri.to_owned()))?;
        let subject = Subject { server: &server.name, method: "resources/read", name: own, arguments: "" };
        let input = input::given(&self.tools, self.session.user_id(), subject, context).await?;
        let client = self.client(server).await;
        let mut answer = self.asked(subject, client.read_resource(own, self.meta(), &input)).await?;
        if let Answer::Done(contents) = &mut answer {
            contents.iter_mut().for_each(|it| it.uri = shown_uri(self.server.as_deref(), subject.server, &it.uri));
        }
        Ok(answer)
    }

    pub(crate) async fn prompt_content(
        &self,
        name: &str,
        arguments: &Map,
        context: &Context,
    ) -> Result<Answer<PromptContent>, Failure> {
        let rules = self.rules().await?;
        let (server, _, own) = self.prompt(&rules, name).ok_or_else(|| Failure::Unknown(name.to_owned()))?;
        let written = serde_json::Value::Object(arguments.clone()).to_string();
        let subject = Subject { server: &server.name, method: "prompts/get", name: own, arguments: &written };
        let input = input::given(&self.tools, self.session.user_id(), subject, context).await?;
        let client = self.client(server).await;
        let mut answer = self.asked(subject, client.get_prompt(own, arguments, self.meta(), &input)).await?;
        if let Answer::Done(prompt) = &mut answer {
            let one = self.server.as_deref();
            prompt.messages.iter_mut().for_each(|message| readdress(one, subject.server, &mut message.content));
        }
        Ok(answer)
    }

    pub(crate) async fn completion(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        let rules = self.rules().await?;
        let (found, asked) = match &request.reference {
            CompletionReference::Prompt(name) => (
                self.prompt(&rules, name)
                    .map(|(server, has, own)| (server, has, CompletionReference::Prompt(own.to_owned()))),
                name,
            ),
            CompletionReference::Resource(uri) => (
                self.addressed(&rules, uri)
                    .map(|(server, has, own)| (server, has, CompletionReference::Resource(own.to_owned()))),
                uri,
            ),
        };
        let (server, features, reference) = found.ok_or_else(|| Failure::Unknown(asked.clone()))?;
        if !features.has_completions {
            return Ok(Completion::default());
        }
        let key = format!("completions:{}", self.session.user_id());
        self.take(Some(Limit::per_minute(key, COMPLETIONS_PER_MINUTE))).await?;
        let client = self.client(server).await;
        let request = CompletionRequest { reference, ..request };
        let completed = cache::within(self.tools.host(), CALL_LIMIT, client.complete(&request, self.meta())).await;
        completed.unwrap_or(Err(TransportError::TimedOut.into())).map_err(|error| failed(&server.name, asked, error))
    }

    /// The server that a URI leads to, what it has, and the URI there.
    fn addressed<'u>(&self, rules: &Rules, uri: &'u str) -> Option<(&Server, &Features, &'u str)> {
        let (server, own) = match &self.server {
            Some(server) => (server.as_str(), uri),
            None => uri.split_once('+')?,
        };
        let (server, features) = self.composed(rules, server)?;
        (own.len() <= MAX_URI_BYTES).then_some((server, features, own))
    }

    /// The server of a prompt, what it has, and the prompt's name there.
    fn prompt(&self, rules: &Rules, name: &str) -> Option<(&Server, &Features, &str)> {
        let found = self.prompt_names().into_iter().find(|named| named.shown == name)?;
        let (server, features) = self.composed(rules, found.server)?;
        Some((server, features, &found.prompt.name))
    }

    /// A server that the person may use, and what it has.
    fn composed(&self, rules: &Rules, name: &str) -> Option<(&Server, &Features)> {
        let (_, features) = self.features(rules).find(|(server, _)| *server == name)?;
        let server = self.tools.server(name).filter(|server| !server.remote)?;
        Some((server, features))
    }

    /// All prompts, by the names that they have here. What a person may not use has its name all the same, so that a policy renames nothing.
    fn prompt_names(&self) -> Vec<Named<'_>> {
        let all = self
            .listed
            .features
            .iter()
            .flat_map(|(server, features)| features.prompts.iter().map(move |prompt| (server.as_str(), prompt)));
        let all: Vec<(&str, &Prompt)> = all.filter(|(server, _)| self.is_of(server)).collect();
        let own: Vec<(&str, &str)> = all.iter().map(|(server, prompt)| (*server, prompt.name.as_str())).collect();
        let shown = match self.server {
            Some(_) => own.iter().map(|(_, name)| (*name).to_owned()).collect(),
            None => model_names(&own),
        };
        all.into_iter().zip(shown).map(|((server, prompt), shown)| Named { server, prompt, shown }).collect()
    }

    /// What a provider may know of who asks: no secrets, for it names none.
    fn meta(&self) -> Map {
        about_call(&Id::new().to_string(), &self.preferences, Map::new())
    }

    /// Asks a server, as often as tools may be called, and on record.
    async fn asked<T>(
        &self,
        subject: Subject<'_>,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Answer<T>, Failure> {
        let user_id = self.session.user_id();
        let per_minute = self.session.per_minute(LimitKind::ToolCalls, self.tools.config.calls_per_minute);
        self.take(calls_limit(user_id, per_minute)).await?;
        let answer = cache::within(self.tools.host(), CALL_LIMIT, work).await;
        let answer = answer.unwrap_or(Err(TransportError::TimedOut.into()));
        let (code, answer) = match answer {
            Ok(done) => (AuditCode::Ok, Ok(Answer::Done(done))),
            Err(ClientError::InputRequired(needed)) => {
                let sealed = input::sealed(&self.tools, user_id, subject, needed).await;
                (AuditCode::InputAsked, sealed.map(Answer::NeedsInput))
            }
            Err(error) => {
                let failure = failed(subject.server, subject.name, error);
                let code = match &failure {
                    Failure::Unknown(_) | Failure::InvalidArguments(_) => AuditCode::RefusedArguments,
                    Failure::MissingCapability(_) => AuditCode::InputAsked,
                    Failure::TimedOut => AuditCode::TimedOut,
                    _ => AuditCode::UpstreamFailed,
                };
                (code, Err(failure))
            }
        };
        self.audit(subject, code).await;
        answer
    }

    async fn take(&self, limit: Option<Limit>) -> Result<(), Failure> {
        match self.tools.store().take_rate(limit.as_ref()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(RetryAfterMs(wait_ms))) => {
                let seconds = wait_ms.div_ceil(1_000).max(1);
                Err(Failure::Internal(format!("There were too many requests. Try again in {seconds} s.")))
            }
            Err(error) => Err(unavailable(&error.into())),
        }
    }

    /// Puts on record what was asked for. Its URI may say something of the person, as the arguments of a call do, and is left out like them.
    async fn audit(&self, subject: Subject<'_>, code: AuditCode) {
        let action = if subject.method == "prompts/get" { "prompt.get" } else { "resource.read" };
        let outcome = code.as_str();
        let event = AuditEvent { outcome, ..AuditEvent::new(self.session.user_id(), action, subject.server) };
        if let Err(error) = self.tools.store().append_audit(&event).await {
            let fields = serde_json::json!({ "server": subject.server, "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a request of the gateway cannot be recorded", fields);
        }
    }
}

/// A prompt and its name at this address.
struct Named<'a> {
    server: &'a str,
    prompt: &'a Prompt,
    shown: String,
}

const fn has_resources(features: &Features) -> bool {
    !features.resources.is_empty() || !features.templates.is_empty()
}

/// The URI of a server's resource, at the address of all servers or of one.
fn shown_uri(one: Option<&str>, server: &str, uri: &str) -> String {
    if one.is_some() {
        return uri.to_owned();
    }
    format!("{}+{uri}", as_scheme(server))
}

/// The name of a server as the beginning of a URI's scheme (RFC 3986, section 3.1). Those of composed servers are kept. A server elsewhere may have any
/// name. Its URIs lead nowhere here, and must not look as if they led to another server: no composed one has a `.` in its name.
fn as_scheme(server: &str) -> String {
    let mut scheme = String::with_capacity(server.len());
    if !server.starts_with(|c: char| c.is_ascii_alphabetic()) {
        scheme.push_str("x.");
    }
    for byte in server.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => scheme.push(char::from(byte)),
            other => scheme.push_str(&format!(".{other:02x}")),
        }
    }
    scheme
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
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    if !FETCHED_BY_CLIENTS.iter().any(|fetched| scheme.eq_ignore_ascii_case(fetched)) {
        *uri = shown_uri(one, server, uri);
    }
}

/// Why a server did not answer as it was asked to.
fn failed(server: &str, asked: &str, error: ClientError) -> Failure {
    match error {
        ClientError::Protocol { code: NOT_FOUND, data: Some(data), .. } if data.get("uri").is_some() => {
            Failure::Unknown(asked.to_owned())
        }
        ClientError::Protocol { code: NOT_FOUND, message, .. } => Failure::InvalidArguments(fit(&message)),
        ClientError::Protocol { code: MISSING_CAPABILITY, data, .. } => missing(unanswerable(data.as_ref())),
        // Our adapter says itself what failed.
        ClientError::Protocol { message, .. } => Failure::Internal(fit(&message)),
        ClientError::Transport(TransportError::TimedOut) => Failure::TimedOut,
        error => Failure::UpstreamFailed(fit(&format!("The server {server} did not answer as it should: {error}"))),
    }
}

/// The capabilities that a client of 2026-07-28 has to declare, and the question in words for one that cannot.
fn missing(failure: CallFailure) -> Failure {
    let words = Some(fit(&format!("This cannot be had yet: {failure}.")));
    match failure {
        CallFailure::Unanswerable { capabilities, .. } => MissingCapability { capabilities, words }.into(),
        other => Failure::UpstreamFailed(fit(&other.to_string())),
    }
}

/// A server's words: cut, and on one line.
fn fit(words: &str) -> String {
    words.chars().take(MAX_CAUSE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
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
        for (server, expected) in
            [("clock+a", "clock.2ba"), ("team_wiki", "team.5fwiki"), ("My Wiki", "My.20Wiki"), ("1ä", "x.1.c3.a4")]
        {
            assert_eq!(shown(None, server, "x://1"), format!("{expected}+x://1"), "a scheme, and no composed server's");
        }
        assert_eq!(shown(None, "notes", "HTTPS://example.org/1"), "HTTPS://example.org/1");
        assert_eq!(shown(Some("notes"), "notes", "note://1"), "note://1");
    }
}
