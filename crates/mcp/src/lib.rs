//! The Model Context Protocol over HTTP, client and server: the stateless revision 2026-07-28, and 2025-11-25, which begins with `initialize`.
//!
//! Pure: [`respond`] turns a request into a response, and [`Client`] sends its requests through a [`Transport`]. Listening, sending, permissions and
//! the time limit of a call are the caller's. Why not `rmcp`: docs/adr/0012.

mod client;
mod header;
mod lenient;
mod model;
mod provider;
mod server;
mod task;
mod wire;

pub use client::{
    AnswerInput, BodyStream, CallResult, Client, ClientError, ClientOptions, Cut, Input, InputHandler, Listing,
    Progress, RefusedTool, Transport, TransportError,
};
pub use model::{
    Annotations, Content, Implementation, LogLevel, Map, Prompt, PromptArgument, PromptMessage, Resource, ResourceBody,
    ResourceContents, ResourceTemplate, Role, Tool,
};
pub use provider::{
    Answer, Completion, CompletionReference, CompletionRequest, Context, Description, Failure, FailureKind, Features,
    InputNeeded, MissingCapability, Notice, Outcome, PromptContent, Provider, Reply, ToolCall,
};
pub use server::{Body, MAX_OUTCOME_BYTES, Settings, respond, throttle};
pub use task::{CallAnswer, DEFAULT_POLL, MAX_TTL, Task, TaskState, TaskSupport, Tasks, ToolExecution};
pub use wire::{
    Era, INVALID_PARAMS, LEGACY_VERSION, METHOD_NOT_FOUND, MISSING_CAPABILITY, MODERN_VERSION, SUPPORTED_VERSIONS,
};
