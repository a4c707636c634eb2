//! Faults of the model's server, and servers by other authors.

mod failures;
mod others;
mod providers;
mod segments;
mod silence;
mod wanted;
