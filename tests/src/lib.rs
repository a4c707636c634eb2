//! The tools of tests that use the app from outside: a host process, a model under the test's control, a person with a session, and a reader of
//! events.
//!
//! It must know only what `docs/api.md` says of the app, and only the command line of the host. The environment chooses what is tested:
//!
//! | | |
//! | --- | --- |
//! | `EA_HOST` | the host; `target/host/embedded-host` unless given. `spin` serves for the same tests |
//! | `EA_MANIFEST` | the app's manifest; `spin.toml` of this repository unless given |
//! | `EA_FIXTURES_MANIFEST` | the same with tools that misbehave; `target/dev/fixtures.toml` unless given |
//! | `EA_STORE=postgres` | hosts store everything in PostgreSQL, each in its own database |
//! | `EA_INSTANCE_REUSE=1` | a new component instance for each request |
//! | `EA_URL` | an app that runs already, for example on Spin; tests that start or stop a host are then skipped |
//! | `EA_MODEL_URL` | with `EA_URL`: the scripted model that the app asks, for example `http://127.0.0.1:4010` |

#![allow(clippy::indexing_slicing, reason = "of JSON alone, where what is missing is null")]

mod app;
mod events;
mod files;
mod host;
mod log_messages;
mod model;
mod person;
mod store;
mod tools;
mod wait;

pub use app::{App, anonymous, journal, shared};
pub use events::{Event, Events, said};
pub use files::{files, shown};
pub use host::{Exit, Host, Options, host, repository};
pub use log_messages::log_messages;
pub use model::{Asked, Journal, Model, start as start_model, unique};
pub use person::{LANGUAGE, Person, TIME_ZONE, Turn, array, problem, text};
pub use store::{is_postgres, own_server};
pub use tools::Outside;
pub use wait::{LIMIT, until, within};

/// Prints that a test cannot run here and why.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        eprintln!("SKIPPED: {}", format_args!($($reason)*));
        return Ok(());
    }};
}
