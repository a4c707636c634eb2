//! The scripted model: a server that speaks OpenAI's Chat Completions API and answers from a script.
//!
//! It replaces a model where there is none (a first start without a key) or where a real one would be useless (tests, benchmarks). It says that
//! it is a script, and the same messages always get the same answer. Knobs in the model's name choose speed and faults, such as
//! `scripted-chunks=50-delay=20`. [`knobs`] lists them.
//!
//! It must not become a real model, store anything on disk, or be reachable from other machines: the caller must give it a loopback listener.

mod answer;
mod attempts;
mod calls;
mod completion;
mod failure;
mod journal;
mod request;
mod script;
mod server;
mod stream;

pub use script::knobs;
pub use server::{serve, serve_open};
