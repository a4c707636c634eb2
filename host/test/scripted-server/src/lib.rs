//! Servers for tests of tools: one that follows a script, in memory; and the machine's own way out, to a real one. Both keep the limits that
//! they are given, and say what came of a request as the component's way out does.

#![allow(clippy::expect_used, reason = "clippy.toml allows it in tests, and this serves tests alone")]

use std::cell::{Ref, RefCell};

use http::{HeaderMap, Method, Request, Response, Uri};
use upstream::{Http, Limits, Outcome, Unanswered};

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Its address.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// What its answer may cost.
    pub limits: Limits,
}

impl Asked {
    fn new(request: &Request<Vec<u8>>, limits: Limits) -> Self {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Self { method, uri, headers: request.headers().clone(), body: request.body().clone(), limits }
    }
}

/// Method and path of a request, as in `GET /a`.
fn line(method: &Method, uri: &Uri) -> String {
    format!("{method} {}", uri.path())
}

/// A server in memory: the script makes of each request what comes of it.
#[derive(Debug)]
pub struct Scripted<F> {
    script: F,
    asked: RefCell<Vec<Asked>>,
}

impl<F: Fn(&Asked) -> Outcome> Scripted<F> {
    /// One that nobody has asked yet.
    pub const fn new(script: F) -> Self {
        Self { script, asked: RefCell::new(Vec::new()) }
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Ref<'_, Vec<Asked>> {
        self.asked.borrow()
    }

    /// Method and path of each request, in order.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|asked| line(&asked.method, &asked.uri)).collect()
    }
}

impl<F: Fn(&Asked) -> Outcome> Http for Scripted<F> {
    async fn send(&self, request: Request<Vec<u8>>, limits: Limits) -> Outcome {
        let asked = Asked::new(&request, limits);
        self.asked.borrow_mut().push(asked.clone());
        within((self.script)(&asked)?, limits)
    }
}

/// An answer of a script.
///
/// # Panics
/// When a header is none.
#[must_use]
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.into()).expect("a status and headers")
}

fn within(answer: Response<Vec<u8>>, limits: Limits) -> Outcome {
    if answer.body().len() > limits.bytes {
        return Err(Unanswered::Lost(format!("the answer is longer than {} bytes", limits.bytes)));
    }
    Ok(answer)
}

/// The machine's HTTP, with a connection for each request, as in the component. Redirects are answers.
#[derive(Debug)]
pub struct Native {
    client: reqwest::Client,
    sent: RefCell<Vec<String>>,
}

impl Default for Native {
    fn default() -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = client.pool_max_idle_per_host(0).build().expect("a client without TLS of its own");
        Self { client, sent: RefCell::default() }
    }
}

impl Native {
    /// For what a test asks by itself.
    #[must_use]
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Method and path of each request, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.sent.borrow().clone()
    }
}

impl Http for Native {
    async fn send(&self, request: Request<Vec<u8>>, limits: Limits) -> Outcome {
        self.sent.borrow_mut().push(line(request.method(), request.uri()));
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let failed = |error: reqwest::Error| match error {
            error if error.is_timeout() => Unanswered::TimedOut,
            error if error.is_connect() => Unanswered::NotSent(format!("{host} cannot be reached")),
            error => Unanswered::Broken(format!("{host} does not answer: {:?}", error.without_url())),
        };
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        *request.timeout_mut() = Some(limits.wait);
        let response = self.client.execute(request).await.map_err(failed)?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let body = response.bytes().await.map_err(failed)?.to_vec();
        within(answer.body(body).expect("a status and headers"), limits)
    }
}
