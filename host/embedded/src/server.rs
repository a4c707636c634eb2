//! The listener: accepts connections, hands requests to the application, and ends without cutting anybody off.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;

use crate::application::Application;

/// How long requests and guests' background work may go on after the host was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at once; further ones wait to be accepted. Far above what a browser and a test suite open, below the
/// usual limit of open files.
const MAX_CONNECTIONS: usize = 4_096;

/// How long a client may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `stop` completes, then drains: no new connections, and up to 10 s for what is running.
pub(crate) async fn serve(listener: TcpListener, application: Arc<Application>, stop: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, client)) = accepted else {
            // Out of file descriptors, most likely: connections that end give them back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let application = application.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let application = application.clone();
            async move {
                let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
                Ok::<_, std::convert::Infallible>(application.handle(request, client).await)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A client that leaves is no failure of ours.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    application.ending.stop.cancel();
    application.ending.instances.close();
    let drained = async {
        connections.shutdown().await;
        application.ending.instances.wait().await;
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        let seconds = DRAIN_TIMEOUT.as_secs();
        let _ = writeln!(std::io::stderr(), "What was still running after {seconds} s was cut off");
    }
}
