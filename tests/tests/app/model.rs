//! What goes wrong at the model's server, and servers of other makes.

mod failures;
mod others;
mod segments;
mod silence;
