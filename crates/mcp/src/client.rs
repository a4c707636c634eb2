//! The client half: lists tools and calls them, whichever revision the server speaks.
//!
//! It asks a server with `server/discover`, which every modern server has, and falls back to `initialize`. It keeps what it learnt only for as
//! long as it lives; [`Listing::era`] can be kept by the caller to spare the question.

mod answer;
mod call;
mod exchange;
mod list;
mod packed;
mod passing;
mod redirect;
mod rejection;
mod tasks;

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

/// The bytes of an answer as they come. Dropping it closes the connection.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>>>>;

/// Sends requests. Deadlines are the caller's: dropping a future ends what it does.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Transport {
    /// Sends a request and waits for the head of its answer. Must not follow redirects: they could lead anywhere.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<BodyStream>, TransportError>;

    /// Waits.
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

/// Why there was no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransportError {
    /// It may not be sent there.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// Nobody knows where that is.
    #[error("its host name cannot be resolved: {0}")]
    NoName(String),
    /// Nobody is there who takes connections.
    #[error("connection refused: {0}")]
    Refused(String),
    /// No secure connection could be agreed upon: a certificate that is not trusted, mostly.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// No component of the application has this name.
    #[error("there is no such server here")]
    Absent,
    /// There was no connection for some other reason, or it broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// It took too long.
    #[error("timed out")]
    TimedOut,
}

/// Who calls, and how.
#[derive(Clone)]
pub struct ClientOptions {
    /// Sent as `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// How the server speaks, if that is known from an earlier [`Listing`].
    pub era: Option<Era>,
    /// Who calls.
    pub software: Implementation,
    /// The longest answer taken, in bytes, notices included. Events have the limit of the crate `sse` too.
    pub max_answer_bytes: usize,
    /// Answers what the server asks back. `None`: nothing can be asked, and no capability is declared.
    pub input: Option<InputHandler>,
}

impl ClientOptions {
    /// Nothing but who calls and how much is read at most.
    pub fn new(software: Implementation, max_answer_bytes: usize) -> Self {
        Self { authorization: None, era: None, software, max_answer_bytes, input: None }
    }
}

/// From method and params of a request to its result; `None` if it cannot be answered.
pub type AnswerInput = dyn Fn(&str, &Value) -> Option<Value>;

/// Answers what a server asks back during a call.
#[derive(Clone)]
pub struct InputHandler {
    /// What is declared, such as `{"elicitation": {}}`.
    pub capabilities: Map,
    /// How it is answered.
    pub answer: Rc<AnswerInput>,
}

/// How far a call is.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
pub struct Progress {
    /// So much is done.
    pub progress: f64,
    /// Of so much.
    #[serde(default)]
    pub total: Option<f64>,
    /// What is being done.
    #[serde(default)]
    pub message: Option<String>,
}

/// Why there is no result. What a server says here is other people's words.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ClientError {
    /// There was no answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer of HTTP, not of the protocol; 401 and 403 are always this.
    #[error("the server answered {status}")]
    Http {
        /// Its status.
        status: StatusCode,
        /// Its `WWW-Authenticate`.
        www_authenticate: Option<HeaderValue>,
    },
    /// The server is elsewhere, or says so.
    #[error("the server answered {status} and points to {location}")]
    Moved {
        /// Its status.
        status: StatusCode,
        /// Its `Location`, cut.
        location: String,
    },
    /// The session has ended, though it was begun anew.
    #[error("the server ends every session at once")]
    SessionEnded,
    /// An error of the protocol.
    #[error("the server answered error {code}: {message}")]
    Protocol {
        /// JSON-RPC's code.
        code: i64,
        /// The server's words.
        message: String,
        /// More about it.
        data: Option<Value>,
    },
    /// The answer is longer than was allowed.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is a list of more messages than are read.
    #[error("the answer is a list of more than {} messages", answer::MAX_BATCH)]
    TooManyMessages,
    /// The server asks for something that cannot be answered.
    #[error("the server asks for input that cannot be given")]
    InputRequired(InputNeeded),
    /// There is no revision that both speak.
    #[error("the server speaks only {}", .0.join(", "))]
    Version(Vec<String>),
    /// The answer is not what the protocol says.
    #[error("the server's answer makes no sense: {0}")]
    Malformed(String),
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

/// A client of one server.
pub struct Client<T> {
    transport: T,
    url: Uri,
    /// Where the server has said it is, within its origin.
    moved: RefCell<Option<Uri>>,
    options: ClientOptions,
    connection: RefCell<Connection>,
    next_id: Cell<u64>,
}

/// What is known of the server.
#[derive(Clone, Default)]
struct Connection {
    era: Option<Era>,
    /// The version that a legacy server chose; present once it has been initialised.
    version: Option<HeaderValue>,
    /// The session that a legacy server gave.
    session: Option<HeaderValue>,
    server: Option<Implementation>,
    instructions: Option<String>,
    /// A legacy server makes a task of a call when it is asked to.
    makes_tasks: bool,
    /// The session is not to be ended: a task was made in it.
    is_kept: bool,
}

impl<T: Transport> Client<T> {
    /// A client of the server at `url`. Nothing is sent yet.
    pub fn new(transport: T, url: Uri, options: ClientOptions) -> Self {
        let connection = RefCell::new(Connection { era: options.era, ..Connection::default() });
        Self { transport, url, moved: RefCell::default(), options, connection, next_id: Cell::new(1) }
    }

    /// What its requests are proven with.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.options.authorization.as_ref()
    }

    /// Whether the server keeps a session for this client, which [`Self::close`] ends.
    pub fn has_session(&self) -> bool {
        self.connection.borrow().session.is_some()
    }

    /// Whether the server makes a task of a call when it is asked to, as 2025-11-25 has it.
    fn makes_tasks_when_asked(&self) -> bool {
        self.connection.borrow().makes_tasks
    }

    /// How the server speaks, as far as is known.
    pub fn era(&self) -> Option<Era> {
        self.connection.borrow().era
    }
}
