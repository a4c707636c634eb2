//! Generates the load: connections, requests, and streams that are read to their end. `transcript` checks the streams.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::body::Bytes;
use axum::http::{Request, StatusCode, header};
use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::transcript::{Dialect, Reading, Transcript};

/// The longest stream takes two seconds; one that takes this long hangs.
const STREAM_LIMIT: Duration = Duration::from_secs(60);
/// A page of 200 conversations has a tenth of this size.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// A kept-alive connection. It closes when this is dropped.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("nothing answers at {address}"))?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Whether the server has closed it, as it does when nothing came for a while.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
        Ok((status, body.map_err(|error| anyhow::anyhow!("the answer breaks off: {error}"))?.to_bytes()))
    }
}

/// A request with a JSON body, or none.
pub(crate) fn request(
    method: &str,
    address: SocketAddr,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, address.to_string());
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    Ok(request.body(Full::from(body.map(Value::to_string).unwrap_or_default()))?)
}

/// Where completions are, at the model and at gateways.
pub(crate) const COMPLETIONS: &str = "/v1/chat/completions";

/// The model's address for completions.
pub(crate) fn completions_url(model: SocketAddr) -> String {
    format!("http://{model}{COMPLETIONS}")
}

/// The request to the model, sent directly, by the native relay, and to gateways. `target`: a path, or a whole address for a client that wants one.
pub(crate) fn completion_request(
    address: SocketAddr,
    target: &str,
    model: &str,
    key: &str,
) -> anyhow::Result<Request<Full<Bytes>>> {
    request("POST", address, target, key, Some(&bench_guest::completion(model)))
}

/// Sends all requests at the same moment, each on its own connection, and reads the streams to their end. The connections are opened before, so
/// the measured time begins with the request.
pub(crate) async fn streams(
    address: SocketAddr,
    dialect: Dialect,
    requests: Vec<Request<Full<Bytes>>>,
    tokens: u64,
) -> anyhow::Result<Vec<Reading>> {
    let connections = try_join_all(requests.iter().map(|_| Connection::open(address))).await?;
    let readers = connections.into_iter().zip(requests).map(|(connection, request)| {
        tokio::spawn(tokio::time::timeout(STREAM_LIMIT, stream(connection, dialect, request, tokens)))
    });
    let ended = join_all(readers).await;
    let mut readings = Vec::with_capacity(ended.len());
    for (number, reading) in ended.into_iter().enumerate() {
        let reading = reading?.with_context(|| format!("no end after {} s", STREAM_LIMIT.as_secs())).flatten();
        readings.push(reading.with_context(|| format!("stream {number} is wrong"))?);
    }
    Ok(readings)
}

async fn stream(
    mut connection: Connection,
    dialect: Dialect,
    request: Request<Full<Bytes>>,
    tokens: u64,
) -> anyhow::Result<Reading> {
    let mut transcript = Transcript::new(dialect, tokens, Instant::now());
    let answer = connection.0.send_request(request).await?;
    ensure!(answer.status() == StatusCode::OK, "the answer is {}", answer.status());
    let mut events = answer.into_body().into_data_stream().eventsource();
    while let Some(event) = events.next().await {
        transcript.read(&event?, Instant::now())?;
    }
    transcript.end()
}
