//! The catalog of tools, and [`execute`], the only way to call one.
//!
//! Pure: listing tools, storing policies and making calls are behind the port [`World`]. This crate knows the form of an MCP result, but not MCP's
//! messages, a database or Spin. Tools and their schemas come from others, so everything about them has a limit.

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
pub use policy::{Chosen, Policy, decide};
pub use redaction::Redaction;
pub use tasks::end_of;
pub use world::{Approval, AuditEntry, Called, Permission, Reached, Started, World};

/// The name of a server. The installation's configuration chooses it, never the server.
pub type ServerName = String;

/// A tool, as its server lists it.
#[derive(Clone, Debug)]
pub struct KnownTool {
    /// The tool's server.
    pub server: ServerName,
    /// The tool's name on its server.
    pub name: String,
    /// The display name.
    pub title: Option<String>,
    /// The description, for the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Box<RawValue>,
    /// JSON Schema of the structured result.
    pub output_schema: Option<Box<RawValue>>,
    /// Whether [`catalog::mend`] has processed both schemas.
    pub is_mended: bool,
    /// The tool's hints about itself.
    pub annotations: Annotations,
    /// Whether the server belongs to somebody else, so that the tool's hints are not trusted.
    pub remote: bool,
    /// Whether the tool is part of the app: what it changes is the person's own here, and they see it and can take it back.
    pub built_in: bool,
    /// Whether results may be private to a person or the installation, because the tool gets secrets or its server gets an authorization.
    pub reads_private: bool,
    /// Whether the person is asked before every call, whatever policies allow.
    pub always_asks: bool,
    /// Whether calls become tasks, as a server of 2025-11-25 says.
    pub task_support: TaskSupport,
    /// How long a result may be cached for the same arguments, in milliseconds, if the listing says so.
    pub result_ttl_ms: Option<u64>,
}

impl KnownTool {
    /// A tool of somebody else's server that is no longer listed, so that only its name is known.
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
            built_in: false,
            reads_private: true,
            always_asks: false,
            task_support: TaskSupport::Forbidden,
            result_ttl_ms: None,
        }
    }

    /// Whether the tool changes nothing. Hints of other people's tools do not count.
    #[must_use]
    pub const fn reads_only(&self) -> bool {
        self.annotations.read_only && !self.remote
    }

    /// Whether a call that was begun may be made again. Hints of other people's tools do not count.
    #[must_use]
    pub const fn may_repeat(&self) -> bool {
        (self.annotations.read_only || self.annotations.idempotent) && !self.remote
    }

    /// Whether it is part of the app and keeps what it is told, so that an instruction that is hidden in a text could have something kept.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        self.built_in && !self.annotations.read_only
    }

    /// The display name, or else the name.
    #[must_use]
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// A tool's hints about itself (Model Context Protocol, `ToolAnnotations`). The default applies to a tool without hints.
#[expect(clippy::struct_excessive_bools, reason = "four independent statements, as the protocol has them")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Annotations {
    /// The tool changes nothing.
    pub read_only: bool,
    /// The tool may destroy something.
    pub destructive: bool,
    /// A second call with the same arguments changes nothing more.
    pub idempotent: bool,
    /// The tool deals with an open set of things, such as the web or people.
    pub open_world: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

/// A text cut to a number of characters. `…` shows that it was cut.
fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
