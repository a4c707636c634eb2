//! One request and its answer, in either era; and finding out which.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{
    Client, ClientError, Connection, Progress, Transport,
    answer::{self, Messages},
};
use crate::{
    header::encode,
    model::{Implementation, Map},
    wire::{
        self, Era, HEADER_METHOD, HEADER_NAME, HEADER_SESSION, HEADER_VERSION, LEGACY_VERSION,
        META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_VERSION, METHOD_NOT_FOUND, MODERN_VERSION, Message,
        PROGRESS_TOKEN, RpcError, UNSUPPORTED_VERSION,
    },
};

/// Params of a request by name; raw, so that arguments stay as they are.
pub(crate) type Params = BTreeMap<&'static str, Box<RawValue>>;
/// What is told about progress.
pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// A request to be sent.
#[derive(Default)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) params: Params,
    pub(crate) meta: Map,
    /// For `Mcp-Name`.
    pub(crate) name: Option<&'a str>,
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
    #[serde(default)]
    instructions: Option<String>,
    #[serde(rename = "_meta", default)]
    meta: Map,
    /// Where drafts had it.
    #[serde(default)]
    server_info: Option<Implementation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialized {
    protocol_version: String,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    server_info: Option<Implementation>,
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

    /// Asks the server what it is. What is not a modern answer is taken for a legacy server's.
    pub(crate) async fn discover(&self) -> Result<Era, ClientError> {
        let mut answer = self.exchange_modern(Call::new("server/discover"), None).await;
        if let Err(ClientError::Protocol { code: UNSUPPORTED_VERSION, data, .. }) = &answer {
            let supported = data.as_ref().and_then(|data| data.get("supported")).cloned().unwrap_or_default();
            let supported: Vec<String> = serde_json::from_value(supported).unwrap_or_default();
            if !supported.iter().any(|version| version == MODERN_VERSION) {
                return self.fall_back(supported).await;
            }
            answer = self.exchange_modern(Call::new("server/discover"), None).await;
        }
        match answer {
            Ok(result) => match serde_json::from_str::<Discovered>(result.get()) {
                Ok(discovered) => self.discovered(discovered).await,
                // Some servers answer anything with something.
                Err(_) => self.initialize().await,
            },
            Err(ClientError::Protocol { code, .. }) if !is_modern(code) => self.initialize().await,
            Err(ClientError::Http { status, .. }) if may_be_legacy(status) => self.initialize().await,
            Err(ClientError::Malformed(_)) => self.initialize().await,
            Err(error) => Err(error),
        }
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

    /// `initialize`, as revisions up to 2025-11-25 want it.
    async fn initialize(&self) -> Result<Era, ClientError> {
        *self.connection.borrow_mut() = Connection { era: Some(Era::Legacy), ..Connection::default() };
        let mut call = Call::new("initialize");
        let capabilities = self.capabilities();
        call.params.insert("protocolVersion", raw(&LEGACY_VERSION)?);
        call.params.insert("capabilities", raw(&capabilities)?);
        call.params.insert("clientInfo", raw(&self.options.software)?);
        let result = self.exchange_legacy(call, None).await?;
        let initialized: Initialized =
            serde_json::from_str(result.get()).map_err(|error| ClientError::Malformed(error.to_string()))?;
        let version = initialized.protocol_version;
        if version.as_str() >= MODERN_VERSION || version.as_str() < "2024" {
            return Err(ClientError::Version(vec![version]));
        }
        {
            let mut connection = self.connection.borrow_mut();
            connection.version = HeaderValue::from_str(&version).ok();
            connection.server = initialized.server_info;
            connection.instructions = initialized.instructions;
        }
        let body = wire::call(None, "notifications/initialized", Map::new());
        let response = self.transport.send(self.legacy_request(body)?).await?;
        if response.status().is_success() { Ok(Era::Legacy) } else { Err(http_error(&response)) }
    }

    pub(crate) fn capabilities(&self) -> Map {
        self.options.input.as_ref().map(|input| input.capabilities.clone()).unwrap_or_default()
    }

    /// Sends a request the way the server understands and returns its result.
    pub(crate) async fn exchange(
        &self,
        call: Call<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        match self.connect().await? {
            Era::Modern => self.exchange_modern(call, on_progress).await,
            Era::Legacy => {
                let again = Call { name: call.name, params: call.params.clone(), ..Call::new(call.method) };
                let again = Call { meta: call.meta.clone(), ..again };
                let had_session = self.connection.borrow().session.is_some();
                match self.exchange_legacy(call, on_progress).await {
                    // The session has ended. Nothing was done in it, so this may be sent again.
                    Err(ClientError::Http { status: StatusCode::NOT_FOUND, .. }) if had_session => {
                        self.initialize().await?;
                        self.exchange_legacy(again, None).await
                    }
                    answer => answer,
                }
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
        call.meta.insert(META_CLIENT_CAPABILITIES.to_owned(), self.capabilities().into());
        let software = serde_json::to_value(&self.options.software).unwrap_or_default();
        call.meta.insert(META_CLIENT_INFO.to_owned(), software);
        let body = body(&id, &mut call, on_progress.is_some())?;
        let mut request = self.request(body)?;
        let headers = request.headers_mut();
        headers.insert(HEADER_VERSION, HeaderValue::from_static(MODERN_VERSION));
        headers.insert(HEADER_METHOD, HeaderValue::from_static(call.method));
        if let Some(name) = call.name {
            let value = encode(name).ok_or_else(|| ClientError::Request("the name fits no header".to_owned()))?;
            headers.insert(HEADER_NAME, value);
        }
        headers.extend(call.headers);
        let response = self.transport.send(request).await?;
        self.read(&id, response, on_progress).await
    }

    async fn exchange_legacy(
        &self,
        mut call: Call<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        let id = self.take_id();
        let initializing = call.method == "initialize";
        let body = body(&id, &mut call, on_progress.is_some())?;
        let response = self.transport.send(self.legacy_request(body)?).await?;
        if initializing {
            self.connection.borrow_mut().session = response.headers().get(HEADER_SESSION).cloned();
        }
        self.read(&id, response, on_progress).await
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
        let mut request = Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(authorization) = &self.options.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.body(Bytes::from(body)).map_err(|error| ClientError::Request(error.to_string()))
    }

    fn take_id(&self) -> Value {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        id.into()
    }

    /// Reads up to the answer to `id`. Dropping the rest closes the connection.
    async fn read(
        &self,
        id: &Value,
        response: http::Response<super::BodyStream>,
        mut on_progress: Option<OnProgress<'_>>,
    ) -> Result<Box<RawValue>, ClientError> {
        let status = response.status();
        if !status.is_success() {
            let refusal = http_error(&response);
            if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                return Err(refusal);
            }
            let (head, body) = response.into_parts();
            let message = answer::error_message(&head.headers, body).await;
            return Err(match message.and_then(|message| message.error) {
                // A session's end is said with any body.
                Some(error) if status != StatusCode::NOT_FOUND || error.code == METHOD_NOT_FOUND => protocol(error),
                _ => refusal,
            });
        }
        let (head, body) = response.into_parts();
        let mut messages = Messages::new(&head.headers, body, self.options.max_answer_bytes);
        while let Some(message) = messages.next().await? {
            match message {
                Message { method: Some(method), id: None, params, .. } => {
                    if let ("notifications/progress", Some(on_progress)) = (method.as_str(), &mut on_progress)
                        && let Some(progress) = progress(id, params.as_deref())
                    {
                        on_progress(progress);
                    }
                }
                Message { method: Some(method), id: Some(asked), params, .. } => {
                    self.reply(&asked, &method, params.as_deref()).await?;
                }
                Message { error: Some(error), .. } => return Err(protocol(error)),
                Message { result: Some(result), id: answered, .. } if answered.as_ref() == Some(id) => {
                    return Ok(result);
                }
                _ => {}
            }
        }
        Err(ClientError::Malformed("the stream ended without an answer".to_owned()))
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
        self.transport.send(self.legacy_request(body)?).await?;
        Ok(())
    }
}

fn body(id: &Value, call: &mut Call<'_>, wants_progress: bool) -> Result<Vec<u8>, ClientError> {
    if wants_progress {
        call.meta.insert(PROGRESS_TOKEN.to_owned(), id.clone());
    }
    if !call.meta.is_empty() {
        call.params.insert("_meta", raw(&call.meta)?);
    }
    Ok(wire::call(Some(id), call.method, &call.params))
}

fn progress(id: &Value, params: Option<&RawValue>) -> Option<Progress> {
    let params: Value = serde_json::from_str(params?.get()).ok()?;
    if params.get(PROGRESS_TOKEN) != Some(id) {
        return None;
    }
    serde_json::from_value(params).ok()
}

fn protocol(error: RpcError) -> ClientError {
    ClientError::Protocol { code: error.code, message: error.message, data: error.data }
}

fn http_error<B>(response: &http::Response<B>) -> ClientError {
    let www_authenticate = response.headers().get(header::WWW_AUTHENTICATE).cloned();
    ClientError::Http { status: response.status(), www_authenticate }
}

/// Errors that only modern servers know.
fn is_modern(code: i64) -> bool {
    (UNSUPPORTED_VERSION..=wire::HEADER_MISMATCH).contains(&code)
}

/// Answers of legacy servers to a request without a session or of an unknown method.
fn may_be_legacy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}
