//! The tools there are, and the one way a call takes: [`execute`].
//!
//! Pure: who lists the tools, keeps the policies and makes the calls is behind the port [`World`]. Of MCP
//! it knows what a result is made of, and of its messages, a database or Spin nothing. Tools and schemas are other people's, so everything about them is bounded.

pub mod arguments;
pub mod catalog;
pub mod content;
pub mod execution;
pub mod exposure;
pub mod failure;
pub mod policy;
pub mod redaction;
mod tasks;
pub mod wire;
pub mod world;

use serde_json::value::RawValue;

pub use arguments::{InvalidArguments, validate};
pub use catalog::Catalog;
pub use content::text_for_model;
pub use domain::Effect;
pub use execution::{Execution, execute, judged};
pub use failure::{AuditCode, CallFailure, ToolFailure};
pub use mcp::{Outcome, TaskSupport};
pub use policy::{Policy, decide};
pub use redaction::Redaction;
pub use tasks::end_of;
pub use world::{Approval, AuditEntry, Called, Permission, Reached, Started, World};

/// The name of a server, given by the installation's configuration, never by the server itself.
pub type ServerName = String;

/// A tool, as its server lists it.
#[derive(Clone, Debug)]
pub struct KnownTool {
    /// The server that has it.
    pub server: ServerName,
    /// Its name there.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Box<RawValue>,
    /// JSON Schema of its structured result.
    pub output_schema: Option<Box<RawValue>>,
    /// Whether [`catalog::mend`] has seen to both.
    pub is_mended: bool,
    /// What it says about itself.
    pub annotations: Annotations,
    /// Whether its server is somebody else's, so that what it says about itself is only said.
    pub remote: bool,
    /// Whether what it gives back is a person's or the installation's own: it is passed secrets, or its server an authorization.
    pub reads_private: bool,
    /// Whether the person is asked before every call, whatever was allowed.
    pub always_asks: bool,
    /// Whether it is called as a task, as its server of 2025-11-25 says.
    pub task_support: TaskSupport,
    /// How long a result may be given again for the same arguments, if the listing says so. Milliseconds.
    pub result_ttl_ms: Option<u64>,
}

impl KnownTool {
    /// A tool of a server elsewhere that is not listed any more, of which only its name is known.
    #[must_use]
    pub fn unlisted(server: ServerName, name: String) -> Self {
        Self {
            server,
            name,
            title: None,
            description: String::new(),
            input_schema: RawValue::NULL.to_owned(),
            output_schema: None,
            is_mended: true,
            annotations: Annotations::default(),
            remote: true,
            reads_private: true,
            always_asks: false,
            task_support: TaskSupport::Forbidden,
            result_ttl_ms: None,
        }
    }

    /// Whether it changes nothing, as far as we believe what it says.
    #[must_use]
    pub const fn reads_only(&self) -> bool {
        self.annotations.read_only && !self.remote
    }

    /// Whether a call that was begun may be made again, likewise.
    #[must_use]
    pub const fn may_repeat(&self) -> bool {
        (self.annotations.read_only || self.annotations.idempotent) && !self.remote
    }

    /// Its name for people.
    #[must_use]
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// What a tool says about itself (Model Context Protocol, `ToolAnnotations`). The default is what holds when it says nothing.
#[expect(clippy::struct_excessive_bools, reason = "four independent statements, as the protocol has them")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy something.
    pub destructive: bool,
    /// A second call with the same arguments changes nothing more.
    pub idempotent: bool,
    /// It deals with more than a closed set of things: the web, people.
    pub open_world: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

/// A text cut to a number of characters, with a sign that it was.
fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
