//! The listener: accepts connections, passes requests to the application, and shuts down without breaking running requests.

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
use tokio_io_timeout::TimeoutStream;
use wasmtime_wasi_http::Error;

use crate::application::Application;
use crate::connections::{Arriving, ClientLimits, Leaving, Places};

/// How long requests and guests' background work may continue after the host was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `stop` completes, then drains: it accepts no new connections, and running requests have up to 10 s.
pub(crate) async fn serve(
    listener: TcpListener,
    application: Arc<Application>,
    limits: ClientLimits,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let places = Places::new(limits.connections);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let accepted = listener.accept().await?;
            Ok::<_, std::io::Error>((accepted, places.take().await))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let Ok(((stream, client), place)) = accepted else {
            // Probably too many open files; connections that end release theirs.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.patience));
        let place = Arc::new(place);
        let (application, its_place) = (application.clone(), place.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (application, place) = (application.clone(), its_place.clone());
            place.serves();
            async move {
                let arriving =
                    |body: Incoming| Arriving::new(body.map_err(Error::from), place.clone(), limits.patience);
                let response = application.handle(request.map(|body| arriving(body).boxed_unsync()), client).await;
                Ok::<_, std::convert::Infallible>(response.map(|body| Leaving::new(body, place)))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.patience)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // A client that disconnects is not a failure.
                _ = connection => {}
                () = place.lost() => {}
            }
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
        let _ = writeln!(std::io::stderr(), "Requests that were still running after {seconds} s were cut off");
    }
}
