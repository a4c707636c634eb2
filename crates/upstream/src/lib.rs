//! For authors of tools that use a server: what every such tool would else have of its own.
//!
//! A request with its limits, and an outcome that says whether it can have arrived ([`http`]); a person's account at a server ([`Account`]);
//! where an address may lead ([`address`]), and where an answer sends on to ([`redirect()`]); how long there is still ([`Deadline`]); what kind
//! of text an answer is ([`MediaType`]). HTML is read by the crate `hypertext`. In tests, a scripted server stands in for the world
//! (`host/test/scripted-server`).
//!
//! It knows no protocol above HTTP and no provider, keeps nothing, and sends nothing that it was not given.

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
