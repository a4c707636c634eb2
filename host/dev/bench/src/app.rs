//! A user of the app: signs up, makes conversations and sends messages. `docs/api.md` describes these requests.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use axum::body::Bytes;
use axum::http::Request;
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{Connection, request};

/// A user with a session, on one kept-alive connection.
pub(crate) struct Person {
    pub(crate) address: SocketAddr,
    connection: Connection,
    token: String,
    /// The user's id, which the data set needs.
    pub(crate) id: String,
}

impl Person {
    /// Signs up. The address is new each time, so that an app that keeps its data can be measured again.
    pub(crate) async fn sign_up(address: SocketAddr) -> anyhow::Result<Self> {
        let mut person =
            Self { address, connection: Connection::open(address).await?, token: String::new(), id: String::new() };
        let email = format!("bench-{}@example.com", Timestamp::now().as_nanosecond());
        let session =
            person.post("/auth/signup", &json!({"email": email, "password": "correct horse battery"})).await?;
        person.token = text(&session, "/access_token")?;
        person.id = text(&session, "/user/id")?;
        Ok(person)
    }

    /// Makes a key for a program that asks models.
    pub(crate) async fn key(&mut self) -> anyhow::Result<String> {
        let body = json!({"name": "bench", "scopes": ["models:call", "models:use:*"]});
        text(&self.post("/auth/api-keys", &body).await?, "/key")
    }

    /// The same user on another connection.
    pub(crate) async fn again(&self) -> anyhow::Result<Self> {
        let connection = Connection::open(self.address).await?;
        Ok(Self { address: self.address, connection, token: self.token.clone(), id: self.id.clone() })
    }

    /// Makes a conversation and returns its id.
    pub(crate) async fn conversation(&mut self, model: Option<&str>) -> anyhow::Result<String> {
        let body = model.map_or_else(|| json!({"title": "A conversation"}), |model| json!({"model": model}));
        text(&self.post("/api/conversations", &body).await?, "/id")
    }

    /// Begins a turn in a new conversation and returns the request for its events.
    pub(crate) async fn turn(&mut self, model: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let conversation = self.conversation(Some(model)).await?;
        self.turn_in(&conversation).await
    }

    /// Begins a turn in a conversation and returns the request for its events.
    pub(crate) async fn turn_in(&mut self, conversation: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let path = format!("/api/conversations/{conversation}/messages");
        let sent = self.post(&path, &json!({"content": bench_guest::MESSAGE})).await?;
        self.get(&text(&sent, "/run/events_url")?)
    }

    /// A request of this user.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        request("GET", self.address, path, &self.token, None)
    }

    async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        // Other subjects were measured meanwhile.
        if self.connection.is_closed() {
            self.connection = Connection::open(self.address).await?;
        }
        let request = request("POST", self.address, path, &self.token, Some(body))?;
        let (status, answer) = self.connection.ask(request).await?;
        ensure!(status.as_u16() == 201, "POST {path} is answered {status}: {}", String::from_utf8_lossy(&answer));
        Ok(serde_json::from_slice(&answer)?)
    }
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("an answer has no {pointer}: {value}"))?.to_owned())
}
