//! What the tools need of the world, on Spin.

use std::time::Duration;

use bytes::Bytes;
use cache::Clock;
use domain::Id;
use futures::TryStreamExt;
use http::{HeaderValue, Request, Response};
use mcp::{BodyStream, Transport, TransportError};
use platform::{
    SpinClock, SpinDatabase,
    http_client::{self, HttpError},
};
use serde_json::{Value, json};
use spin_sdk::wasip3::http::types::ErrorCode;
use tool_catalogue::Host;
use web::{
    App,
    log::{Level, log},
};

use crate::config::COMPONENT;

/// Spin's outbound HTTP, time, tasks and log, and this component's key.
#[derive(Clone, Debug)]
pub(crate) struct SpinHost(pub(crate) App<SpinDatabase>);

impl Transport for SpinHost {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let answer = http_client::send(request).await.map_err(failed)?;
        let mut response = Response::new(Box::pin(answer.body.map_err(failed)) as BodyStream);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }

    async fn sleep(&self, duration: Duration) {
        platform::sleep(duration).await;
    }
}

impl Clock for SpinHost {
    fn now(&self) -> Duration {
        SpinClock.now()
    }

    async fn sleep(&self, duration: Duration) {
        platform::sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        platform::spawn(task);
    }
}

impl Host for SpinHost {
    async fn prove(&self, component: &str, user_id: Option<Id>, request_id: &str) -> Option<HeaderValue> {
        let proof = self.0.prove(component, user_id, request_id).await;
        let told = |error: &web::Error| {
            self.log(
                "a call of a tool server cannot be signed",
                json!({ "callee": component, "cause": error.causes() }),
            );
        };
        proof.inspect_err(told).ok()
    }

    fn log(&self, message: &str, fields: Value) {
        log(COMPONENT, Level::Warn, message, fields);
    }
}

fn failed(error: HttpError) -> TransportError {
    let words = error.to_string();
    let code = match error {
        HttpError::Denied | HttpError::Request(_) => return TransportError::NotAllowed(words),
        HttpError::Connection(code) => code,
    };
    match code {
        // What `*.spin.internal` names and is not part of the application.
        ErrorCode::DestinationNotFound => TransportError::Absent,
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => TransportError::NoName(words),
        ErrorCode::ConnectionRefused | ErrorCode::DestinationUnavailable => TransportError::Refused(words),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            TransportError::Tls(words)
        }
        ErrorCode::DestinationIpProhibited => TransportError::NotAllowed(words),
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => {
            TransportError::TimedOut
        }
        _ => TransportError::Connection(words),
    }
}
