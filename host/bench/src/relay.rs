//! What the app is compared with: a plain native relay. It asks the model, parses each chunk and writes it again as our
//! event, with the very crates that the app does it with, and nothing else: no sandbox, no session, no database.

use std::net::SocketAddr;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use completions::{Piece, Round};
use domain::event::Event;
use domain::{Id, Timestamp};
use futures::StreamExt as _;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::completion_request;

#[derive(Clone)]
struct Relay {
    client: Client<HttpConnector, Full<Bytes>>,
    model: SocketAddr,
}

/// Serves until the task is dropped: `GET /health`, and `GET /events?model=NAME`.
pub(crate) async fn serve(listener: TcpListener, model: SocketAddr) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let relay = Relay { client: Client::builder(TokioExecutor::new()).build(connector), model };
    let router = Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/events", get(events))
        .with_state(relay);
    // Where it cannot be set, the relay only gets slower.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

#[derive(Deserialize)]
struct Asked {
    model: String,
}

async fn events(State(relay): State<Relay>, Query(asked): Query<Asked>) -> Result<Response, (StatusCode, String)> {
    let upstream = |error: &dyn std::error::Error| (StatusCode::BAD_GATEWAY, format!("the model: {error}"));
    let request: Request<_> = completion_request(relay.model, &asked.model).map_err(|error| upstream(&*error))?;
    let answer = relay.client.request(request).await.map_err(|error| upstream(&error))?;
    if answer.status() != StatusCode::OK {
        return Err((StatusCode::BAD_GATEWAY, format!("the model answered {}", answer.status())));
    }
    let turn = Turn {
        body: Body::new(answer.into_body()).into_data_stream(),
        round: Round::default(),
        run_id: Id::new().to_string(),
        last_id: 0,
        token_count: 0,
        ended: false,
    };
    let frames = futures::stream::unfold(turn, async |mut turn| {
        let frames = turn.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frames), turn))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(frames)).into_response())
}

struct Turn {
    body: BodyDataStream,
    round: Round,
    run_id: String,
    last_id: u64,
    token_count: u64,
    ended: bool,
}

impl Turn {
    /// What the next chunk says, as frames; none at the end.
    async fn next(&mut self) -> Option<String> {
        let (mut pieces, mut frames) = (Vec::new(), String::new());
        while !self.ended && frames.is_empty() {
            let heard = match self.body.next().await {
                Some(Ok(bytes)) => self.round.feed(&bytes, &mut pieces).map_err(|error| error.to_string()),
                Some(Err(error)) => Err(error.to_string()),
                None => {
                    self.ended = true;
                    self.round.finish(&mut pieces).map_err(|error| error.to_string())
                }
            };
            for piece in pieces.drain(..) {
                let (Piece::Text(text) | Piece::Reasoning(text)) = piece;
                self.token_count += 1;
                self.write(&Event::Token { content: &text, token_count: self.token_count }, &mut frames);
            }
            if let Err(message) = heard {
                self.ended = true;
                self.write(&Event::Error { message: &message, code: "upstream", retryable: true }, &mut frames);
            } else if self.ended {
                let complete = Event::Complete { finish_reason: "stop", usage: None, message_id: None, attempt: 1 };
                self.write(&complete, &mut frames);
            }
        }
        (!frames.is_empty()).then_some(frames)
    }

    fn write(&mut self, event: &Event<'_>, frames: &mut String) {
        event.write(&mut self.last_id, &self.run_id, Timestamp::now(), frames);
    }
}
