//! Sends a request and reads its response, in either era, and finds out the server's era.

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
    rejection::{http_error, protocol, would_answer_nothing_else},
    traced::traced,
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

/// The time limit for `server/discover`. A server that knows the method answers at once. Others may never answer.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(2);
/// The beginnings of the messages with which servers say that they do not know a session.
const SESSION_LOST: [&str; 5] =
    ["server not initialized", "session not found", "no valid session id", "invalid session id", "session has expired"];
/// The error codes of these messages. Other codes come from tools, which may have sessions of their own and may have changed something.
const SESSION_LOST_CODES: [i64; 3] = [-32000, -32001, INVALID_REQUEST];
/// How a proxy says that the server behind it refused the request.
const REFUSED_BEHIND: [&str; 2] = ["http 400", "http 404"];
/// The longest part of an unexpected id that an error repeats.
const MAX_ID_CHARS: usize = 40;

/// The params of a request by name. They are raw, so that arguments are sent byte for byte.
pub(crate) type Params = BTreeMap<&'static str, Box<RawValue>>;
/// Called with each progress.
pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// Lends the callback to one request.
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
    /// The value of `Mcp-Name`.
    pub(crate) name: Option<&'a str>,
    /// Whether the request may make a task or is about one.
    pub(crate) takes_task: bool,
    /// The `Mcp-Param-*` headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Call<'_> {
    pub(crate) fn new(method: &'static str) -> Self {
        Self { method, ..Self::default() }
    }
}

/// A value as JSON text.
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
    /// The place of this field in drafts of the specification.
    #[serde(default, deserialize_with = "lenient::field")]
    server_info: Option<Implementation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialized {
    /// If it is missing, the server uses the version that was asked for.
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
    /// Whether calls of the server's tools become tasks on request (2025-11-25, "Tasks", "Server Capabilities").
    fn makes_tasks(&self) -> bool {
        let tasks = self.capabilities.get("tasks");
        tasks.and_then(|tasks| tasks.get("requests")?.get("tools")?.get("call")).is_some_and(Value::is_object)
    }
}

impl<T: Transport> Client<T> {
    /// Finds out the server's era, unless it is known, and initializes a legacy server.
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

    /// Sends `server/discover`. A server whose answer is not modern counts as legacy, and so does one that does not answer.
    pub(crate) async fn discover(&self) -> Result<Era, ClientError> {
        let discovery = pin!(self.ask_what_it_is());
        let answer = match select(discovery, pin!(self.transport.sleep(DISCOVERY_LIMIT))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(TransportError::TimedOut.into()),
        };
        match answer {
            Ok(result) => match serde_json::from_str::<Discovered>(result.get()) {
                Ok(discovered) => self.discovered(discovered).await,
                // Some servers answer unknown methods with a result.
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
        // Versions before 2026-07-28 are legacy. Versions are dates, so they can be compared as text.
        if supported.iter().any(|version| version.as_str() < MODERN_VERSION) {
            self.initialize().await
        } else {
            Err(ClientError::Version(supported))
        }
    }

    /// Sends `initialize`, as revisions up to 2025-11-25 require. A server that refuses the version and lists older ones is asked again with the
    /// newest of them.
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
        // The response to a notification does not matter. A server that cannot continue says so at the next request.
        self.send(self.legacy_request(body)?).await?;
        Ok(Era::Legacy)
    }

    /// Ends the session, if there is one and no task was made in it. The response does not matter: many servers answer 405. The client can still be
    /// used and then begins a new session.
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

    /// Sends a request in the server's era and returns the result.
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
                // The server has not handled the request, so it can be sent again.
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
        // A request that is passed on declares the other client's capabilities.
        let capabilities = call.meta.entry(META_CLIENT_CAPABILITIES).or_insert_with(|| self.capabilities().into());
        if call.takes_task
            && let Value::Object(capabilities) = capabilities
        {
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
            let value = encode(name)
                .ok_or_else(|| ClientError::Request("the name cannot be written in a header".to_owned()))?;
            headers.insert(HEADER_NAME, value);
        }
        headers.extend(call.headers);
        traced((call.method, call.name), Some(MODERN_VERSION), async {
            let response = self.send(request).await?;
            self.read(id, response, on_progress).await
        })
        .await
    }

    async fn exchange_legacy(
        &self,
        mut call: Call<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        let id = self.take_id();
        let initializing = call.method == "initialize";
        let body = body(id, &mut call, on_progress.is_some())?;
        let request = self.legacy_request(body)?;
        traced((call.method, call.name), None, async {
            let response = self.send(request).await?;
            if initializing {
                let session = response.headers().get(HEADER_SESSION).filter(|session| !session.is_empty());
                self.connection.borrow_mut().session = session.cloned();
            }
            self.read(id, response, on_progress).await
        })
        .await
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

    /// Reads messages up to the response to `id`. Dropping the rest closes the connection.
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
        // A response without an id counts if no better one comes.
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
                // The server could not read the request, so it does not know its id.
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
                    let words = format!("it answers request {other}, but the request was {id}");
                    unnamed.get_or_insert(Err(ClientError::Malformed(words)));
                }
                _ => {}
            }
        }
        let nothing = || Err(ClientError::Malformed(format!("it is {status} and ends without a result")));
        unnamed.unwrap_or_else(nothing)
    }

    /// The error for a response whose status is not 2xx.
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
            // This error answers the request itself. Its code tells [`Self::exchange`] whether it is about the session.
            Some(error) if is_ours && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => protocol(error),
            error if self.ends_session(status, error.as_ref().map_or(&text, |error| &error.message), &text) => {
                ClientError::SessionEnded
            }
            Some(error) if status != StatusCode::NOT_FOUND => protocol(error),
            _ => refusal,
        }
    }

    /// Whether a refusal means that the session no longer exists. The specification requires 404; some servers use other statuses and messages.
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

    /// Whether a message says that the server does not know our session, so that nothing was done. A message that names another session comes from a
    /// tool.
    fn is_of_our_session(&self, message: &str) -> bool {
        let connection = self.connection.borrow();
        let Some(session) = connection.session.as_ref().and_then(|session| session.to_str().ok()) else { return false };
        let words = message.trim_start().to_lowercase();
        let words = words.strip_prefix("bad request: ").unwrap_or(&words);
        let rest = SESSION_LOST.iter().find_map(|lost| words.strip_prefix(lost));
        rest.is_some_and(|rest| !rest.trim_start().starts_with(':') || rest.contains(&session.to_lowercase()))
    }

    /// Answers a request that a legacy server sends in the response to a call. A modern server must not send any, and gets no answer.
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
