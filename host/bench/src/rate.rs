//! Requests a second on kept-alive connections. Anything but 200 ends the run.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use futures::future::try_join_all;
use http_body_util::Full;

use crate::client::Connection;

/// Enough to keep two cores busy, few enough not to measure a queue.
pub(crate) const CONNECTIONS: usize = 16;

/// How many answers came to `request`, repeated on all connections for `duration`, and how many a second.
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
