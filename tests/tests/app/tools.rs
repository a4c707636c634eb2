//! Tools in a chat: called, asked about, and misbehaving.

mod addresses;
mod apis;
mod approval;
mod calls;
mod elsewhere;
mod files;
mod going_on;
mod mail;
mod memory;
mod misbehaving;
mod offers;
mod progress;
mod secrets;
