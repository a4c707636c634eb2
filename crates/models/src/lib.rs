//! Who can answer: providers of models, their addresses and credentials, which models each has, and what is known about a model.
//!
//! Pure: it asks no server. It does not know how a request is written (`completions`) or who may use which model (`permissions`).

mod address;
mod configuration;
mod known;
mod listing;
mod patience;
mod pricing;
mod provider;
mod providers;

pub use address::Address;
pub use configuration::{InvalidProviders, MAX_PROVIDERS, Written, WrittenModel, parse};
pub use known::{AS_OF, CURRENCY, known};
pub use listing::{listed, may_answer};
pub use patience::head_patience;
pub use pricing::Pricing;
pub use provider::{Api, Credentials, Facts, Model, Provider, STANDARD, fits};
pub use providers::{Offer, Providers, is_set_up, standard_beside};
