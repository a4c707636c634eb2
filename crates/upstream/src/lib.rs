//! For authors of tools that use a server: everything that each such tool would otherwise have to write.
//!
//! A request with limits, whose error says whether it may have arrived ([`http`]); a person's account at a server ([`Account`]); rules for addresses
//! ([`address`]) and redirects ([`redirect()`]); the remaining time ([`Deadline`]); the type of a text ([`MediaType`]). The crate `hypertext` reads
//! HTML. In tests, a scripted server takes the place of real servers (`host/test/scripted-server`).
//!
//! It knows no protocol above HTTP and no provider. It stores nothing, and sends only what it was given.

mod account;
pub mod address;
mod deadline;
pub mod http;
mod media_type;
mod redirect;

pub use account::Account;
pub use deadline::Deadline;
pub use media_type::MediaType;
pub use redirect::{Redirect, redirect};

pub use crate::http::{EFFECT_UNKNOWN, Http, Limits, Outcome, Outside, Unanswered};
