//! The client half: lists a server's tools and calls them, in the revision that the server speaks.
//!
//! It asks the server with `server/discover`, which every modern server has, and falls back to `initialize`. It remembers the server's era only as
//! long as it lives. A caller can store [`Listing::era`], so that the next client need not ask.

mod answer;
mod call;
mod exchange;
mod list;
mod packed;
mod passing;
mod redirect;
mod rejection;
mod tasks;
mod traced;

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, StatusCode, Uri};
use serde_json::Value;

pub use call::CallResult;
pub use list::{Cut, Listing, RefusedTool};
pub use passing::Input;

use crate::{
    model::{Implementation, Map},
    provider::InputNeeded,
    wire::Era,
};

/// The body of a response, chunk by chunk. Dropping it closes the connection.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>>>>;

/// Sends HTTP requests. Time limits are the caller's: dropping a future cancels its work.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Transport {
    /// Sends a request and waits for the head of the response. Must not follow redirects: the client checks their targets.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<BodyStream>, TransportError>;

    /// Completes after this time.
    async fn sleep(&self, duration: Duration);
}

impl<T: Transport> Transport for &T {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<BodyStream>, TransportError> {
        (**self).send(request).await
    }

    async fn sleep(&self, duration: Duration) {
        (**self).sleep(duration).await;
    }
}

/// Why there is no response.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransportError {
    /// The request may not be sent to this server.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// The server's host name cannot be resolved.
    #[error("its host name cannot be resolved: {0}")]
    NoName(String),
    /// The server accepts no connection.
    #[error("connection refused: {0}")]
    Refused(String),
    /// There is no secure connection, mostly because the server's certificate is not trusted.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// The application has no component with this name.
    #[error("this installation has no such server")]
    Absent,
    /// The connection failed for another reason, or broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// The time limit was reached.
    #[error("timed out")]
    TimedOut,
}

/// How a [`Client`] introduces itself, and its limits.
#[derive(Clone)]
pub struct ClientOptions {
    /// The value of the `Authorization` header.
    pub authorization: Option<HeaderValue>,
    /// The server's era, if an earlier [`Listing`] named it.
    pub era: Option<Era>,
    /// The client's name and version, which every server is told.
    pub software: Implementation,
    /// The most bytes of a response that are read. Notifications before it have a limit of their own. Events also have the limit of the crate `sse`.
    pub max_answer_bytes: usize,
    /// Answers the server's requests for input. `None`: no capability is declared, and a server that asks for input gets none.
    pub input: Option<InputHandler>,
}

impl ClientOptions {
    /// Options with these values, no authorization, an unknown era and no input.
    pub fn new(software: Implementation, max_answer_bytes: usize) -> Self {
        Self { authorization: None, era: None, software, max_answer_bytes, input: None }
    }
}

/// Maps the method and params of a request to its result. `None` if there is no answer.
pub type AnswerInput = dyn Fn(&str, &Value) -> Option<Value>;

/// Answers a server's requests for input during a call.
#[derive(Clone)]
pub struct InputHandler {
    /// The declared capabilities, such as `{"elicitation": {}}`.
    pub capabilities: Map,
    /// The function that answers.
    pub answer: Rc<AnswerInput>,
}

/// The progress of a call.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
pub struct Progress {
    /// The amount done so far.
    pub progress: f64,
    /// The total amount, if it is known.
    #[serde(default)]
    pub total: Option<f64>,
    /// A text about the current step.
    #[serde(default)]
    pub message: Option<String>,
}

/// Why there is no result. Texts from the server are untrusted.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no response.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An HTTP error without a protocol error. 401 and 403 are always this error.
    #[error("the server answered {status}")]
    Http {
        /// The response's status.
        status: StatusCode,
        /// The response's `WWW-Authenticate`.
        www_authenticate: Option<HeaderValue>,
    },
    /// A redirect that was not followed.
    #[error("the server answered {status} and points to {location}")]
    Moved {
        /// The response's status.
        status: StatusCode,
        /// The response's `Location`, cut.
        location: String,
    },
    /// The server ended the session, and then the new session too.
    #[error("the server ended a new session at once")]
    SessionEnded,
    /// A JSON-RPC error.
    #[error("the server answered error {code}: {message}")]
    Protocol {
        /// The JSON-RPC error code.
        code: i64,
        /// The server's message.
        message: String,
        /// The error's `data`.
        data: Option<Value>,
    },
    /// The response is longer than the limit.
    #[error("the answer is too large")]
    TooLarge,
    /// The response is a batch of more messages than are read.
    #[error("the answer is a list of more than {} messages", answer::MAX_BATCH)]
    TooManyMessages,
    /// The server asks for input that cannot be given.
    #[error("the server asks for input that cannot be given")]
    InputRequired(InputNeeded),
    /// Client and server have no revision in common.
    #[error("the server speaks only {}", .0.join(", "))]
    Version(Vec<String>),
    /// The response does not follow the protocol.
    #[error("the server's answer is not valid: {0}")]
    Malformed(String),
    /// The request cannot be written.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

/// A client of one server.
pub struct Client<T> {
    transport: T,
    url: Uri,
    /// The address that a redirect of the server named, on the same origin.
    moved: RefCell<Option<Uri>>,
    options: ClientOptions,
    connection: RefCell<Connection>,
    next_id: Cell<u64>,
}

/// The state of the connection to the server.
#[derive(Clone, Default)]
struct Connection {
    era: Option<Era>,
    /// The version that a legacy server chose. `None` until it is initialized.
    version: Option<HeaderValue>,
    /// The id of a legacy server's session.
    session: Option<HeaderValue>,
    server: Option<Implementation>,
    instructions: Option<String>,
    /// Whether a legacy server turns a call into a task when the client asks for it.
    makes_tasks: bool,
    /// Whether the session must stay open, because a task was made in it.
    is_kept: bool,
}

impl<T: Transport> Client<T> {
    /// A client for the server at `url`. Nothing is sent yet.
    pub fn new(transport: T, url: Uri, options: ClientOptions) -> Self {
        let connection = RefCell::new(Connection { era: options.era, ..Connection::default() });
        Self { transport, url, moved: RefCell::default(), options, connection, next_id: Cell::new(1) }
    }

    /// The value of the `Authorization` header of its requests.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.options.authorization.as_ref()
    }

    /// Whether there is a session with the server, which [`Self::close`] ends.
    pub fn has_session(&self) -> bool {
        self.connection.borrow().session.is_some()
    }

    /// Whether the server turns a call into a task when the client asks for it (2025-11-25, "Tasks").
    fn makes_tasks_when_asked(&self) -> bool {
        self.connection.borrow().makes_tasks
    }

    /// The server's era, if it is known.
    pub fn era(&self) -> Option<Era> {
        self.connection.borrow().era
    }
}
