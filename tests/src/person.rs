//! A person with an account, and their actions.

use std::{
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::{App, Event, Events, until, within};

/// The language that people want here, as their browsers say it when they read a run.
pub const LANGUAGE: &str = "pt-BR";
/// The time zone that people are in.
pub const TIME_ZONE: &str = "America/Sao_Paulo";

/// A person who signed up.
#[derive(Clone, Debug)]
pub struct Person {
    /// The app they use.
    pub app: App,
    /// Their address.
    pub email: String,
    /// Their access token.
    pub token: String,
    /// The value of the cookie `ea_refresh`.
    pub refresh: String,
    /// Their account, as the sign-up returned it.
    pub user: Value,
}

/// A message that was sent, and the run that answers it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The conversation's id.
    pub conversation: String,
    /// The message's id.
    pub message: String,
    /// The run's id.
    pub run: String,
}

const PASSWORD: &str = "correct horse battery";

fn new_email() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("person-{}-{since}-{}@example.org", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Person {
    /// The password of everybody who signed up with [`Person::new`].
    pub const PASSWORD: &str = PASSWORD;

    /// Signs up a new person in the app that all tests share.
    ///
    /// # Errors
    /// When signing up fails.
    pub async fn new() -> Result<Self> {
        Self::in_app(&crate::shared()?).await
    }

    /// Signs up a new person in an app.
    ///
    /// # Errors
    /// When signing up fails.
    pub async fn in_app(app: &App) -> Result<Self> {
        let email = new_email();
        let body = json!({"email": email, "password": PASSWORD, "name": "Somebody"});
        let response = within("signing up", app.request(Method::POST, "/auth/signup").json(&body).send()).await??;
        ensure!(response.status() == StatusCode::CREATED, "signing up: {}", told(response).await);
        let refresh = cookie(&response, "ea_refresh").context("signing up set no cookie ea_refresh")?;
        let body: Value = response.json().await?;
        Ok(Self { app: app.clone(), email, token: text(&body, "/access_token")?, refresh, user: body["user"].clone() })
    }

    /// A request by this person.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path).bearer_auth(&self.token)
    }

    /// The same person as a program, which has a token of theirs for the gateway.
    ///
    /// # Errors
    /// When no such token is made.
    pub async fn program(&self) -> Result<Self> {
        let response = within("a token", self.request(Method::POST, "/auth/mcp-token").send()).await??;
        ensure!(response.status() == StatusCode::CREATED, "making a token: {}", told(response).await);
        Ok(Self { token: text(&response.json().await?, "/access_token")?, ..self.clone() })
    }

    /// The answer to a GET, whose status must be 200.
    ///
    /// # Errors
    /// When it is not.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let response = within(path, self.request(Method::GET, path).send()).await??;
        ensure!(response.status() == StatusCode::OK, "GET {path}: {}", told(response).await);
        Ok(response.json().await?)
    }

    /// The answer to a POST, whatever it is.
    ///
    /// # Errors
    /// When there is none.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Response> {
        Ok(within(path, self.request(Method::POST, path).json(body).send()).await??)
    }

    /// Begins a conversation with a model.
    ///
    /// # Errors
    /// When it is not made.
    pub async fn converse(&self, model: &str) -> Result<String> {
        let response = self.post("/api/conversations", &json!({"model": model})).await?;
        ensure!(response.status() == StatusCode::CREATED, "beginning a conversation: {}", told(response).await);
        text(&response.json().await?, "/id")
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn send(&self, conversation: &str, content: &str) -> Result<Turn> {
        let path = format!("/api/conversations/{conversation}/messages");
        let response = self.post(&path, &json!({"content": content})).await?;
        ensure!(response.status() == StatusCode::CREATED, "sending a message: {}", told(response).await);
        let body: Value = response.json().await?;
        Ok(Turn {
            conversation: conversation.to_owned(),
            message: text(&body, "/message/id")?,
            run: text(&body, "/run/id")?,
        })
    }

    /// Begins a conversation with a model and sends its first message.
    ///
    /// # Errors
    /// When either fails.
    pub async fn ask(&self, model: &str, content: &str) -> Result<Turn> {
        self.send(&self.converse(model).await?, content).await
    }

    /// Asks, reads the events to the end, and returns them.
    ///
    /// # Errors
    /// When anything fails.
    pub async fn hear(&self, model: &str, content: &str) -> Result<(Turn, Vec<Event>)> {
        let turn = self.ask(model, content).await?;
        let events = self.events(&turn.run).await?.all().await?;
        Ok((turn, events))
    }

    /// Opens a run's events from the beginning.
    ///
    /// # Errors
    /// When there are none.
    pub async fn events(&self, run: &str) -> Result<Events> {
        self.events_after(run, None).await?.context("there are no events to read")
    }

    /// Opens a run's events after an id; `None` when there are no more (204).
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events_after(&self, run: &str, last_event_id: Option<u64>) -> Result<Option<Events>> {
        let path = format!("/api/runs/{run}/events");
        let mut request = self.request(Method::GET, &path).header("accept", "text/event-stream");
        request = request.header("accept-language", format!("{LANGUAGE},en;q=0.5")).header("time-zone", TIME_ZONE);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        let response = within("the head of the events", request.send()).await??;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => Events::new(response).map(Some),
            _ => anyhow::bail!("the events of {run}: {}", told(response).await),
        }
    }

    /// The run as the app returns it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn run(&self, run: &str) -> Result<Value> {
        self.get(&format!("/api/runs/{run}")).await
    }

    /// Waits until a run is in a state.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn run_in(&self, run: &str, state: &str) -> Result<Value> {
        until(&format!("the state {state} of the run {run}"), async || {
            let run = self.run(run).await?;
            Ok((run["state"] == state).then_some(run))
        })
        .await
    }

    /// Asks a run to stop.
    ///
    /// # Errors
    /// When that is not accepted.
    pub async fn cancel(&self, run: &str) -> Result<Value> {
        let response = self.post(&format!("/api/runs/{run}/cancel"), &json!({})).await?;
        ensure!(response.status() == StatusCode::ACCEPTED, "cancelling: {}", told(response).await);
        Ok(response.json().await?)
    }

    /// The first messages of a conversation.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn messages(&self, conversation: &str) -> Result<Vec<Value>> {
        array(&self.get(&format!("/api/conversations/{conversation}/messages")).await?, "/items")
    }

    /// The answer of a run: the content of its message, empty if there is none.
    ///
    /// # Errors
    /// When the messages cannot be read.
    pub async fn answer(&self, turn: &Turn) -> Result<String> {
        let messages = self.messages(&turn.conversation).await?;
        let answer = messages.iter().find(|message| message["role"] == "assistant" && message["run_id"] == *turn.run);
        Ok(answer.map(|answer| text(answer, "/content")).transpose()?.unwrap_or_default())
    }
}

/// The text at a JSON pointer.
///
/// # Errors
/// When there is none.
pub fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no text at {pointer} in {value}"))?.to_owned())
}

/// The list at a JSON pointer.
///
/// # Errors
/// When there is none.
pub fn array(value: &Value, pointer: &str) -> Result<Vec<Value>> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    Ok(found.with_context(|| format!("no list at {pointer} in {value}"))?.clone())
}

/// The value of a cookie that an answer sets.
fn cookie(response: &Response, name: &str) -> Option<String> {
    let set = response.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    set.filter_map(|value| value.split(';').next()?.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

async fn told(response: Response) -> String {
    let status = response.status();
    format!("{status}: {}", response.text().await.unwrap_or_default())
}

/// Checks that an answer is a complete problem of RFC 9457 with this status and code, and returns it.
///
/// # Errors
/// When it is not.
pub async fn problem(response: Response, status: u16, code: &str) -> Result<Value> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, request_id) = (header("content-type"), header("x-request-id"));
    let actual = response.status().as_u16();
    let body = response.text().await?;
    let body: Value = serde_json::from_str(&body).with_context(|| format!("{actual} without a problem: {body:?}"))?;
    ensure!(actual == status && body["status"] == status, "{actual} instead of {status}: {body}");
    ensure!(body["code"] == code, "code {} instead of {code}: {body}", body["code"]);
    ensure!(content_type.as_deref() == Some("application/problem+json"), "content type {content_type:?}");
    ensure!(body["type"] == "about:blank", "type {}", body["type"]);
    ensure!(!text(&body, "/title")?.is_empty() && !text(&body, "/detail")?.is_empty(), "says nothing: {body}");
    ensure!(request_id.is_some_and(|id| body["request_id"] == id), "no request id, or two: {body}");
    ensure!((status == 422) == body["field"].is_string(), "the field belongs to 422: {body}");
    Ok(body)
}
