//! One request and its answer, in either era; and finding out which.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{
    Client, ClientError, Connection, Progress, Transport, TransportError,
    answer::{self, Messages},
    rejection::protocol,
};
use crate::{
    header::encode,
    lenient,
    model::{Implementation, Map},
    task,
    wire::{
        self, Era, HEADER_METHOD, HEADER_NAME, HEADER_SESSION, HEADER_VERSION, INVALID_REQUEST, LEGACY_VERSION,
        META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_VERSION, METHOD_NOT_FOUND, MODERN_VERSION, Message,
        PARSE_ERROR, PROGRESS_TOKEN, RpcError, UNSUPPORTED_VERSION,
    },
};

/// A server that knows `server/discover` has its answer at hand; one that does not may leave it unanswered.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(2);
/// How servers say that they do not know a session, at the beginning of what they say.
const SESSION_LOST: [&str; 5] =
    ["server not initialized", "session not found", "no valid session id", "invalid session id", "session has expired"];
/// The codes that they say it with. Others are those of a tool that may know sessions of its own, and may have done something.
const SESSION_LOST_CODES: [i64; 3] = [-32000, -32001, INVALID_REQUEST];
/// How a proxy says that its server has refused the request.
const REFUSED_BEHIND: [&str; 2] = ["http 400", "http 404"];
/// The longest id of somebody else's that is repeated.
const MAX_ID_CHARS: usize = 40;

/// Params of a request by name; raw, so that arguments stay as they are.
pub(crate) type Params = BTreeMap<&'static str, Box<RawValue>>;
/// What is told about progress.
pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// Lends it for one request.
pub(crate) fn reborrow<'a>(on_progress: &'a mut Option<OnProgress<'_>>) -> Option<OnProgress<'a>> {
    match on_progress {
        Some(on_progress) => Some(&mut **on_progress),
        None => None,
    }
}

/// A request to be sent.
#[derive(Clone, Default)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) params: Params,
    pub(crate) meta: Map,
    /// For `Mcp-Name`.
    pub(crate) name: Option<&'a str>,
    /// It may come to a task, or is about one.
    pub(crate) takes_task: bool,
    /// `Mcp-Param-*`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Call<'_> {
    pub(crate) fn new(method: &'static str) -> Self {
        Self { method, ..Self::default() }
    }
}

/// JSON text of a value that cannot fail to have one.
pub(crate) fn raw(value: &impl Serialize) -> Result<Box<RawValue>, ClientError> {
    to_raw_value(value).map_err(|error| ClientError::Request(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discovered {
    supported_versions: Vec<String>,
    #[serde(default, deserialize_with = "lenient::field")]
    instructions: Option<String>,
    #[serde(rename = "_meta", default, deserialize_with = "lenient::field")]
    meta: Map,
    /// Where drafts had it.
    #[serde(default, deserialize_with = "lenient::field")]
    server_info: Option<Implementation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialized {
    /// Unsaid: the one that was asked for.
    #[serde(default, deserialize_with = "lenient::field")]
    protocol_version: Option<String>,
    #[serde(default, deserialize_with = "lenient::field")]
    instructions: Option<String>,
    #[serde(default, deserialize_with = "lenient::field")]
    server_info: Option<Implementation>,
    #[serde(default, deserialize_with = "lenient::field")]
    capabilities: Map,
}

impl Initialized {
    /// Whether calls of its tools can become tasks when they are asked to (2025-11-25, "Tasks", "Server Capabilities").
    fn makes_tasks(&self) -> bool {
        let tasks = self.capabilities.get("tasks");
        tasks.and_then(|tasks| tasks.get("requests")?.get("tools")?.get("call")).is_some_and(Value::is_object)
    }
}

impl<T: Transport> Client<T> {
    /// Finds out how the server speaks, unless that is known, and initialises a legacy one.
    pub(crate) async fn connect(&self) -> Result<Era, ClientError> {
        let (era, initialized) = {
            let connection = self.connection.borrow();
            (connection.era, connection.version.is_some())
        };
        match era {
            Some(Era::Modern) => Ok(Era::Modern),
            Some(Era::Legacy) if initialized => Ok(Era::Legacy),
            Some(Era::Legacy) => self.initialize().await,
            None => self.discover().await,
        }
    }

    /// Asks the server what it is. What is not a modern answer is taken for a legacy server's, and silence too.
    pub(crate) async fn discover(&self) -> Result<Era, ClientError> {
        let discovery = pin!(self.ask_what_it_is());
        let answer = match select(discovery, pin!(self.transport.sleep(DISCOVERY_LIMIT))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(TransportError::TimedOut.into()),
        };
        match answer {
            Ok(result) => match serde_json::from_str::<Discovered>(result.get()) {
                Ok(discovered) => self.discovered(discovered).await,
                // Some servers answer anything with something.
                Err(_) => self.initialize().await,
            },
            Err(ClientError::Version(supported)) => self.fall_back(supported).await,
            Err(error) if would_answer_nothing_else(&error) => Err(error),
            Err(_) => self.initialize().await,
        }
    }

    async fn ask_what_it_is(&self) -> Result<Box<RawValue>, ClientError> {
        let answer = self.exchange_modern(Call::new("server/discover"), None).await;
        let Err(ClientError::Protocol { code: UNSUPPORTED_VERSION, data, .. }) = &answer else { return answer };
        let supported = data.as_ref().and_then(|data| data.get("supported")).cloned().unwrap_or_default();
        let supported: Vec<String> = serde_json::from_value(supported).unwrap_or_default();
        if !supported.iter().any(|version| version == MODERN_VERSION) {
            return Err(ClientError::Version(supported));
        }
        self.exchange_modern(Call::new("server/discover"), None).await
    }

    async fn discovered(&self, discovered: Discovered) -> Result<Era, ClientError> {
        if !discovered.supported_versions.iter().any(|version| version == MODERN_VERSION) {
            return self.fall_back(discovered.supported_versions).await;
        }
        let said = discovered.meta.get(wire::META_SERVER_INFO).cloned();
        let mut connection = self.connection.borrow_mut();
        connection.era = Some(Era::Modern);
        connection.server = said.and_then(|said| serde_json::from_value(said).ok()).or(discovered.server_info);
        connection.instructions = discovered.instructions;
        Ok(Era::Modern)
    }

    async fn fall_back(&self, supported: Vec<String>) -> Result<Era, ClientError> {
        // Anything before 2026-07-28 is legacy; dates compare as text.
        if supported.iter().any(|version| version.as_str() < MODERN_VERSION) {
            self.initialize().await
        } else {
            Err(ClientError::Version(supported))
        }
    }

    /// `initialize`, as revisions up to 2025-11-25 want it. A server that refuses the version instead of naming its own is asked with its own.
    async fn initialize(&self) -> Result<Era, ClientError> {
        match self.initialize_with(LEGACY_VERSION).await {
            Err(ClientError::Protocol { data: Some(data), code, message }) => {
                let supported = data.get("supported").and_then(Value::as_array).into_iter().flatten();
                let older = supported.filter_map(Value::as_str).filter(|version| *version < LEGACY_VERSION).max();
                match older.map(str::to_owned) {
                    Some(version) => self.initialize_with(&version).await,
                    None => Err(ClientError::Protocol { data: Some(data), code, message }),
                }
            }
            other => other,
        }
    }

    async fn initialize_with(&self, version: &str) -> Result<Era, ClientError> {
        *self.connection.borrow_mut() = Connection { era: Some(Era::Legacy), ..Connection::default() };
        let mut call = Call::new("initialize");
        let capabilities = self.capabilities();
        call.params.insert("protocolVersion", raw(&version)?);
        call.params.insert("capabilities", raw(&capabilities)?);
        call.params.insert("clientInfo", raw(&self.options.software)?);
        let result = self.exchange_legacy(call, None).await?;
        let initialized: Initialized =
            serde_json::from_str(result.get()).map_err(|error| ClientError::Malformed(error.to_string()))?;
        let makes_tasks = initialized.makes_tasks();
        let version = initialized.protocol_version.unwrap_or_else(|| version.to_owned());
        if version.as_str() >= MODERN_VERSION || version.as_str() < "2024" {
            return Err(ClientError::Version(vec![version]));
        }
        {
            let mut connection = self.connection.borrow_mut();
            connection.version = HeaderValue::from_str(&version).ok();
            connection.server = initialized.server_info;
            connection.instructions = initialized.instructions;
            connection.makes_tasks = makes_tasks;
        }
        let body = wire::call(None, "notifications/initialized", Map::new());
        // What it answers to what needs no answer does not matter: if it cannot go on, it says so next.
        self.send(self.legacy_request(body)?).await?;
        Ok(Era::Legacy)
    }

    /// Ends the session, if the server keeps one. Whether it listens is its affair: many answer 405. The client can be used on and begins anew.
    pub async fn close(&self) {
        if !self.has_session() || self.connection.borrow().is_kept {
            return;
        }
        if let Ok(mut request) = self.legacy_request(Vec::new()) {
            *request.method_mut() = Method::DELETE;
            request.headers_mut().remove(header::CONTENT_TYPE);
            *self.connection.borrow_mut() = Connection { era: Some(Era::Legacy), ..Connection::default() };
            let _ = self.send(request).await;
        }
    }

    pub(crate) fn capabilities(&self) -> Map {
        self.options.input.as_ref().map(|input| input.capabilities.clone()).unwrap_or_default()
    }

    /// Sends a request the way the server understands and returns its result.
    pub(crate) async fn exchange(
        &self,
        call: Call<'_>,
        mut on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        match self.connect().await? {
            Era::Modern => self.exchange_modern(call, on_progress).await,
            Era::Legacy => {
                let again = call.clone();
                let answer = self.exchange_legacy(call, reborrow(&mut on_progress)).await;
                let is_lost = match &answer {
                    Err(ClientError::SessionEnded) => true,
                    Err(ClientError::Protocol { code, message, .. }) => {
                        SESSION_LOST_CODES.contains(code) && self.is_of_our_session(message)
                    }
                    _ => false,
                };
                if !is_lost {
                    return answer;
                }
                // Nothing was done in it, so this may be sent again.
                self.initialize().await?;
                self.exchange_legacy(again, on_progress).await
            }
        }
    }

    async fn exchange_modern(
        &self,
        mut call: Call<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        let id = self.take_id();
        call.meta.insert(META_VERSION.to_owned(), MODERN_VERSION.into());
        // What is passed on for another client says what that one can do.
        let capabilities = call.meta.entry(META_CLIENT_CAPABILITIES).or_insert_with(|| self.capabilities().into());
        if let (true, Value::Object(capabilities)) = (call.takes_task, capabilities) {
            capabilities.insert("extensions".to_owned(), task::declaration());
        }
        let software = serde_json::to_value(&self.options.software).unwrap_or_default();
        call.meta.insert(META_CLIENT_INFO.to_owned(), software);
        let body = body(id, &mut call, on_progress.is_some())?;
        let mut request = self.request(body)?;
        let headers = request.headers_mut();
        headers.insert(HEADER_VERSION, HeaderValue::from_static(MODERN_VERSION));
        headers.insert(HEADER_METHOD, HeaderValue::from_static(call.method));
        if let Some(name) = call.name {
            let value = encode(name).ok_or_else(|| ClientError::Request("the name fits no header".to_owned()))?;
            headers.insert(HEADER_NAME, value);
        }
        headers.extend(call.headers);
        let response = self.send(request).await?;
        self.read(id, response, on_progress).await
    }

    async fn exchange_legacy(
        &self,
        mut call: Call<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        let id = self.take_id();
        let initializing = call.method == "initialize";
        let body = body(id, &mut call, on_progress.is_some())?;
        let response = self.send(self.legacy_request(body)?).await?;
        if initializing {
            let session = response.headers().get(HEADER_SESSION).filter(|session| !session.is_empty());
            self.connection.borrow_mut().session = session.cloned();
        }
        self.read(id, response, on_progress).await
    }

    fn legacy_request(&self, body: Vec<u8>) -> Result<Request<Bytes>, ClientError> {
        let mut request = self.request(body)?;
        let connection = self.connection.borrow();
        let known = [(HEADER_VERSION, &connection.version), (HEADER_SESSION, &connection.session)];
        for (name, value) in known {
            if let Some(value) = value {
                request.headers_mut().insert(name, value.clone());
            }
        }
        Ok(request)
    }

    fn request(&self, body: Vec<u8>) -> Result<Request<Bytes>, ClientError> {
        let url = self.moved.borrow().clone().unwrap_or_else(|| self.url.clone());
        let mut request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(authorization) = &self.options.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.body(Bytes::from(body)).map_err(|error| ClientError::Request(error.to_string()))
    }

    fn take_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        id
    }

    /// Reads up to the answer to `id`. Dropping the rest closes the connection.
    async fn read(
        &self,
        id: u64,
        response: http::Response<super::BodyStream>,
        mut on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(id, response).await);
        }
        let (head, body) = response.into_parts();
        let mut messages = Messages::new(&head.headers, body, self.options.max_answer_bytes);
        // What does not say what it answers counts if nothing else comes.
        let mut unnamed = None;
        while let Some(message) = messages.next().await? {
            let (answers, is_unnamed) = (message.answers(id), message.is_unnamed());
            match message {
                Message { method: Some(method), params, .. } if is_unnamed => {
                    if let ("notifications/progress", Some(on_progress)) = (method.as_str(), &mut on_progress)
                        && let Some(progress) = progress(id, params.as_deref())
                    {
                        on_progress(progress);
                    }
                }
                Message { method: Some(method), id: Some(asked), params, .. } => {
                    self.reply(&asked, &method, params.as_deref()).await?;
                }
                // It could not read the request, so it cannot say which it was.
                Message { error: Some(error), .. }
                    if answers || is_unnamed && matches!(error.code, PARSE_ERROR | INVALID_REQUEST) =>
                {
                    return Err(protocol(error));
                }
                Message { result: Some(result), .. } if answers => return Ok(result),
                Message { error: Some(error), .. } if is_unnamed => unnamed = Some(Err(protocol(error))),
                Message { result: Some(result), .. } if is_unnamed => unnamed = Some(Ok(result)),
                Message { result: None, .. } if answers => {
                    return Err(ClientError::Malformed("it has neither a result nor an error".to_owned()));
                }
                Message { id: Some(other), result, error, .. } if result.is_some() || error.is_some() => {
                    let other: String = other.to_string().chars().take(MAX_ID_CHARS).collect();
                    let words = format!("it answers a request {other} that was not made; ours was {id}");
                    unnamed.get_or_insert(Err(ClientError::Malformed(words)));
                }
                _ => {}
            }
        }
        let nothing = || Err(ClientError::Malformed(format!("it is {status} and ends without a result")));
        unnamed.unwrap_or_else(nothing)
    }

    /// Why a request was not served.
    async fn refusal(&self, id: u64, response: http::Response<super::BodyStream>) -> ClientError {
        let (status, refusal) = (response.status(), http_error(&response));
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return refusal;
        }
        let (head, body) = response.into_parts();
        let (message, text) = answer::error_message(&head.headers, body).await;
        let is_ours = message.as_ref().is_some_and(|message| message.answers(id));
        let error = message.and_then(|message| message.error);
        match error {
            Some(error) if status == StatusCode::NOT_FOUND && error.code == METHOD_NOT_FOUND => protocol(error),
            // Whether an answer to the request itself is about the session is told by its code.
            Some(error) if is_ours && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => protocol(error),
            error if self.ends_session(status, error.as_ref().map_or(&text, |error| &error.message), &text) => {
                ClientError::SessionEnded
            }
            Some(error) if status != StatusCode::NOT_FOUND => protocol(error),
            _ => refusal,
        }
    }

    /// Whether a refusal says that the session it was sent in is no more. A server has to say 404 then; some have other words for it.
    fn ends_session(&self, status: StatusCode, message: &str, text: &str) -> bool {
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => self.has_session(),
            status if status.is_server_error() => {
                let text = text.to_lowercase();
                let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
                self.has_session() && says(&REFUSED_BEHIND) && says(&SESSION_LOST)
            }
            _ => self.is_of_our_session(message),
        }
    }

    /// Whether a message says that the server does not know our session, so that it has done nothing. One that names another session is of a tool.
    fn is_of_our_session(&self, message: &str) -> bool {
        let connection = self.connection.borrow();
        let Some(session) = connection.session.as_ref().and_then(|session| session.to_str().ok()) else { return false };
        let words = message.trim_start().to_lowercase();
        let words = words.strip_prefix("bad request: ").unwrap_or(&words);
        let rest = SESSION_LOST.iter().find_map(|lost| words.strip_prefix(lost));
        rest.is_some_and(|rest| !rest.trim_start().starts_with(':') || rest.contains(&session.to_lowercase()))
    }

    /// Answers what a legacy server asks on the stream of a call. A modern one must not ask, and is not answered.
    async fn reply(&self, id: &Value, method: &str, params: Option<&RawValue>) -> Result<(), ClientError> {
        if self.era() != Some(Era::Legacy) {
            return Ok(());
        }
        let params = params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or(Value::Null);
        let answer = match method {
            "ping" => Some(Value::Object(Map::new())),
            _ => self.options.input.as_ref().and_then(|input| (input.answer)(method, &params)),
        };
        let body = match answer {
            Some(answer) => wire::result(id, answer),
            None => wire::error(Some(id), &RpcError::new(METHOD_NOT_FOUND, "Method not found")),
        };
        self.send(self.legacy_request(body)?).await?;
        Ok(())
    }
}

fn body(id: u64, call: &mut Call<'_>, wants_progress: bool) -> Result<Vec<u8>, ClientError> {
    if wants_progress {
        call.meta.insert(PROGRESS_TOKEN.to_owned(), id.into());
    }
    if !call.meta.is_empty() {
        call.params.insert("_meta", raw(&call.meta)?);
    }
    Ok(wire::call(Some(&id.into()), call.method, &call.params))
}

fn progress(id: u64, params: Option<&RawValue>) -> Option<Progress> {
    let params: Value = serde_json::from_str(params?.get()).ok()?;
    if params.get(PROGRESS_TOKEN) != Some(&id.into()) {
        return None;
    }
    serde_json::from_value(params).ok()
}

fn http_error<B>(response: &http::Response<B>) -> ClientError {
    let www_authenticate = response.headers().get(header::WWW_AUTHENTICATE).cloned();
    ClientError::Http { status: response.status(), www_authenticate }
}

/// Whether a server that answers so would answer `initialize` no better: it is modern, wants a login, or is not to be reached.
fn would_answer_nothing_else(error: &ClientError) -> bool {
    match error {
        ClientError::Protocol { code, .. } => (UNSUPPORTED_VERSION..=wire::HEADER_MISMATCH).contains(code),
        ClientError::Http { status, .. } => *status == StatusCode::UNAUTHORIZED,
        // One that breaks the connection may do so for a method that it does not know.
        ClientError::Transport(error) => !matches!(error, TransportError::Connection(_) | TransportError::TimedOut),
        ClientError::Moved { .. } | ClientError::Request(_) => true,
        _ => false,
    }
}
