//! Faults of the model's server, and servers by other authors.

mod failures;
mod others;
mod segments;
mod silence;
