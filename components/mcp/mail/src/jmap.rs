//! The person's mail server: its address, the account, and requests (RFC 8620). Error messages say what to do.
//!
//! The person's password goes only to the server in their settings, whatever a response or a model says.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, Response, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tool_provider::{Context, Failure};
use upstream::{Account as Entered, Deadline, EFFECT_UNKNOWN, Http, Limits, Redirect, Unanswered, redirect};
use url::Url;

/// The largest response: a tool's largest result, and more than tools normally request at once.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// From `.well-known/jmap` to the session there is one redirect, sometimes two.
const REDIRECTS_MAX: usize = 3;

/// The longest possible id (RFC 8620 section 1.2).
const ID_BYTES_MAX: usize = 255;

/// How much of a server's error message is repeated.
const WORDS_CHARS_MAX: usize = 300;

/// The time limit of requests whose failure does no harm.
const EXTRA_WAIT: Duration = Duration::from_secs(5);

const WELL_KNOWN: &str = "/.well-known/jmap";

const CORE: &str = "urn:ietf:params:jmap:core";
const MAIL: &str = "urn:ietf:params:jmap:mail";
const SUBMISSION: &str = "urn:ietf:params:jmap:submission";

/// A person's account, from its session.
pub(crate) struct Account<'a, T> {
    way: Way<'a, T>,
    api: Url,
    id: String,
    /// Whether the account can send mails and has identities.
    pub(crate) can_submit: bool,
}

/// The parts of every request.
struct Way<'a, T> {
    transport: &'a T,
    entered: Entered,
    /// The limit for all requests together.
    deadline: Deadline,
}

/// Why a call failed. [`Unanswered`] is only about HTTP. This also covers HTTP responses without the call's response, and refusals of the call.
#[derive(Debug)]
pub(crate) enum Uncalled {
    /// Nothing was done: the request was not sent, or the server refused the call.
    NotDone(Failure),
    /// It is unknown whether it was done.
    Unclear(Failure),
}

impl Uncalled {
    /// The failure of a call that changes something. If the change may have been made, the message says so.
    pub(crate) fn of_change(self) -> Failure {
        let unknown =
            |words: &str| Failure::UpstreamFailed(format!("{}; {EFFECT_UNKNOWN}.", words.trim_end_matches('.')));
        match self {
            Self::Unclear(Failure::UpstreamFailed(words)) => unknown(&words),
            Self::Unclear(Failure::TimedOut) => unknown("The mail server took too long"),
            Self::NotDone(failure) | Self::Unclear(failure) => failure,
        }
    }
}

impl From<Uncalled> for Failure {
    fn from(uncalled: Uncalled) -> Self {
        match uncalled {
            Uncalled::NotDone(failure) | Uncalled::Unclear(failure) => failure,
        }
    }
}

impl From<Unanswered> for Uncalled {
    fn from(unanswered: Unanswered) -> Self {
        if unanswered.may_have_arrived() { Self::Unclear(unanswered.into()) } else { Self::NotDone(unanswered.into()) }
    }
}

/// RFC 8620 section 2.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    api_url: String,
    #[serde(default)]
    accounts: BTreeMap<String, SessionAccount>,
    #[serde(default)]
    primary_accounts: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionAccount {
    #[serde(default)]
    account_capabilities: serde_json::Map<String, Value>,
}

/// A method and its arguments, without the account.
pub(crate) type Call = (&'static str, Value);

/// The responses to the calls of one request.
pub(crate) struct Answers(Vec<(String, Value, String)>);

/// Why `Foo/set` did not change something (RFC 8620 section 5.3).
#[derive(Deserialize, Default, Clone, Debug)]
pub(crate) struct SetError {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

impl<'a, T: Http> Account<'a, T> {
    /// Opens the account in the tool's settings.
    pub(crate) async fn open(context: &Context, transport: &'a T) -> Result<Self, Failure> {
        let way = Way::new(context, transport)?;
        let (url, session) = way.session().await?;
        let api = way.entered.own(url.join(&session.api_url).map_err(unexpected)?)?;
        let id = session.primary_accounts.get(MAIL).and_then(Value::as_str).ok_or_else(|| {
            Failure::NotConfigured("This account of the server has no mail: enter another user name or token.".into())
        })?;
        // A feature of the server need not be allowed for every account.
        let account = session.accounts.get(id);
        let can_submit = account.is_some_and(|account| account.account_capabilities.contains_key(SUBMISSION));
        Ok(Self { way, api, id: id.to_owned(), can_submit })
    }

    /// Makes several calls in one request. A call may refer to the result of an earlier one; the name of a call is its position.
    pub(crate) async fn call(&self, calls: Vec<Call>) -> Result<Answers, Uncalled> {
        self.call_within(calls, Duration::MAX).await
    }

    /// Makes calls whose failure does no harm. Their response is awaited only for a moment.
    pub(crate) async fn call_beside(&self, calls: Vec<Call>) -> Option<Answers> {
        self.call_within(calls, EXTRA_WAIT).await.ok()
    }

    async fn call_within(&self, calls: Vec<Call>, limit: Duration) -> Result<Answers, Uncalled> {
        let named = |(position, (method, mut arguments)): (usize, Call)| {
            if let Some(fields) = arguments.as_object_mut() {
                fields.insert("accountId".into(), json!(self.id));
            }
            json!([method, arguments, position.to_string()])
        };
        let calls: Vec<_> = calls.into_iter().enumerate().map(named).collect();
        let using: &[&str] = if self.can_submit { &[CORE, MAIL, SUBMISSION] } else { &[CORE, MAIL] };
        let body = json!({ "using": using, "methodCalls": calls }).to_string();
        let response = self.way.send(&Method::POST, &self.api, body, limit).await?;
        if response.status() != StatusCode::OK {
            return Err(Uncalled::Unclear(refused(&response)));
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answered {
            method_responses: Vec<(String, Value, String)>,
        }
        let answered: Answered =
            serde_json::from_slice(response.body()).map_err(|error| Uncalled::Unclear(unexpected(error)))?;
        Ok(Answers(answered.method_responses))
    }
}

impl Answers {
    /// The response to the call at this position.
    pub(crate) fn read<R: DeserializeOwned>(&self, position: usize) -> Result<R, Failure> {
        match self.at(position) {
            Some((name, answer)) if name != "error" => R::deserialize(answer).map_err(unexpected),
            Some((_, error)) => Err(method_failed(error)),
            None => Err(unexpected("it left out an answer")),
        }
    }

    /// The response to a call that changes something. An error of the whole method means that nothing was done, with one exception (RFC 8620 section
    /// 3.6.2).
    pub(crate) fn read_change<R: DeserializeOwned>(&self, position: usize) -> Result<R, Uncalled> {
        self.read(position).map_err(|failure| match self.error(position) {
            Some("serverPartialFail" | "") | None => Uncalled::Unclear(failure),
            Some(_) => Uncalled::NotDone(failure),
        })
    }

    /// The type of the error at this position.
    pub(crate) fn error(&self, position: usize) -> Option<&str> {
        let (name, error) = self.at(position)?;
        (name == "error").then(|| error.get("type").and_then(Value::as_str).unwrap_or_default())
    }

    /// The additional response of a call, under another method's name (RFC 8621 section 7.5).
    pub(crate) fn beside(&self, position: usize, method: &str) -> Option<&Value> {
        let of = |id: &String| id.parse() == Ok(position);
        self.0.iter().find(|(name, _, id)| of(id) && name == method).map(|(_, answer, _)| answer)
    }

    fn at(&self, position: usize) -> Option<(&str, &Value)> {
        let found = self.0.iter().find(|(_, _, id)| id.parse() == Ok(position));
        found.map(|(name, answer, _)| (name.as_str(), answer))
    }
}

impl<'a, T: Http> Way<'a, T> {
    fn new(context: &Context, transport: &'a T) -> Result<Self, Failure> {
        let deadline = Deadline::of(context);
        let entered = Entered::with_password_or_token(context, "mail server", "https://mail.example.com/")?;
        Ok(Self { transport, entered, deadline })
    }

    /// The session and its address: the entered address itself, or one that the server names (RFC 8620 section 2.2).
    async fn session(&self) -> Result<(Url, Session), Failure> {
        let url = self.entered.url();
        let well_known = url.join(WELL_KNOWN).map_err(unexpected)?;
        // The root of a mail server is a page for people.
        let own = (url.path() != "/").then(|| url.clone());
        for start in own.into_iter().chain([well_known]) {
            if let Some(found) = self.explore(start).await? {
                return Ok(found);
            }
        }
        Err(no_jmap())
    }

    /// The session at an address; `None` if there is none.
    async fn explore(&self, mut url: Url) -> Result<Option<(Url, Session)>, Failure> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send(&Method::GET, &url, String::new(), Duration::MAX).await?;
            match redirect(&url, &response) {
                Some(Redirect::To(to)) => {
                    url = self.entered.own(to)?;
                    continue;
                }
                Some(Redirect::Nowhere) => return Ok(None),
                None => {}
            }
            return match response.status() {
                StatusCode::OK => Ok(serde_json::from_slice(response.body()).ok().map(|session| (url, session))),
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => Ok(None),
                _ => Err(refused(&response)),
            };
        }
        Ok(None)
    }

    /// Sends a request. The time limit is this one, or the caller's if it is shorter.
    async fn send(
        &self,
        method: &Method,
        url: &Url,
        body: String,
        limit: Duration,
    ) -> Result<Response<Vec<u8>>, Uncalled> {
        let not_sent = |words: String| Uncalled::NotDone(Failure::UpstreamFailed(words));
        let wait = self.deadline.left().min(limit);
        if wait.is_zero() {
            return Err(not_sent("The mail server took too long, so nothing more was asked of it.".into()));
        }
        let mut request = self.entered.request(method, url).map_err(Uncalled::NotDone)?;
        request = request.header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.into_bytes());
        let request = request.map_err(|error| not_sent(format!("The mail server cannot be asked: {error}.")))?;
        let limits = Limits { bytes: ANSWER_BYTES_MAX, wait };
        // JMAP posts everything; only the session is known to change nothing.
        let is_read = *method == Method::GET;
        Ok(if is_read {
            self.transport.read(request, limits).await?
        } else {
            self.transport.send(request, limits).await?
        })
    }
}

impl SetError {
    /// The message for the model.
    pub(crate) fn words(&self) -> String {
        let said = self.description.as_deref().map(bounded).filter(|said| !said.is_empty());
        match (self.kind.as_str(), said) {
            ("notFound", _) => "there is no such mail".into(),
            ("forbidden", _) => "the server does not allow it".into(),
            ("forbiddenFrom" | "forbiddenMailFrom", _) => {
                "the server does not let this account send from that address".into()
            }
            ("forbiddenToSend", _) => "the server does not let this account send".into(),
            ("invalidRecipients", _) => "the server does not accept one of the recipients".into(),
            ("tooManyRecipients", _) => "there are more recipients than the server accepts".into(),
            ("tooLarge", _) => "the mail is larger than the server accepts".into(),
            ("overQuota", _) => "there is no room left in the mailbox".into(),
            (kind, Some(said)) => format!("the server says {kind}: {said}"),
            (kind, None) => format!("the server says {}", bounded(kind)),
        }
    }
}

/// Whether a text is an id, so it can be used in a request.
pub(crate) fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(allowed)
}

/// Refuses a text that is not a mail's id.
pub(crate) fn check_id(id: &str) -> Result<(), Failure> {
    if is_id(id) { Ok(()) } else { Err(no_such_mail()) }
}

pub(crate) fn no_such_mail() -> Failure {
    Failure::InvalidArguments("There is no such mail: `search_mail` returns the ids of existing mails.".into())
}

pub(crate) fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::UpstreamFailed(format!("The mail server's answer is not understood: {error}."))
}

fn no_jmap() -> Failure {
    Failure::NotConfigured(
        "There is no JMAP server at the address in the settings of this tool: look for the JMAP address in your mail provider's help."
            .into(),
    )
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect()
}

fn method_failed(error: &Value) -> Failure {
    let kind = error.get("type").and_then(Value::as_str).unwrap_or_default();
    let said = error.get("description").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "accountNotFound" | "accountReadOnly" | "accountNotSupportedByMethod" | "forbidden" => {
            Failure::UpstreamFailed("The mail server does not allow that in this account.".into())
        }
        "serverUnavailable" | "rateLimit" => too_much(),
        "unsupportedFilter" | "unsupportedSort" => {
            Failure::UpstreamFailed("The mail server cannot search in that way: leave out a condition.".into())
        }
        kind => {
            Failure::UpstreamFailed(format!("The mail server did not do that: {}. {}", bounded(kind), bounded(said)))
        }
    }
}

fn too_much() -> Failure {
    Failure::UpstreamFailed("The mail server has too much to do: try again in some minutes.".into())
}

fn refused(response: &Response<Vec<u8>>) -> Failure {
    match response.status() {
        StatusCode::UNAUTHORIZED => Failure::NotConfigured(
            "The mail server does not take the user name and password, or the API token: enter them again in the settings of this tool. \
             Many providers want an app password."
                .into(),
        ),
        StatusCode::FORBIDDEN => Failure::UpstreamFailed(
            "The mail server does not allow that: the password or token may not be meant for JMAP mail.".into(),
        ),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => too_much(),
        status => Failure::UpstreamFailed(format!("The mail server did not do that: its answer was {status}.")),
    }
}
