//! The conformance suite's server as a native program: the crate `mcp` and the suite's fixture, without the rest of the app.

use std::{convert::Infallible, error::Error, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use clap::Parser;
use conformance_provider::Fixture;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mcp::{Body, Settings};
use tokio::net::TcpListener;

/// The app's limit.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves the conformance suite's fixture until it is killed.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 is any, and the address is printed.
    #[arg(default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind(Args::parse().listen).await?;
    let address = listener.local_addr()?;
    let hosts = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{}", address.port()));
    let settings = Rc::new(Settings { allowed_hosts: Some(hosts.into()), allowed_origins: Vec::new() });
    println!("http://{address}/mcp");
    tokio::task::LocalSet::new().run_until(serve(listener, settings)).await
}

async fn serve(listener: TcpListener, settings: Rc<Settings>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let settings = settings.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(&settings, request));
            // A broken connection is the client's fault.
            _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    settings: &Settings,
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = BoxError> + use<>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        let mut response = Response::new(Either::Left(Full::default()));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(response);
    };
    let response = mcp::respond(&Fixture, settings, Request::from_parts(head, body.to_bytes())).await;
    Ok(response.map(|body| match body {
        Body::Empty => Either::Left(Full::default()),
        Body::Json(json) => Either::Left(Full::from(json)),
        Body::Events(events) => {
            Either::Right(StreamBody::new(events.map(|event| Ok::<_, BoxError>(Frame::data(event)))))
        }
    }))
}
