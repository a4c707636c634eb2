//! The Model Context Protocol over HTTP, both sides: revision 2026-07-28, which is stateless, and 2025-11-25 with its `initialize`.
//!
//! Pure: a request goes in and an answer comes out ([`respond`]), or a call goes in and requests go out through a [`Transport`]
//! ([`Client`]). Who listens, who sends, who may call what and for how long is not decided here. Why not `rmcp`: docs/adr/0012.

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
