//! The only crate that knows Spin, the host.
//!
//! It adapts and decides nothing: SQLite and PostgreSQL to the storage port, variables to strings, outbound HTTP, time, tasks that outlive a
//! response.

pub mod database;
pub mod files;
pub mod http_client;
pub mod inside;
pub mod instance;
pub mod measuring;
pub mod outlet;
pub mod postgres;
pub mod search;
pub mod sqlite;
pub mod tracing;
pub mod variables;
pub mod webhooks;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::LazyLock,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::MatchedPath};
use cache::Clock;
use futures::channel::oneshot;
use http::{Method, Response, StatusCode, header};
use send_wrapper::SendWrapper;
pub use spin_sdk::http::Request;
use spin_sdk::{
    http::IntoResponse,
    wasip3::http::types::{self, ErrorCode},
};
use traces::{Span, names};
use web::{
    App,
    arriving::{Arriving, Wait},
    log::{Level, log},
    serve::telling_routes,
    session,
    settings::{self, Check},
};

pub use database::SpinDatabase;
pub use postgres::SpinPostgres;
pub use sqlite::SpinSqlite;

use outlet::{Outflow, Readable};

/// Time for a response to leave before work that nobody waits for: a request of SQLite lets nothing else of the instance run.
const AFTER_RESPONSE: Duration = Duration::from_millis(20);

/// The response that a component's entry point returns.
pub struct Answer(Response<Body>);

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self(response)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Result<types::Response, ErrorCode> {
        let (mut head, body) = self.0.into_parts();
        let Some(Readable { body, ended }) = head.extensions.remove().and_then(|outflow: Outflow| outflow.take())
        else {
            return Response::from_parts(head, body).into_response();
        };
        // The router's value is for its own body, which is left out.
        head.headers.remove(header::CONTENT_LENGTH);
        let refused = |error: types::HeaderError| ErrorCode::InternalError(Some(error.to_string()));
        let (response, _) = types::Response::new(head.headers.try_into().map_err(refused)?, Some(body), ended);
        response.set_status_code(head.status.as_u16()).map_err(|()| ErrorCode::InternalError(None))?;
        Ok(response)
    }
}

/// Answers a request with the router of a component that uses the database. It is made once in the life of an instance, with what the component is configured
/// to do. The component reports its own settings to `ops`.
pub async fn serve(
    component: &'static str,
    request: Request,
    checks: impl AsyncFnOnce() -> Vec<Check>,
    router: impl AsyncFnOnce(App<SpinDatabase>) -> Router,
) -> Answer {
    let began = Instant::now();
    variables::read_log_level(component).await;
    tracing::set_up(component).await;
    let scope = web::serve::scope(request.headers());
    let answer = async {
        let mut serving = None;
        let router = match instance::app(component).await {
            Ok(app) if request.uri().path() == settings::PATH => telling_routes(settings::router(app, checks().await)),
            Ok(app) => {
                // The router's maker says what is read.
                let router = instance::router(async || telling_routes(router(app.clone()).await)).await;
                if session::has_token(request.headers()) {
                    instance::read_access(&app).await;
                }
                serving = Some(app);
                router
            }
            Err(error) => {
                let error = web::Error::from(error);
                Router::new().fallback(move || async move { error })
            }
        };
        let method = request.method().clone();
        let answer = serve_router(component, request, router).await;
        let route = answer.0.extensions().get().map_or("", MatchedPath::as_str);
        metrics::http_request(component, method.as_str(), route, answer.0.status().as_u16(), began.elapsed());
        record(&method, route, answer.0.status(), began);
        measuring::soon(component);
        if let Some(app) = serving.filter(App::has_used_keys) {
            note_used_keys(component, app);
        }
        answer
    };
    trace_context::within(Some(scope), accompanied(answer)).await
}

/// Records a request that was answered. Its path is left out: whoever asks chooses it.
fn record(method: &Method, route: &str, status: StatusCode, began: Instant) {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let method = known.iter().find(|known| *known == method).map_or("_OTHER", Method::as_str);
    let mut span = Span::of_request(format_args!("{method} {route}"), began);
    span.set(names::HTTP_REQUEST_METHOD, method);
    span.set(names::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
    if !route.is_empty() {
        span.set(names::HTTP_ROUTE, route);
    }
    if status.is_server_error() {
        span.fail(status.as_str());
    }
}

/// Stores which keys were used, after the response has left. A use that could not be stored is stored with the next.
fn note_used_keys(component: &'static str, app: App<SpinDatabase>) {
    spawn(async move {
        sleep(AFTER_RESPONSE).await;
        if let Err(error) = app.note_used_keys().await {
            let cause = BTreeMap::from([("cause", error.to_string())]);
            log(component, Level::Warn, "the use of an API key could not be stored", cause);
        }
    });
}

/// Answers a request with a router.
pub async fn serve_router(component: &'static str, request: Request, router: Router) -> Answer {
    variables::read_log_level(component).await;
    let wait = |duration| Box::pin(SendWrapper::new(sleep(duration))) as Wait;
    let arriving = |body| Body::new(Arriving::new(Body::new(body), wait));
    Answer(web::serve(component, router, request.map(arriving)).await)
}

/// Lets a task continue after the response was sent, in the scope of whoever starts it. Spin keeps the instance until the task ends.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    spin_sdk::wasip3::spawn(trace_context::inherit(task));
}

/// Runs work that waits for the host several times, beside a task that only sleeps until the work is done. The runtime under the SDK
/// (wit-bindgen 0.57) keeps the tasks of a request in a `FuturesUnordered`, which asks to be polled again whenever it has polled all of them.
/// Without the second task, each wait would cost one more round trip between host and guest (docs/adr/0018).
pub async fn accompanied<T>(work: impl Future<Output = T>) -> T {
    let (working, ended) = oneshot::channel::<()>();
    spawn(async move {
        let _ = ended.await;
    });
    let output = work.await;
    drop(working);
    output
}

/// Sleeps for this duration.
pub async fn sleep(duration: Duration) {
    spin_sdk::time::sleep(duration).await;
}

/// Awaits a future for at most this time. `None`: it took longer; it is dropped, which closes whatever it had open.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    cache::within(&SpinClock, limit, future).await
}

/// The time when this instance first read its clock.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Spin's time and tasks.
#[derive(Clone, Copy, Debug)]
pub struct SpinClock;

impl Clock for SpinClock {
    fn now(&self) -> Duration {
        STARTED.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn(task);
    }
}
