//! For authors of tools in Rust: turns a typed function with doc comments into a tool.
//!
//! ```ignore
//! //! Dice.
//! use tool_provider::{Failure, provider, tool};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Roll {
//!     /// How many sides the die has.
//!     sides: u32,
//! }
//!
//! /// Rolls a die. Use it whenever chance should decide.
//! #[tool(title = "Roll a die", read_only, closed_world)]
//! async fn roll(arguments: Roll) -> Result<String, Failure> { ... }
//!
//! provider! { name: "dice", title: "Dice", tools: [roll] }
//! ```
//!
//! The contract is `wit/provider.wit`. This crate only makes it easier to use and must not add to it. It knows nothing of MCP or HTTP: tools that use
//! a server find what they need in the crate `upstream`.

mod answer;
mod context;
mod definition;
mod progress;

#[doc(hidden)]
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod bindings {
    wasip3::wit_bindgen::generate!({
        path: "../../wit",
        world: "tool-provider",
        runtime_path: "::tool_provider::wasip3::wit_bindgen::rt",
        pub_export_macro: true,
        export_macro_name: "export_provider",
        default_bindings_module: "tool_provider::bindings",
    });
}
#[doc(hidden)]
pub mod provider;

// The bindings refer to their runtime by this crate's name, also inside this crate.
extern crate self as tool_provider;

pub use answer::{Answer, IntoAnswer, Structured};
pub use context::Context;
pub use definition::{Definition, Tool, arguments, schema};
pub use progress::Progress;
pub use provider::Secret;
pub use tool_provider_macros::tool;
#[doc(hidden)]
pub use wasip3;

/// Why a call failed. The model and the person read the message, so it must say what to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The arguments fit the schema but make no sense.
    InvalidArguments(String),
    /// A secret or a setting is missing.
    NotConfigured(String),
    /// A server or another resource that the tool uses failed.
    UpstreamFailed(String),
    /// The call took too long.
    TimedOut,
}

/// Waits for a duration.
pub async fn sleep(duration: std::time::Duration) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    wasip3::clocks::monotonic_clock::wait_for(nanoseconds).await;
}
