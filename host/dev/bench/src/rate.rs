//! Measures requests a second on kept-alive connections, and turns a second. Any failure ends the run.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use futures::future::{join_all, try_join_all};
use http_body_util::Full;

use crate::app::Person;
use crate::client::{self, Connection};
use crate::transcript::Dialect;

/// Enough to keep two cores busy, and few enough not to measure a queue.
pub(crate) const CONNECTIONS: usize = 16;

/// How many responses `request` got, repeated on all connections for `duration`, and how many a second.
pub(crate) async fn measure(
    address: SocketAddr,
    request: &Request<Full<Bytes>>,
    duration: Duration,
) -> anyhow::Result<(u32, f64)> {
    let connections = try_join_all((0..CONNECTIONS).map(|_| Connection::open(address))).await?;
    let began = Instant::now();
    let askers = connections.into_iter().map(|mut connection| {
        let request = request.clone();
        tokio::spawn(async move {
            let mut answers = 0_u32;
            while began.elapsed() < duration {
                let (status, body) = connection.ask(request.clone()).await?;
                ensure!(status == StatusCode::OK, "answered {status}: {}", String::from_utf8_lossy(&body));
                answers += 1;
            }
            Ok(answers)
        })
    });
    let mut answers = 0;
    for asked in try_join_all(askers).await? {
        answers += asked?;
    }
    Ok((answers, f64::from(answers) / began.elapsed().as_secs_f64()))
}

/// How many turns of `tokens` were done in `duration`, and how many a second. Users work at the same time; in each turn one sends a message and
/// reads the answer to its end. No two users share a conversation.
pub(crate) async fn turns(
    person: &Person,
    conversations: &[String],
    tokens: u64,
    duration: Duration,
) -> anyhow::Result<(u32, f64)> {
    ensure!(conversations.len() >= CONNECTIONS, "a conversation each");
    let mut people = Vec::with_capacity(CONNECTIONS);
    for first in 0..CONNECTIONS {
        let own: Vec<String> = conversations.iter().skip(first).step_by(CONNECTIONS).cloned().collect();
        people.push((person.again().await?, own));
    }
    let began = Instant::now();
    let askers = people.into_iter().map(|(mut person, own)| {
        tokio::spawn(async move {
            let mut turns = 0_u32;
            for conversation in own.iter().cycle() {
                if began.elapsed() >= duration {
                    break;
                }
                let request = person.turn_in(conversation).await?;
                client::streams(person.address, Dialect::App, vec![request], tokens).await?;
                turns += 1;
            }
            anyhow::Ok(turns)
        })
    });
    let mut turns = 0;
    for asked in join_all(askers).await {
        turns += asked??;
    }
    Ok((turns, f64::from(turns) / began.elapsed().as_secs_f64()))
}
